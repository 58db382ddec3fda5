"""A speech that is left while somebody waits for its next block: the wait ends, and so does the work."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.catalog.gone_routes import GoneRoutes
from pipeline.catalog.model import Route
from pipeline.concurrency.stopping import stop_if_unwanted, stopped_by
from pipeline.errors import JobCancelled, LeaseLost
from pipeline.options import SpeechOptions
from pipeline.run import speak

SECOND = bytes(2 * 24_000)


class Endless:
    """Speaks a second, and then thinks for as long as it is wanted."""

    name, local, sample_rate = "endless", True, 24_000

    def __init__(self) -> None:
        self.thinks, self.stopped = threading.Event(), threading.Event()

    def speak(self, options: SpeechOptions, model: str) -> Iterator[bytes]:
        yield SECOND
        self.thinks.set()
        try:
            while True:
                stop_if_unwanted()
                time.sleep(0.01)
        finally:
            self.stopped.set()


def registry(speaker: Endless) -> Any:
    routes = (Route(provider="endless", model="m"),)
    catalog = SimpleNamespace(routes=lambda *_: routes, nearest_voice=lambda *_: None, gone=GoneRoutes())
    return SimpleNamespace(catalog=catalog, speaker=lambda _: speaker)


def test_closed_by_another_thread_it_ends_for_the_one_that_waits() -> None:
    """A server that stops cancels the answer while a thread waits for its sound."""
    speaker = Endless()
    spoken = speak(SpeechOptions(model="m", input="Hello.", response_format="pcm"), registry(speaker))
    with ThreadPoolExecutor(1) as threads:
        rest = threads.submit(list, spoken)
        assert speaker.thinks.wait(60)
        spoken.close()
        assert isinstance(rest.exception(60), JobCancelled)
    assert speaker.stopped.wait(60)


def test_whoever_is_around_the_work_can_stop_it() -> None:
    def outer() -> None:
        raise LeaseLost

    with stopped_by(outer), stopped_by(lambda: None), pytest.raises(LeaseLost):
        stop_if_unwanted()
    stop_if_unwanted()
