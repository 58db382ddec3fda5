"""What laying out captions takes: steps in proportion to the words, whatever the options; and nothing worse for it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, product
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.captions import cue_bounds, lines
from pipeline.captions.layout import Cue, cues
from pipeline.captions.options import Layout
from pipeline.transcript import Segment, Word

HOUR = 3_600_000  # ms
TIMES = 8  # as many steps as the default options take, at most
WIDEST = Layout(max_line_chars=250, max_lines=8, max_cue=60_000)
ORDINARY = [
    Layout(),
    Layout(max_line_chars=32),
    Layout(max_line_chars=37, max_lines=1),
    Layout(max_line_chars=20, max_lines=3),
    Layout(min_cue=1200, min_gap=120, chars_per_second=15),
]
SPEECH = {  # what is said, and how often there is a pause
    "sentences": (["so", "it", "was,", "nobody", "extraordinary", "understood."], 0.1),
    "without an end": (["and", "then", "we", "went", "there"], 0.0),
    "letters": (["a", "b", "c"], 0.0),
    "ragged": (["a", "b", "incomprehensibilities" * 2], 0.0),
    "commas": (["ah,", "so,", "well,"], 0.3),
    "without spaces": (["今日は", "とても", "良い天気"], 0.05),
}
Result = TypeVar("Result")


def spoken(vocabulary: Sequence[str], pauses: float, ms: int, *, fast: bool = False) -> list[Segment]:
    """Twelve words to a segment."""
    chance, now, segments = random.Random(len(vocabulary)), 0, list[Segment]()
    while now < ms:
        words = []
        for text in chance.choices(vocabulary, k=12):
            words.append(Word(text, now, now + (100 if fast else 350)))
            now = words[-1].end + (chance.choice((300, 700, 2000)) if chance.random() < pauses else 0)
        segments.append(Segment(" ".join(word.text for word in words), words[0].start, words[-1].end, tuple(words)))
    return segments


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the cost of a cue and of a line is asked for."""
    counted = Counter[str]()

    def counting(name: str, cost: Callable[..., Result]) -> Callable[..., Result]:
        def asked(*arguments: object) -> Result:
            counted[name] += 1
            return cost(*arguments)

        return asked

    monkeypatch.setattr(cue_bounds, "_cue_cost", counting("cue", cue_bounds._cue_cost))
    monkeypatch.setattr(lines, "_line_cost", counting("line", lines._line_cost))
    return counted


def taken(steps: Counter[str], segments: Sequence[Segment], layout: Layout) -> int:
    steps.clear()
    cues(segments, layout)
    return steps.total()


def test_twenty_hours_in_the_widest_captions_take_few_times_the_steps_of_the_default(steps: Counter[str]) -> None:
    segments = spoken(*SPEECH["without an end"], 20 * HOUR)
    usual = 20 * taken(steps, segments[: len(segments) // 20], Layout())
    assert usual > len(segments) * 12
    assert taken(steps, segments, WIDEST) <= TIMES * usual


@pytest.mark.parametrize("what", SPEECH)
@pytest.mark.parametrize("fast", [False, True])
def test_no_options_take_more_than_so_many_steps_for_each_word(steps: Counter[str], what: str, fast: bool) -> None:
    segments = spoken(*SPEECH[what], HOUR // 120, fast=fast)
    usual = taken(steps, segments, Layout())
    for columns, count, longest in product((10, 42, 250), (1, 2, 8), (1000, 60_000)):
        layout = Layout(max_line_chars=columns, max_lines=count, max_cue=longest)
        assert taken(steps, segments, layout) <= max(TIMES * usual, 100 * 12 * len(segments)), layout


def test_twice_the_words_take_twice_the_steps(steps: Counter[str]) -> None:
    once, twice = (taken(steps, spoken(*SPEECH["letters"], hours * HOUR // 60), WIDEST) for hours in (1, 2))
    assert twice < 2.1 * once


@pytest.fixture
def exhaustive() -> Iterator[Callable[[Sequence[Segment], Layout], list[Cue]]]:
    """Laid out with every end looked at, however many there are."""

    def laid_out(segments: Sequence[Segment], layout: Layout) -> list[Cue]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cue_bounds, "MOST_CUE_ENDS", 10**9)
            patch.setattr(lines, "MOST_LINE_ENDS", 10**9)
            return cues(segments, layout)

    yield laid_out


said = st.lists(
    st.tuples(
        st.sampled_from(["be", "so.", "well,", "nobody", "extraordinarily", "understood?", "and"]),
        st.integers(100, 900),  # ms that it lasts
        st.sampled_from([0, 0, 0, 30, 200, 600, 1400]),  # ms after it
    ),
    min_size=1,
    max_size=80,
)


@given(said, st.sampled_from(ORDINARY))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ordinary_captions_are_as_if_every_way_had_been_tried(
    exhaustive: Callable[[Sequence[Segment], Layout], list[Cue]],
    spoken_words: list[tuple[str, int, int]],
    layout: Layout,
) -> None:
    segments = [one_segment(spoken_words)]
    assert cues(segments, layout) == exhaustive(segments, layout)


@given(
    said,
    st.integers(10, 250),
    st.integers(1, 8),
    st.sampled_from([1000, 7000, 60_000]),
)
@settings(max_examples=80, deadline=None)
def test_whatever_the_options_every_word_is_shown_within_them(
    spoken_words: list[tuple[str, int, int]], columns: int, count: int, longest: int
) -> None:
    layout = Layout(max_line_chars=columns, max_lines=count, max_cue=longest)
    found = cues([one_segment(spoken_words * 4)], layout)
    kept = "".join(line for cue in found for line in cue.lines).replace(" ", "")
    assert kept == "".join(text for text, _, _ in spoken_words * 4)
    assert all(len(cue.lines) <= count for cue in found)
    assert all(len(line) <= columns for cue in found for line in cue.lines)
    assert all(one.end <= other.start for one, other in pairwise(found))


def one_segment(spoken_words: Sequence[tuple[str, int, int]]) -> Segment:
    words, now = list[Word](), 0
    for text, length, pause in spoken_words:
        words.append(Word(text, now, now + length))
        now += length + pause
    return Segment(" ".join(word.text for word in words), 0, words[-1].end, tuple(words))
