"""The numbers of pages of Ogg, which tell of others that are missing."""

from collections.abc import Iterable, Mapping

import pytest

from pipeline.audio.containers.ogg_pages import FIRST, flagged, page, page_of
from pipeline.audio.joined.page_numbers import PageNumbers
from pipeline.audio.joined.window import Window

HEADERS = [(1, number, 0) for number in range(2)]  # stream, number, position
LAST_NUMBER = (1 << 32) - 1
Told = tuple[int, int, int]


def sound(numbers: Iterable[int], stream: int = 1) -> list[Told]:
    return [(stream, number, 960 * count) for count, number in enumerate(numbers, 1)]


CASES: Mapping[str, tuple[list[Told], bool]] = {
    "whole": (HEADERS + sound(range(2, 9)), False),
    "one is missing": (HEADERS + sound([2, 3, 5, 6]), True),
    "some are missing": (HEADERS + sound([2, 3, 4, 90, 91]), True),
    "the first with sound is missing": (HEADERS + sound(range(3, 9)), True),
    "recorded on the air": (HEADERS + sound(range(4711, 4720)), False),
    "all of one number": (HEADERS + sound([0] * 9), False),
    "each second number": (HEADERS + sound(range(2, 30, 2)), False),
    "begun anew": (HEADERS + sound([LAST_NUMBER - 1, LAST_NUMBER, 0, 1]), False),
    "one is missing where they begin anew": (HEADERS + sound([LAST_NUMBER - 1, LAST_NUMBER, 1, 2]), True),
    "joined": (HEADERS + sound(range(2, 9)) + HEADERS + sound([500, 501]), False),
    "two side by side": (
        [one for both in zip(sound(range(2, 9)), sound(range(40, 47), stream=2), strict=True) for one in both],
        False,
    ),
    "one of two is missing": (sound(range(2, 9)) + sound([40, 41, 43], stream=2), True),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_missing_is_known_by_the_numbers_of_the_others(case: str) -> None:
    told, lacks = CASES[case]
    data, places = b"", list[int]()
    for stream, number, position in told:
        whole = page_of(b"packet", stream, number, position)
        places.append(len(data))
        data += flagged(whole, FIRST, position) if (number, position) == (0, 0) else whole
    numbers, window = PageNumbers(), Window(lambda at, length: data[at : at + length], len(data))
    for at in places:
        found = page(window.head, at)
        assert found
        numbers.see(window, at, found.end - at)
    assert numbers.lacks_pages is lacks
