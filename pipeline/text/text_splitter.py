"""Long text into pieces that a voice speaks one by one, so that the first sound is there early."""

from __future__ import annotations

import re
from collections.abc import Iterator

PASSAGE = 1500  # characters of a job's chunk: some two minutes of sound; many are spoken at the same time

# A sentence ends at its mark, with closing quotes and brackets, before white space; at a CJK mark even without; at a line's end.
_SENTENCE_END = re.compile(r"""(?<=[.!?…])["'”’»)\]]*\s+|(?<=[。！？])\s*|\s*\n\s*""")  # noqa: RUF001 - full-width marks
_CLAUSE_END = re.compile(r"(?<=[,;:—，、；：])\s*")  # noqa: RUF001 - full-width marks
_SPACE = re.compile(r"\s+")
# What a full stop ends without ending a sentence: an initial, or a title or an abbreviation that goes before something.
_GOES_ON = re.compile(
    r"(?:^|[\s(\"'“\u2018])(?:[A-Z]|Dr|Mr|Mrs|Ms|Prof|Rev|Gen|Sen|Gov|St|Mt|vs|e\.g|i\.e|cf|approx|No|Fig|Vol)\.$"
)


def sentences(text: str, *, longest: int) -> Iterator[str]:
    """The text in order, in pieces of one sentence each; one of more than `longest` characters is split where it hurts least.

    Only white space is lost. Yields nothing for a text of white space.
    """
    for sentence in _split(_SENTENCE_END, text, goes_on=_GOES_ON):
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


def _split(pattern: re.Pattern[str], text: str, *, goes_on: re.Pattern[str] | None = None) -> Iterator[str]:
    start = 0
    for found in pattern.finditer(text):
        piece = text[start : found.end()].strip()
        if goes_on and "\n" not in found.group() and goes_on.search(piece):
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
