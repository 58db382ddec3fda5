"""How scripts put words side by side: with a space between, or with nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_SOLID = (  # first and last code point of the scripts that write no spaces between words
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x312F),  # Chinese radicals, Japanese syllables, their punctuation
    (0x31A0, 0xA4CF),  # Chinese characters and what belongs to them
    (0xF900, 0xFAFF),
    (0xFF00, 0xFF9F),  # full-width forms
    (0x20000, 0x323AF),
)
_FIRST = 0x0E00  # of all of them
_ANY_SOLID = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _SOLID) + "]")
_LEADING_VOWELS = "เแโใไເແໂໃໄ"  # written before the consonant that they follow in speech
_TRAILING_VOWELS = "ะาำะາຳ"


def solid(character: str) -> bool:
    """Whether its script writes no spaces between words. Korean, as wide as Chinese, does write them."""
    code = ord(character)
    return code >= _FIRST and any(first <= code <= last for first, last in _SOLID)


def has_solid(text: str) -> bool:
    """Whether any of its characters is."""
    return not text.isascii() and _ANY_SOLID.search(text) is not None


def space_between(before: str, after: str) -> str:
    """What stands between two texts that follow each other: a space, or nothing."""
    if not before or not after:
        return ""
    full_stop = solid(before[-1]) and unicodedata.category(before[-1]).startswith("P")
    return "" if full_stop or (solid(before[-1]) and solid(after[0])) else " "


def joined(parts: Iterable[str]) -> str:
    """Stripped texts as one, with spaces where their script has them."""
    whole, last = [], ""
    for part in parts:
        if part:
            whole += [space_between(last, part), part]
            last = part
    return "".join(whole)


def may_part(before: str, after: str) -> bool:
    """Whether a text in a solid script may be divided between these characters: not before a mark or closing punctuation."""
    if before in _LEADING_VOWELS or after in _TRAILING_VOWELS:
        return False
    return solid(before) != solid(after) or unicodedata.category(after)[0] not in "MP"
