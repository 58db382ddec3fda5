"""Captions: every word, on time, in lines that fit, in cues that last long enough and not too long."""

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captions.layout import Cue, cues
from pipeline.captions.options import Layout
from pipeline.stitch.timeline import forward
from pipeline.transcript import Segment, Word

LAYOUT = Layout()
READING = """
    Printing, in the only sense with which we are at present concerned, differs from most if not from all the arts
    and crafts represented in the exhibition. It began about fourteen fifty; the first book was the Bible of
    forty-two lines. Nobody knows who thought of it first, and nobody has to.
""".split()  # noqa: SIM905 - it is prose


def reading(words: Sequence[str], ms_per_letter: int = 65) -> Segment:
    """The words one after the other, with a pause after each sentence; the words themselves unpunctuated, as whisper's are."""
    now, timed = 0, []
    for word in words:
        end = now + ms_per_letter * len(word)
        timed.append(Word(word.strip(".,;"), now, end))
        now = end + (600 if word.endswith(".") else 40)
    return Segment(" ".join(words), 0, timed[-1].end, tuple(timed))


def shown(found: Sequence[Cue]) -> list[str]:
    return " ".join(line for cue in found for line in cue.lines).split()


def in_order(found: Sequence[Cue]) -> None:
    for one, other in pairwise(found):
        assert one.end <= other.start
    for cue in found:
        assert 0 <= cue.start < cue.end
        assert cue.lines and all(line.strip() == line and line for line in cue.lines)


letters = st.text(st.sampled_from("abc,.?-日本é<&>"), min_size=1, max_size=60)
words = st.builds(
    lambda text, start, length: Word(text, start, start + length),
    letters,
    st.integers(0, 60_000),
    st.sampled_from([0, 1, 90, 300, 9000]),
)
segments = st.builds(
    lambda text, spoken, start, length: Segment(
        text if text and not spoken else " ".join(word.text for word in spoken),
        start,
        start + length,
        tuple(sorted(spoken, key=lambda word: word.start)),
    ),
    letters,
    st.lists(words, max_size=25),
    st.integers(0, 60_000),
    st.integers(0, 30_000),
)


@given(
    st.lists(segments, max_size=6),
    st.sampled_from([LAYOUT, Layout(max_line_chars=20, max_lines=1), Layout(max_lines=3)]),
)
@settings(max_examples=100, deadline=None)
def test_no_letter_is_lost_whatever_the_times_are(given_segments: list[Segment], layout: Layout) -> None:
    settled = forward(sorted(given_segments, key=lambda segment: segment.start), 100_000)
    found = cues(settled, layout, duration=100_000)
    in_order(found)
    assert all(len(cue.lines) <= layout.max_lines for cue in found)
    assert all(len(line) <= layout.max_line_chars for cue in found for line in cue.lines)
    assert all(cue.end - cue.start <= layout.max_cue for cue in found)
    spelled = [[word.text for word in segment.words] or segment.text.split() for segment in settled]
    kept = "".join(line for cue in found for line in cue.lines).replace(" ", "")
    if all(" ".join(s).split() == segment.text.split() for s, segment in zip(spelled, settled, strict=True)):
        assert kept == "".join(text for some in spelled for text in some)


said = st.lists(
    st.tuples(
        st.sampled_from(["a", "so.", "well,", "nobody", "extraordinarily", "understood?"]),
        st.integers(150, 900),  # ms that it lasts
        st.sampled_from([0, 0, 0, 30, 200, 600, 1400, 1600, 4000]),  # ms after it
    ),
    min_size=1,
    max_size=60,
)


@given(said, st.integers(0, 3), st.sampled_from([LAYOUT, Layout(max_line_chars=32), Layout(min_cue=1200, min_gap=120)]))
@settings(max_examples=150, deadline=None)
def test_every_cue_can_be_read(spoken: list[tuple[str, int, int]], turn: int, layout: Layout) -> None:
    """Also where speakers take turns at every `turn`-th pause of more than a second."""
    found, now, speaker, pauses = list[Segment](), 0, 0, 0
    for text, length, pause in spoken:
        found.append(Segment(text, now, now + length, (Word(text, now, now + length),), speaker="AB"[speaker % 2]))
        now += length + pause
        pauses += pause > 1000
        speaker += bool(turn and pause > 1000 and pauses % turn == 0)
    laid_out = cues(found, layout, duration=now + layout.min_cue)
    in_order(laid_out)
    assert shown(laid_out) == [text for text, _, _ in spoken]
    assert all(len(cue.lines) <= layout.max_lines for cue in laid_out)
    assert all(len(line) <= layout.max_line_chars for cue in laid_out for line in cue.lines)
    assert all(cue.end - cue.start <= layout.max_cue for cue in laid_out)
    assert all(other.start - one.end >= layout.min_gap for one, other in pairwise(laid_out))
    assert all(cue.end - cue.start >= layout.min_cue for cue in laid_out)


def test_who_answers_at_once_waits_until_the_question_has_been_seen() -> None:
    question, answer = Segment("Ready?", 0, 300, speaker="A"), Segment("Yes, of course.", 350, 1500, speaker="B")
    found = cues([question, answer], LAYOUT)
    assert (found[0].start, found[0].end) == (0, 833)
    assert found[1].start == 833 + 84


def test_the_last_word_of_a_recording_is_seen_a_little_early() -> None:
    found = cues([Segment("bye", 9800, 10_000, (Word("bye", 9800, 10_000),))], LAYOUT, duration=10_000)
    assert (found[0].start, found[0].end) == (10_000 - 833, 10_000)


@pytest.mark.parametrize("seed", range(5))
def test_ordinary_speech_breaks_no_rule(seed: int) -> None:
    chance = random.Random(seed)
    said = [word for _ in range(8) for word in READING[chance.randrange(10) :]]
    found = cues([reading(said)], LAYOUT)
    in_order(found)
    assert shown(found) == said
    assert all(len(line) <= 42 for cue in found for line in cue.lines)
    assert all(len(cue.lines) <= 2 for cue in found)
    assert all(833 <= cue.end - cue.start <= 7000 for cue in found)
    assert all(other.start - one.end >= 84 for one, other in pairwise(found))
    assert not any(84 < other.start - one.end < 500 for one, other in pairwise(found))
    at_sense = sum(cue.lines[-1][-1] in ".,;" for cue in found)
    assert at_sense > 0.6 * len(found)


def test_cues_begin_with_their_first_word() -> None:
    segment = reading(READING)
    starts = {word.start for word in segment.words}
    assert all(cue.start in starts for cue in cues([segment], LAYOUT))


def test_punctuation_comes_from_the_text_and_time_from_the_words() -> None:
    segment = Segment("Yes, sir. No!", 0, 9000, (Word("yes", 0, 300), Word("sir", 400, 700), Word("no", 8000, 8300)))
    found = cues([segment], LAYOUT)
    assert [cue.lines for cue in found] == [("Yes, sir.",), ("No!",)]
    assert found[1].start == 8000


def test_words_win_where_the_text_says_something_else() -> None:
    segment = Segment("[music]", 0, 900, (Word("hello", 0, 300), Word("there", 400, 700)))
    assert shown(cues([segment], LAYOUT)) == ["hello", "there"]


def test_text_without_word_times_is_spread_over_its_segment() -> None:
    found = cues([Segment(" ".join(READING), 10_000, 40_000)], LAYOUT)
    assert shown(found) == READING
    assert found[0].start == 10_000
    assert len(found) > 4
    assert all(cue.end <= 41_500 for cue in found)


def test_a_long_pause_is_never_inside_a_cue() -> None:
    segment = Segment("one two", 0, 6000, (Word("one", 0, 400), Word("two", 5000, 5400)))
    assert [cue.lines for cue in cues([segment], LAYOUT)] == [("one",), ("two",)]


def test_one_line_if_it_fits_and_even_lines_if_not() -> None:
    short, long = "It fits on one line.", "We went down to the river because the bridge was closed."
    assert cues([reading(short.split())], LAYOUT)[0].lines == (short,)
    assert cues([reading(long.split())], LAYOUT)[0].lines == (
        "We went down to the river",
        "because the bridge was closed.",
    )


def test_chinese_and_japanese_have_no_spaces_and_wide_characters() -> None:
    text = "今日はとても良い天気ですから、私たちは公園へ散歩に行きました。" * 2
    found = cues([Segment(text, 0, 14_000)], LAYOUT)
    assert "".join(line for cue in found for line in cue.lines) == text
    assert all(len(line) <= 21 for cue in found for line in cue.lines)
    assert not any(line[0] in "、。" for cue in found for line in cue.lines)


def test_a_word_longer_than_a_line_is_shown_in_pieces() -> None:
    found = cues([Segment("x" * 100, 0, 5000)], LAYOUT)
    assert "".join(line for cue in found for line in cue.lines) == "x" * 100
    assert max(len(line) for cue in found for line in cue.lines) == 42


def test_two_speakers_never_share_a_cue() -> None:
    found = cues([Segment("Ready?", 0, 500, speaker="A"), Segment("Yes.", 600, 900, speaker="B")], LAYOUT)
    assert [cue.lines for cue in found] == [("Ready?",), ("Yes.",)]


def test_the_last_cue_does_not_outlast_the_recording() -> None:
    segment = Segment("bye", 9800, 10_000, (Word("bye", 9800, 10_000),))
    assert cues([segment], LAYOUT, duration=10_000)[-1].end == 10_000


def test_nothing_said_nothing_shown() -> None:
    assert cues([], LAYOUT) == cues([Segment(" \n", 0, 100)], LAYOUT) == []
