"""One passage of a long text, spoken by the first route that can, as 24 kHz sound with its sentences in time.

The sentences are joined without clicks or gaps: what a voice leaves silent before and after is cut off, the edges are faded, and
a pause of ours stands between.
"""

from __future__ import annotations

import itertools
import time
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from pydantic import TypeAdapter

from pipeline.audio.encode import encode
from pipeline.audio.quiet_edges import without_quiet_edges
from pipeline.catalog.model import Route
from pipeline.errors import ProviderNonsense
from pipeline.options import SpeechOptions
from pipeline.provider_protocol import Speaker, Voice
from pipeline.provider_registry import ProviderRegistry
from pipeline.routing.next_route import first_that_speaks
from pipeline.text.text_splitter import sentences
from pipeline.text.word_timing import Utterance, laid_over
from pipeline.transcript import Segment, Word

SAMPLE_RATE = 24_000  # Hz, of every recital: OpenAI's pcm
PAUSE_MS = 350  # between two sentences at speed 1
_LONGEST_SENTENCE = 600  # characters; longer ones are shown in pieces
_LENGTH_BYTES = 4


@runtime_checkable
class Reciter(Protocol):
    """A voice that tells when it says each word; optional for a provider that speaks."""

    def recite(self, options: SpeechOptions, model: str) -> Iterator[Utterance]:
        """The text in order. Raises as `Speaker.speak` does."""
        ...


@dataclass(frozen=True, slots=True)
class Recital:
    """A passage that was spoken: 24 kHz s16le mono, and its sentences with their words, in ms from the first sample."""

    pcm: bytes
    sentences: tuple[Segment, ...]
    model_used: str = ""

    @property
    def samples(self) -> int:
        """How many there are."""
        return len(self.pcm) // 2


@dataclass(frozen=True, slots=True)
class _Told:
    """What stands before the sound in a stored recital."""

    sentences: tuple[Segment, ...]
    model_used: str


_TOLD = TypeAdapter(_Told)


def recite(options: SpeechOptions, registry: ProviderRegistry) -> Recital:
    """`options.input`, at most what one request takes, spoken and timed. A text of marks alone is a pause, and no call.

    Raises the one ProviderError, or RoutesExhausted.
    """
    pause_ms = round(PAUSE_MS / options.speed)
    if not sounds(options.input):
        return _joined(iter([Utterance(options.input, b"", SAMPLE_RATE, _mute(options.input))]), SAMPLE_RATE, pause_ms)

    def ask(route: Route, voiced: SpeechOptions) -> Recital:
        speaker, used, began = registry.speaker(route), [route.model], time.monotonic()
        spoken = _joined(_utterances(speaker, voiced, route, used), speaker.sample_rate, pause_ms)
        if not spoken.pcm:
            raise ProviderNonsense("The provider returned no sound", provider=route.provider)
        registry.paces.note(used[-1], 1000 * spoken.samples / speaker.sample_rate, time.monotonic() - began)
        return replace(spoken, pcm=_resampled(spoken.pcm, speaker.sample_rate), model_used=used[-1])

    return first_that_speaks(options, registry.catalog, ask)


def sounds(text: str) -> bool:
    """Whether there is anything to say: a letter, a digit, a symbol; not merely punctuation and what cannot be seen."""
    return any(unicodedata.category(char)[0] in "LMNS" for char in text)


def recital_to_bytes(recital: Recital) -> bytes:
    """The stored form: the length of the JSON, the JSON, the sound."""
    told = _TOLD.dump_json(_Told(recital.sentences, recital.model_used), exclude_defaults=True)
    return len(told).to_bytes(_LENGTH_BYTES, "big") + told + recital.pcm


def recital_from_bytes(data: bytes) -> Recital:
    """Raises pydantic.ValidationError on anything `recital_to_bytes` did not write."""
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
    told = _TOLD.validate_json(data[_LENGTH_BYTES:end])
    return Recital(data[end:], told.sentences, told.model_used)


def recital_samples(head: bytes, size: int) -> int:
    """How many samples a stored recital of `size` bytes has, told by its first bytes."""
    return (size - _LENGTH_BYTES - int.from_bytes(head[:_LENGTH_BYTES], "big")) // 2


def _utterances(speaker: Speaker, options: SpeechOptions, route: Route, used: list[str]) -> Iterator[Utterance]:
    """Adds to `used` which model says that it speaks."""
    if isinstance(speaker, Reciter):
        yield from speaker.recite(options, route.model)
        return
    voice = speaker.speak(options, route.model)
    yield laid_over(options.input, b"".join(voice), speaker.sample_rate)
    used += [voice.model_used] if isinstance(voice, Voice) else []


def _mute(text: str) -> tuple[Word, ...]:
    return laid_over(text, b"", SAMPLE_RATE).words


def _resampled(pcm: bytes, sample_rate: int) -> bytes:
    if sample_rate == SAMPLE_RATE or not pcm:
        return pcm
    return b"".join(encode(iter([pcm]), sample_rate=sample_rate, target="pcm"))


def _joined(utterances: Iterator[Utterance], rate: int, pause_ms: int) -> Recital:
    """Every utterance and a pause after it, so that passages can be laid end to end."""
    sound, told, at = bytearray(), list[Segment](), 0
    for utterance in utterances:
        pcm, cut_ms = without_quiet_edges(utterance.pcm, rate)
        length = round(1000 * (len(pcm) // 2) / rate)
        words = [_moved(word, at - cut_ms, at, at + length) for word in utterance.words]
        told += _sentences(utterance.text, words)
        sound += pcm + bytes(2 * (pause_ms * rate // 1000))
        at = round(1000 * (len(sound) // 2) / rate)
    return Recital(bytes(sound), tuple(told))


def _moved(word: Word, by: int, first: int, last: int) -> Word:
    start, end = (min(max(time + by, first), last) for time in (word.start, word.end))
    return replace(word, start=start, end=max(start, end))


def _sentences(text: str, words: Sequence[Word]) -> Iterator[Segment]:
    """The words grouped as the text's sentences are: a word belongs to the sentence in which its first letter stands."""
    begins = [0, *itertools.accumulate(len(word.text) for word in words)]
    letters = at = 0
    for sentence in sentences(text, longest=_LONGEST_SENTENCE):
        letters += len("".join(sentence.split()))
        end = bisect_left(begins, letters, at, len(words))
        if mine := words[at:end]:
            yield Segment(sentence, mine[0].start, mine[-1].end, tuple(mine))
        at = end
