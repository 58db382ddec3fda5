"""A text laid over more sound than an aligner hears at once: window by window, each of them believed but for its end.

How much of the text belongs to a window is guessed by its share of the speech. A wrong guess makes the window's last words wrong:
so the next window begins with these once more. A window that tells nothing is the last: no times are invented behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import accumulate, takewhile

from pipeline.errors import ProviderError
from pipeline.provider_protocol import Align
from pipeline.recognition.word_times import in_speech, speech_in, whole_words
from pipeline.text.segment_words import word_places
from pipeline.transcript import SAMPLES_PER_MS, Word, samples_to_ms

_WINDOW, _BELIEVED = 30_000, 20_000  # ms
_MORE, _SURE = 1.1, 2 / 3  # of the words that are guessed; of those, how many are believed
_TRIES = 4  # windows for each that the sound is long
_SAMPLE_BYTES = 2
_LOG = logging.getLogger(__name__)

Speech = Sequence[tuple[int, int]]


def laid_over(text: str, pcm: bytes, language: str | None, align: Align) -> tuple[Word, ...]:
    """The text's words in ms from the first sample of s16le mono 16 kHz sound, as far as they can be told from its beginning."""
    speech, end = speech_in(pcm), samples_to_ms(len(pcm) // _SAMPLE_BYTES)
    found, rest, at = list[Word](), text.strip(), 0
    for _ in range(_TRIES * (1 + end // _WINDOW)):
        at = next((max(at, start) for start, stop in speech if stop > at), at)
        final = end - at <= _WINDOW
        shown = rest if final else _guessed(rest, _within(speech, at, at + _WINDOW) / max(1, _within(speech, at, end)))
        words = list(_window(shown, pcm, at, language, align))
        words = words if final else _sure(words, at + _BELIEVED)
        if not words:
            break
        found += [in_speech(word, speech) for word in words]
        rest = rest[word_places(rest)[len(words) - 1][1] :].strip()
        if not rest:
            break
        at = words[-1].end
    return tuple(found)


def _window(text: str, pcm: bytes, at: int, language: str | None, align: Align) -> Iterator[Word]:
    first, last = (_SAMPLE_BYTES * SAMPLES_PER_MS * ms for ms in (at, at + _WINDOW))
    try:
        pieces = align(pcm[first:last], text, language)
    except ProviderError as error:
        _LOG.warning("the words of a text are not timed: %s", error)
        return
    if pieces:
        yield from (Word(word.text, at + word.start, at + word.end) for word in whole_words(text, pieces))


def _guessed(text: str, share: float) -> str:
    """So much of it, and a little more, but at least a word."""
    places = word_places(text)
    letters = list(accumulate(end - start for start, end in places))
    count = sum(1 for _ in takewhile(lambda one: one <= _MORE * share * letters[-1], letters))
    return text[: places[max(0, count - 1)][1]]


def _sure(words: Sequence[Word], until: int) -> list[Word]:
    most = max(1, round(_SURE * len(words)))
    return list(takewhile(lambda word: word.end <= until, words[:most]))


def _within(speech: Speech, first: int, last: int) -> int:
    return sum(max(0, min(end, last) - max(start, first)) for start, end in speech)
