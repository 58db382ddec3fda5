"""What writing a transcript takes in any format, whatever the options: calls in proportion to the words (T5)."""

import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

import pytest

from pipeline import formats
from pipeline.formats.base import RenderOptions
from pipeline.quality.suspects import shown
from pipeline.text.search import find
from pipeline.transcript import Gap, Transcript
from tests.pipeline.captions.test_steps import HOUR, SPEECH, TIMES, spoken

WIDEST = {"max_line_chars": 250, "max_lines": 8, "max_cue": 60_000}
OPTIONS = {
    "usual": RenderOptions(),
    "words": RenderOptions(granularities=("segment", "word")),
    "widest": RenderOptions(**WIDEST),
    "narrowest": RenderOptions(max_line_chars=10, max_lines=1, max_cue=1000),
    "restless": RenderOptions(min_cue=10_000, max_cue=10_000, min_gap=1000, chars_per_second=5, paragraphs=True),
}


def transcript(what: str, ms: int) -> Transcript:
    """Speakers who take turns, in text that may be made up, with a gap behind each tenth segment."""
    segments = tuple(
        replace(one, speaker="AB"[n % 2], suspect=("phantom",) if n % 3 else ())
        for n, one in enumerate(spoken(*SPEECH[what], ms))
    )
    gaps = tuple(Gap(one.end, one.end + 10, "failed", n, lost=True) for n, one in enumerate(segments[::10]))
    return Transcript(segments, segments[-1].end + 10, gaps=gaps)


def calls(work: Callable[[], object]) -> int:
    """Of functions, ours and C's."""
    count = 0

    def tick(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(tick)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("name", formats.names())
@pytest.mark.parametrize("what", ["sentences", "without an end", "without spaces"])
def test_every_format_takes_so_many_calls_for_each_word(name: str, what: str) -> None:
    shape, once, twice = formats.load(name), transcript(what, HOUR // 30), transcript(what, HOUR // 15)
    usual = calls(lambda: shape.render(once, RenderOptions()))
    for told, options in OPTIONS.items():
        taken = calls(lambda options=options: shape.render(once, options))
        assert taken <= max(TIMES * usual, 20 * len(once.words)), f"{told}: {taken} calls, as usual {usual}"
        more = calls(lambda options=options: shape.render(twice, options))
        assert more <= 2.5 * taken + 1000, f"{told}: {more} calls for twice the words, {taken} for those"


@pytest.mark.parametrize("ask", ["a", "so it was nobody", "was " * 100], ids=["letter", "phrase", "long"])
def test_a_search_and_marks_take_so_many_too(ask: str) -> None:
    once, twice = transcript("sentences", HOUR // 30), transcript("sentences", HOUR // 15)
    for work in (lambda one: find(one.segments, ask), lambda one: shown(one, "mark"), lambda one: shown(one, "drop")):
        assert calls(lambda work=work: work(twice)) <= 2.5 * calls(lambda work=work: work(once)) + 1000
