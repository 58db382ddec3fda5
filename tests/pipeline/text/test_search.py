"""Words found with their times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.search import Match, find
from pipeline.transcript import Segment, Word


def said(text: str, start: int) -> Segment:
    words = tuple(Word(word, start + 100 * nth, start + 100 * nth + 80) for nth, word in enumerate(text.split()))
    return Segment(text, start, start + 100 * len(words), words)


TALK = [said("Good morning, Café owners!", 0), said("The café is open. Good", 1000), said("night to all.", 2000)]


@pytest.mark.parametrize(
    "query, found",
    [
        ("cafe", [Match(0, 200, 280, "Café"), Match(1, 1100, 1180, "café")]),
        ("CAFÉ is", [Match(1, 1100, 1280, "café is")]),
        ("good night", [Match(1, 1400, 2080, "Good night")]),
        ("morning, caf", [Match(0, 100, 280, "morning, Café")]),
        ("good", [Match(0, 0, 80, "Good"), Match(1, 1400, 1480, "Good")]),
        ("cafe open", []),
        ("?!", []),
        ("", []),
    ],
)
def test_words_wherever_they_are(query: str, found: list[Match]) -> None:
    assert find(TALK, query) == found


def test_a_text_without_word_times_is_found_by_its_segment() -> None:
    assert find([Segment("Nothing is timed here.", 500, 2500)], "timed") == [Match(0, 500, 2500, "timed")]


@pytest.mark.parametrize(
    "text, query, found",
    [
        ("A printing-press, here.", "printing press", ["printing-press,"]),
        ("A printing-press, here.", "press here", ["press, here."]),
        ("A printing press.", "printing-press", ["printing press."]),
        ("Send an e-mail now", "email", ["e-mail"]),
        ("Send an email now", "e-mail", ["email"]),
        ("I don't know", "don\u2019t", ["don't"]),
        ("I don't know", "t know", []),
        ("今天天气很好。明天天气不好", "天气", ["天气", "天气"]),
        ("今日はとても晴れです", "とても", ["とても"]),
        ("“So,” she said", '"so" she', ["“So,” she"]),
    ],
)
def test_parts_of_words_and_scripts_without_spaces(text: str, query: str, found: list[str]) -> None:
    timed = find([said(text, 0)], query)
    assert [match.text for match in timed] == found
    assert [match.text for match in find([Segment(text, 0, 900)], query)] == found


@given(
    st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=30), st.integers(0, 29), st.integers(1, 4)
)
def test_whatever_was_said_is_found(words: list[str], at: int, length: int) -> None:
    at %= len(words)
    phrase = words[at : at + length]
    segments = [said(" ".join(words[start : start + 4]), start * 100) for start in range(0, len(words), 4)]
    found = find(segments, " ".join(phrase))
    assert len(found) == sum(words[nth : nth + len(phrase)] == phrase for nth in range(len(words)))
    assert any(match.start == 100 * at for match in found)
