"""How long a model works for a second of sound."""

import pytest

from pipeline import providers
from pipeline.engines.pace import Paces


def test_the_latest_work_counts_most() -> None:
    paces = Paces()
    assert paces.known() == {}
    paces.note("ear", 10_000, 2.0)
    assert paces.known() == {"ear": 0.2}
    for _ in range(50):
        paces.note("ear", 10_000, 5.0)
    assert paces.known()["ear"] == pytest.approx(0.5, abs=0.01)
    paces.note("voice", 0, 3.0)
    assert "voice" not in paces.known(), "without sound there is no pace"


def test_engines_of_ours_tell_what_is_usual_and_others_do_not() -> None:
    assert providers.pace("kokoro", "kokoro") and providers.pace("faster_whisper", "whisper-base")
    assert providers.pace("faster_whisper", "large-v3") is None
    assert providers.pace("openai", "whisper-1") is None
