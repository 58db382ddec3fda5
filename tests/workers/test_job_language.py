"""A job's language is read off its first chunks, once they all have answered, by any worker."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.cut.cutter import Span, span_as_dict
from pipeline.lifecycle import ChunkStatus
from pipeline.options import TranscriptionOptions
from pipeline.transcript import SAMPLE_RATE, Heard, Segment, heard_to_json
from workers.job_language import Languages


def row(idx: int, language: str | None, *, done: bool = True, speech: int = 20) -> Any:
    second = SAMPLE_RATE
    span = Span(idx, 0, 30 * second, 0, 30 * second, "silence", "silence", speech * second, (), 30 * second)
    status = ChunkStatus.COMPLETED if done else ChunkStatus.PENDING
    return SimpleNamespace(idx=idx, span=span_as_dict(span), status=status, result_key=language if done else None)


class Shelf:
    """Storage whose keys are the languages."""

    def __init__(self) -> None:
        self.reads = 0

    def get(self, key: str) -> bytes:
        self.reads += 1
        return heard_to_json(Heard((Segment("words", 0, 1000),), key))


def context(rows: Sequence[Any], shelf: Shelf, **options: Any) -> Any:
    services = SimpleNamespace(jobs=SimpleNamespace(chunks=lambda job_id: list(rows)), storage=shelf)
    asked = TranscriptionOptions(model="m", **options)
    return SimpleNamespace(services=services, job=SimpleNamespace(id="job_1"), options=asked)


@pytest.mark.parametrize(
    ("rows", "language"),
    [
        ([row(0, "de"), row(1, "de"), row(2, "de"), row(3, None, done=False)], "de"),
        ([row(0, "de"), row(1, "en"), row(2, "de")], None),
        ([row(0, "de"), row(1, "de"), row(2, None, done=False)], None),
        ([row(0, "fr", speech=2), row(1, "de"), row(2, "de"), row(3, "de")], "de"),
        ([row(0, "de"), row(1, "de")], None),
    ],
)
def test_the_first_three_with_enough_speech_decide(rows: Sequence[Any], language: str | None) -> None:
    assert Languages().options(context(rows, Shelf()), row(9, None)).language == language


def test_what_the_caller_says_counts() -> None:
    rows, shelf = [row(nth, "de") for nth in range(3)], Shelf()
    assert Languages().options(context(rows, shelf, language="en"), row(9, None)).language == "en"
    assert Languages().options(context(rows, shelf, languages=("en", "de")), row(9, None)).language is None
    assert shelf.reads == 0


def test_it_is_found_out_once_and_not_for_the_first_chunks() -> None:
    rows, shelf, languages = [row(nth, "de") for nth in range(3)], Shelf(), Languages()
    assert languages.options(context(rows, shelf), row(1, None)).language is None
    for _ in range(3):
        assert languages.options(context(rows, shelf), row(9, None)).language == "de"
    assert shelf.reads == 3
