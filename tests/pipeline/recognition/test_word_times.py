"""A text without times gets the words that an aligner places; where it places none, there are none."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import EngineLost
from pipeline.oracle.ear import listen
from pipeline.oracle.speech import say
from pipeline.provider_protocol import Align
from pipeline.recognition.word_times import with_words
from pipeline.transcript import Heard, Segment, Word, samples_to_ms

SOUND = say(["brown", "river", "fox"], edge_s=0.5) + bytes(32_000) + say(["seven", "fox"], edge_s=0.2)
TEXT = "Brown river fox. Seven fox!"
SAID = [(samples_to_ms(word.start), samples_to_ms(word.end)) for word in listen(SOUND)]


def text(content: str = TEXT, *, timed: bool = False) -> Heard:
    return Heard((Segment(content, 0, samples_to_ms(len(SOUND) // 2)),), "en", "up", timed=timed)


def pieces(_: bytes, content: str, language: str | None) -> Sequence[Word]:
    """As an alignment gives them: each with the space before it, and with the pause before it; one word in two."""
    assert language == "en"
    first, *rest = [Word(f" {word}", start, end) for word, (start, end) in zip(content.split(), SAID, strict=True)]
    ends = [first.end, *(word.end for word in rest)]
    late = [Word(word.text, before, word.end) for before, word in zip(ends, rest, strict=False)]
    return [Word(" Br", 0, 300), Word("own", 300, first.end), *late]


def test_words_lie_where_somebody_speaks_and_sentences_end_where_they_do() -> None:
    heard = with_words(text(), SOUND, pieces)
    assert heard.timed
    assert [segment.text for segment in heard.segments] == ["Brown river fox.", "Seven fox!"]
    words = [word for segment in heard.segments for word in segment.words]
    assert [word.text for word in words] == TEXT.split()
    assert all(abs(word.end - end) < 150 for word, (_, end) in zip(words, SAID, strict=True))
    assert abs(words[3].start - SAID[3][0]) < 300, "the pause before it is not said"
    assert heard.segments[1].start == words[3].start


def no_pieces(*_: object) -> Sequence[Word]:
    return []


def broken(*_: object) -> Sequence[Word]:
    raise EngineLost(provider="ear")


@pytest.mark.parametrize("align", [no_pieces, broken])
def test_words_are_never_invented(align: Align) -> None:
    assert with_words(text(), SOUND, align) == text()


def test_what_has_times_and_what_says_nothing_is_left_alone() -> None:
    assert with_words(text(timed=True), SOUND, broken) == text(timed=True)
    assert with_words(Heard(timed=False), SOUND, broken) == Heard(timed=False)


@given(st.lists(st.text("ab.,é漢 ", min_size=1, max_size=6), min_size=1, max_size=8))
def test_the_text_is_never_changed(parts: list[str]) -> None:
    content = "".join(parts).strip()
    if not content:
        return
    told = [Word(part, 100 * at, 100 * at + 90) for at, part in enumerate(parts)]
    heard = with_words(text(content), SOUND, lambda *_: told)
    said = "".join(word.text for segment in heard.segments for word in segment.words)
    assert said == "".join(content.split())
    starts = [word.start for segment in heard.segments for word in segment.words]
    assert starts == sorted(starts)
