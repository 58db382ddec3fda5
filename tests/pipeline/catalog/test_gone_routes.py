"""What a provider no longer has is remembered for a while, by model and task, and said once."""

import logging

import pytest

from pipeline.catalog.gone_routes import REMEMBERED_S, GoneRoutes
from pipeline.catalog.model import Route

HERE, THERE = Route(provider="a", model="m"), Route(provider="b", model="m")


def test_it_is_remembered_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    gone = GoneRoutes(clock=lambda: now)
    assert not gone.knows(HERE, "transcription")
    with caplog.at_level(logging.WARNING):
        gone.note(HERE, "transcription")
        gone.note(HERE, "transcription")
    assert len(caplog.records) == 1 and "'m'" in caplog.text
    assert gone.knows(HERE, "transcription")
    assert gone.knows(Route(provider="a", model="m", languages=("en",)), "transcription")
    assert not gone.knows(HERE, "translation") and not gone.knows(THERE, "transcription")
    now += REMEMBERED_S
    assert not gone.knows(HERE, "transcription"), "it is asked again"
    gone.note(HERE, "transcription")
    assert gone.knows(HERE, "transcription")
