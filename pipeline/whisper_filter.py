"""What a Whisper model answers for one window of sound: what is tried again, and the segments that are made of it.

Whisper's own rules tell what is doubtful, from its figures; batched decoding reports them but does not act on them. Where they
would have a text thrown away as a guess at silence, it is kept and marked: a lone word in a quiet room often looks like one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.transcript import Segment, Word

LOOPS = 2.4  # compression ratio of the text above which it goes round in circles
UNSURE = -1.0  # mean log probability of its tokens below which the text is a guess
SILENT = 0.6  # probability of no speech above which a guess is one at silence

_PAUSE_S, _LONGEST_S = 0.5, 10.0
_ENDS = (".", "?", "!", "。", "？", "！", "…")  # noqa: RUF001 - the full-width ones of Chinese and Japanese


@dataclass(frozen=True, slots=True)
class FoundWord:
    """One word with the space before it, and its tokens; seconds from the window's beginning."""

    text: str
    start: float
    end: float
    probability: float
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """One stretch of text; seconds from the window's beginning."""

    text: str
    start: float
    end: float
    words: tuple[FoundWord, ...]
    tokens: tuple[int, ...]
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    temperature: float


def is_silence(found: Sequence[Found]) -> bool:
    """Whether the model took the window for silence and only guessed at a text."""
    return all(map(_is_unsure, found))


def _is_unsure(one: Found) -> bool:
    return one.no_speech_prob > SILENT and one.avg_logprob < UNSURE


def is_doubtful(found: Sequence[Found]) -> bool:
    """Whether the window should be decoded again, with some chance in it."""
    return any(one.compression_ratio > LOOPS or one.avg_logprob < UNSURE for one in found)


def more_likely(one: Sequence[Found], other: Sequence[Found]) -> Sequence[Found]:
    """The one that loops less; of two that are alike in this, the surer one."""
    return min(one, other, key=_doubt)


def _doubt(found: Sequence[Found]) -> tuple[bool, float]:
    loops = any(one.compression_ratio > LOOPS for one in found)
    return loops, -min((one.avg_logprob for one in found), default=float("-inf"))


def segments(found: Sequence[Found], *, duration: int) -> Iterator[Segment]:
    """Sentences in ms, of a window of `duration` ms: a new one begins after a full stop, a pause, or when it grows too long.

    The model's figures are those of the whole stretch.
    """
    at = 0
    for one in found:
        for words in _sentences(one.words) if one.words else [()]:
            segment = _segment(one, words, at, duration)
            if segment.text:
                yield segment
                at = segment.end


def _sentences(words: Sequence[FoundWord]) -> Iterator[Sequence[FoundWord]]:
    held: list[FoundWord] = []
    for word in words:
        if held and (
            held[-1].text.rstrip().endswith(_ENDS)
            or word.start - held[-1].end >= _PAUSE_S
            or word.end - held[0].start > _LONGEST_S
        ):
            yield held
            held = []
        held.append(word)
    if held:
        yield held


def _segment(found: Found, words: Sequence[FoundWord], at: int, duration: int) -> Segment:
    timed = tuple(_in_order(words, at, duration))
    start, end = (timed[0].start, timed[-1].end) if timed else (_ms(found.start, at, duration), 0)
    text = "".join(word.text for word in words) if words else found.text
    return Segment(
        text=text.strip(),
        start=start,
        end=end if timed else _ms(found.end, start, duration),
        words=timed,
        avg_logprob=round(found.avg_logprob, 4),
        compression_ratio=round(found.compression_ratio, 4),
        no_speech_prob=round(found.no_speech_prob, 4),
        temperature=found.temperature,
        tokens=tuple(token for word in words for token in word.tokens) if words else found.tokens,
        suspect=("no_speech",) if _is_unsure(found) else (),
    )


def _in_order(words: Sequence[FoundWord], at: int, duration: int) -> Iterator[Word]:
    for word in words:
        if text := word.text.strip():
            start = _ms(word.start, at, duration)
            at = _ms(word.end, start, duration)
            yield Word(text, start, at, confidence=round(min(1.0, max(0.0, word.probability)), 4))


def _ms(seconds: float, earliest: int, latest: int) -> int:
    return min(latest, max(earliest, round(1000 * seconds)))
