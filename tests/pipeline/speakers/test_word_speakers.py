"""Words get speakers, and nothing else changes: not a letter, not a time, not the order."""

import itertools

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from pipeline.speakers.turn_taking import Turn
from pipeline.speakers.word_speakers import Timeline, given
from pipeline.transcript import SAMPLES_PER_MS, Segment, Word
from pipeline.word_spacing import joined

TEXTS = ("Yes,", "no.", "river", "Größe", "don't", "42", "—", "brown", "fox!")


def timeline(*turns: tuple[int, int, int]) -> Timeline:
    """In ms."""
    return Timeline([Turn(a * SAMPLES_PER_MS, b * SAMPLES_PER_MS, who, 0.5) for a, b, who in turns])


@st.composite
def recordings(draw: st.DrawFn) -> tuple[list[Segment], Timeline]:
    """Segments, some without times of words, and turns that know nothing of them."""
    segments, at = [], 0
    for timed in draw(st.lists(st.booleans(), min_size=1, max_size=6)):
        words = []
        for text, gap, length in draw(
            st.lists(
                st.tuples(st.sampled_from(TEXTS), st.integers(0, 900), st.integers(0, 700)), min_size=1, max_size=9
            )
        ):
            words.append(Word(text, at + gap, at + gap + length))
            at += gap + length
        text = " ".join(word.text for word in words)
        segments.append(Segment(text, words[0].start, words[-1].end, tuple(words) if timed else ()))
    edges = sorted(draw(st.sets(st.integers(0, 30_000), max_size=12)))
    spoken = [(one, other, number % 3) for number, (one, other) in enumerate(itertools.pairwise(edges))]
    return segments, timeline(*spoken)


@examples(recordings())
def test_nothing_but_cuts(recording: tuple[list[Segment], Timeline]) -> None:
    segments, who = recording
    parts = [part for part, _ in given(segments, who)]
    assert joined(part.text.strip() for part in parts) == joined(one.text.strip() for one in segments)
    assert [word for part in parts for word in part.words] == [word for one in segments for word in one.words]
    assert [part.start for part in parts] == sorted(part.start for part in parts)
    assert parts[0].start == segments[0].start and parts[-1].end == segments[-1].end
    for part in parts:
        assert part.text.strip() and part.start <= part.end
        assert all(part.start <= word.start and word.end <= part.end for word in part.words)
        assert part.speaker_confidence is not None and 0 <= part.speaker_confidence <= 1


def test_a_segment_is_cut_where_the_speaker_changes() -> None:
    words = tuple(Word(text, 500 * at, 500 * at + 400) for at, text in enumerate(("How", "are", "you?", "Fine.")))
    found = given([Segment("How are you? Fine.", 0, 1900, words)], timeline((0, 1450, 1), (1450, 2000, 0)))
    assert [(part.text, part.start, part.end, who) for part, who in found] == [
        ("How are you?", 0, 1400, 1),
        ("Fine.", 1500, 1900, 0),
    ]


def test_a_word_has_one_speaker_and_what_nobody_claims_goes_to_the_nearest() -> None:
    who = timeline((1000, 2000, 0), (2000, 3000, 1))
    assert who.at(1700, 2200)[0] == 0 and who.at(1900, 2300)[0] == 1
    assert who.at(0, 200)[0] == 0 and who.at(9000, 9100)[0] == 1 and who.at(1000, 1000)[0] == 0
    assert Timeline([]).at(0, 100) == (None, 0.0)


@pytest.mark.parametrize("text", ["これはペンです。はい。", "Yes  indeed.", "Yes indeed"])
def test_a_text_that_cannot_be_put_together_again_is_not_cut(text: str) -> None:
    segment = Segment(text, 0, 2000, (Word("Yes", 0, 900), Word("really", 1000, 2000)))
    found = given([segment], timeline((0, 950, 0), (950, 2000, 1)))
    assert joined(part.text.strip() for part, _ in found) == text.strip() or len(found) == 1
    assert [word for part, _ in found for word in part.words] == list(segment.words)
