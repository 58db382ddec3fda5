"""What was said, and when: frozen values in integer milliseconds.

A `Heard` is one provider's answer for one chunk, on the chunk's own clock. A `Transcript` is the whole recording's, on the
recording's clock. Invariants of a Transcript: `0 <= start <= end <= duration` for every word and segment, starts never
decrease, and no word lies outside its segment.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

from pydantic import TypeAdapter

from pipeline.word_spacing import joined

_T = TypeVar("_T")

SAMPLE_RATE = 16_000  # Hz; every provider hears 16 kHz mono s16
SAMPLES_PER_MS = SAMPLE_RATE // 1000


def samples_to_ms(samples: int) -> int:
    """The one rounding from samples to milliseconds: to the nearest, halves up."""
    return (2 * samples + SAMPLES_PER_MS) // (2 * SAMPLES_PER_MS)


@dataclass_transform(frozen_default=True)
def _value(cls: type[_T]) -> type[_T]:
    """A frozen dataclass to whoever checks types, and quick to make: frozen at run time, too, it takes three times as long.

    Each word of hours of speech is made anew several times on its way.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


@_value
class Word:
    """One word with its time in ms; `confidence` is 0..1 where the provider knows it."""

    text: str
    start: int
    end: int
    confidence: float | None = None


@_value
class Segment:
    """A stretch of speech in ms. `words` is empty when the provider gives no word times.

    The whisper figures (avg_logprob and so on) are None where the provider does not report them. `suspect` holds the
    reasons for which the text may be invented; suspects are flagged, never silently deleted. `speaker_confidence` is 0..1 where
    the speakers were told apart here.
    """

    text: str
    start: int
    end: int
    words: tuple[Word, ...] = ()
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None
    temperature: float | None = None
    tokens: tuple[int, ...] = ()
    speaker: str | None = None
    channel: int | None = None  # from 0, where each was heard by itself
    track: int | None = None  # from 1, likewise
    speaker_confidence: float | None = None
    suspect: tuple[str, ...] = ()

    def told(
        self, text: str, start: int, end: int, words: tuple[Word, ...], suspect: tuple[str, ...] | None = None
    ) -> Segment:
        """The same with these. `dataclasses.replace` takes twice as long, and stitching hours makes a segment anew for each."""
        reasons = self.suspect if suspect is None else suspect
        return Segment(text, start, end, words, *(*_figures(self), reasons))


_figures = attrgetter(*(field.name for field in fields(Segment)[4:-1]))  # all that `told` leaves as it is


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens by direction and kind, as the provider counted them."""

    text_in: int = 0
    audio_in: int = 0
    text_out: int = 0
    audio_out: int = 0

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            self.text_in + other.text_in,
            self.audio_in + other.audio_in,
            self.text_out + other.text_out,
            self.audio_out + other.audio_out,
        )


@dataclass(frozen=True, slots=True)
class Logprob:
    """How sure the model was of one token: the natural logarithm of its probability; `bytes` are its UTF-8."""

    token: str
    logprob: float
    bytes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Voiceprints:
    """How whoever speaks in a chunk sounds: windows of its speech, [start, end) in samples on the recording's clock, and for each
    of them a vector of unit length; `vectors` are all of these as float16 in base64. `mixed` are the numbers of the windows in
    which more than one person speaks. `words`, in ms on the recording's clock, are those of a text that came without times, which
    are told here only to know whose each is."""

    places: tuple[tuple[int, int], ...] = ()
    vectors: str = ""
    mixed: tuple[int, ...] = ()
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class SpeakersFound:
    """How many speakers were told apart, and how sure that is: 0..1, weighted by time."""

    found: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Heard:
    """A provider's answer for one chunk; times in ms from the chunk's first sample.

    `timed` says whether the segments' times are the provider's own: False for a text that was merely laid over the chunk.
    `usage`, `logprobs` and `duration` are there only where the provider reports them. `voiceprints` are our own, where speakers are
    to be told apart; None where that failed.
    """

    segments: tuple[Segment, ...] = ()
    language: str | None = None  # ISO 639-1
    model_used: str = ""
    timed: bool = True
    languages: tuple[str, ...] = ()  # ISO 639-1, of a provider that names several
    usage: TokenUsage | None = None
    logprobs: tuple[Logprob, ...] = ()
    duration: int | None = None  # ms that the provider says it heard
    voiceprints: Voiceprints | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch in ms of which nothing is known: its chunk failed, or the recording has no sound there that can be decoded.

    `reason` is the code in words; `retryable` says whether another try can fill the gap. `lost` says that there was sound which is
    missing for good; in a hole there never was any.
    """

    start: int
    end: int
    code: str
    chunk: int | None = None
    channel: int | None = None  # from 0, where each was heard by itself
    reason: str = ""
    retryable: bool = True
    track: int | None = None  # from 1, where several were heard
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Caution:
    """Something about a recording that its owner should know, at `start` to `end` in ms. API: an entry of `warnings`."""

    code: str
    start: int
    end: int
    message: str
    lost: bool = False  # whether sound is missing for good


@dataclass(frozen=True, slots=True)
class NotSent:
    """A stretch in ms that was decoded but put to no provider, and why: "silence", or "steady", the same hum or noise all along."""

    start: int
    end: int
    reason: str
    channel: int | None = None  # from 0, where each was heard by itself
    track: int | None = None  # from 1, where several were heard


@dataclass(frozen=True, slots=True)
class Seams:
    """How the recording was cut: how many seams lie in silence, in a short pause, or had to be forced."""

    silence: int = 0
    soft: int = 0
    hard: int = 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many ms of speech were found, how many of them have text, and the chunks where much of it is missing.

    What two chunks both heard counts in both.
    """

    speech: int = 0
    transcribed: int = 0
    chunks_short: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """The whole recording's text; `duration` is the length of its clock in ms, as a player shows it."""

    segments: tuple[Segment, ...]
    duration: int
    language: str | None = None
    task: str = "transcribe"
    model_used: str = ""
    gaps: tuple[Gap, ...] = ()
    seams: Seams = Seams()
    languages: tuple[str, ...] = ()  # ISO 639-1, every one that was heard, where a provider names several
    usage: TokenUsage | None = None  # all chunks' together; None unless every chunk's provider counted
    logprobs: tuple[Logprob, ...] = ()
    coverage: Coverage = Coverage()
    decoded: int | None = None  # ms that were decoded and heard, of all tracks and channels; None: the whole clock's
    warnings: tuple[Caution, ...] = ()
    not_sent: tuple[NotSent, ...] = ()
    speakers: SpeakersFound | None = None  # where they were told apart here

    @property
    def audio_ms(self) -> int:
        """What is billed, and told as used: decoded sound, silence included, without holes and what could not be decoded."""
        return self.duration if self.decoded is None else self.decoded

    @property
    def incomplete(self) -> bool:
        """Whether sound that was there is missing for good."""
        return any(gap.lost for gap in self.gaps) or any(caution.lost for caution in self.warnings)

    @property
    def partial(self) -> bool:
        """Whether a chunk failed that another try may hear."""
        return any(gap.retryable for gap in self.gaps)

    @property
    def text(self) -> str:
        """All segments' text in one line, single spaces between where the script has any."""
        return joined(segment.text.strip() for segment in self.segments)

    @property
    def words(self) -> tuple[Word, ...]:
        """All words in order of their beginning; empty when no provider gave word times."""
        words = (word for segment in self.segments for word in segment.words)
        return tuple(sorted(words, key=lambda word: word.start))  # two channels may speak at once


_HEARD = TypeAdapter(Heard)
_TRANSCRIPT = TypeAdapter(Transcript)


def heard_to_json(heard: Heard) -> bytes:
    """The stored form of a chunk's result."""
    return _HEARD.dump_json(heard, exclude_defaults=True)


def heard_from_json(data: bytes) -> Heard:
    """Raises pydantic.ValidationError on anything `heard_to_json` did not write."""
    return _HEARD.validate_json(data)


def transcript_to_json(transcript: Transcript) -> bytes:
    """The stored form of a job's result; every output format is rendered from it at read time."""
    return _TRANSCRIPT.dump_json(transcript, exclude_defaults=True)


def transcript_from_json(data: bytes) -> Transcript:
    """Raises pydantic.ValidationError on anything `transcript_to_json` did not write."""
    return _TRANSCRIPT.validate_json(data)


def transcript_as_dict(transcript: Transcript) -> dict[str, Any]:
    """The same as plain JSON values."""
    plain: dict[str, Any] = _TRANSCRIPT.dump_python(transcript, mode="json")
    return plain
