"""Long text into pieces that a voice speaks one by one, so that the first sound is there early."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

PASSAGE = 1500  # characters of a job's chunk: some two minutes of sound; many are spoken at the same time

# A sentence ends at its mark, with closing quotes and brackets, before white space; at a CJK mark even without; at a line's end.
_SENTENCE_END = re.compile(r"""(?<=[.!?…])["'”’»)\]]*\s+|(?<=[。！？])\s*|\s*\n\s*""")  # noqa: RUF001 - full-width marks
_CLAUSE_END = re.compile(r"(?<=[,;:])\s+|(?<=[—，、；：])\s*")  # noqa: RUF001 - full-width marks; 3,400 and 18:45 are whole
_SPACE = re.compile(r"\s+")
_LONGEST_ABBREVIATION = 16  # characters, with what may stand before it
# What a full stop ends without ending a sentence: initials, a title or an abbreviation that goes before something.
_WORD_BEGINS = r"(?:^|[\s(\"'“\u2018])"
_GOES_ON = re.compile(
    _WORD_BEGINS + r"(?:Dr|Mr|Mrs|Ms|Prof|Rev|Gen|Sen|Gov|Lt|Capt|Sgt|St|Mt|vs|e\.g|i\.e|cf|approx|No|Fig|Vol|pp)\.$"
)
_LETTERS = re.compile(_WORD_BEGINS + r"(?:[A-Z]\.)*[A-Z]\.$")  # U.S.
# What begins a sentence after letters with full stops, which end none by themselves.
STARTS_SENTENCE = (
    r"(?:The|A|An|It|He|She|They|We|You|I|In|On|At|But|And|So|This|That|These|There|If|When|Then|My|His|Her|Our)\b"
)
# These end one only before a capital letter: "at 9 p.m. on Friday", "Dec. 5".
_GOES_ON_SMALL = re.compile(
    r"(?:(?<![A-Za-z])[ap]\.m|\b(?:etc|Inc|Ltd|Co|Corp|Ave|Blvd|Rd|Jr|Sr|dept|Dept|est|ext|min|max|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct"
    r"|Nov|Dec|Mon|Tues?|Wed|Thurs?|Fri|Sat|Sun))\.$"
)


def sentences(text: str, *, longest: int) -> Iterator[str]:
    """The text in order, in pieces of one sentence each; one of more than `longest` characters is split where it hurts least.

    Only white space is lost. Yields nothing for a text of white space.
    """
    for sentence in _split(_SENTENCE_END, text, goes_on=_goes_on):
        yield from _short_enough(sentence, longest, (_CLAUSE_END, _SPACE))


def passages(text: str, *, longest: int) -> Iterator[str]:
    """Whole sentences together, as many as fit into `longest` characters: for providers that are asked by the request."""
    held = ""
    for sentence in sentences(text, longest=longest):
        if held and len(held) + 1 + len(sentence) > longest:
            yield held
            held = ""
        held = f"{held} {sentence}" if held else sentence
    if held:
        yield held


def _goes_on(piece: str, following: str) -> bool:
    """Whether the full stop at the end of `piece` ends a word only."""
    if _LETTERS.search(piece):
        return not re.match(STARTS_SENTENCE, following)
    small = following[:1].islower() or following[:1].isdigit()
    return bool(_GOES_ON.search(piece) or (small and _GOES_ON_SMALL.search(piece)))


def _split(
    pattern: re.Pattern[str], text: str, *, goes_on: Callable[[str, str], bool] = lambda _, __: False
) -> Iterator[str]:
    start = 0
    for found in pattern.finditer(text):
        piece = text[start : found.end()].strip()
        if "\n" not in found.group() and goes_on(piece[-_LONGEST_ABBREVIATION:], text[found.end() : found.end() + 8]):
            continue
        start = found.end()
        if piece:
            yield piece
    if text[start:].strip():
        yield text[start:].strip()


def _short_enough(text: str, longest: int, finer: tuple[re.Pattern[str], ...]) -> Iterator[str]:
    if len(text) <= longest:
        yield text
    elif finer:
        yield from _packed(_split(finer[0], text), longest, finer[1:])
    else:
        yield from (text[start : start + longest] for start in range(0, len(text), longest))


def _packed(pieces: Iterator[str], longest: int, finer: tuple[re.Pattern[str], ...]) -> Iterator[str]:
    held = ""
    for piece in pieces:
        for part in _short_enough(piece, longest, finer):
            if held and len(held) + 1 + len(part) > longest:
                yield held
                held = ""
            held = f"{held} {part}" if held else part
    if held:
        yield held
