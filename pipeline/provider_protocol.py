"""What a provider is to the rest of the floor; `providers/base.py` tells how to add one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard, runtime_checkable

from pipeline.cut.cutter import CutProfile
from pipeline.errors import ProviderRefused
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.transcript import Heard, Segment, TokenUsage, Word

OPENAI_VOICES = (
    "alloy",
    "ash",
    "ballad",
    "cedar",
    "coral",
    "echo",
    "fable",
    "marin",
    "nova",
    "onyx",
    "sage",
    "shimmer",
    "verse",
)


@runtime_checkable
class Transcriber(Protocol):
    """Turns sound into text. `profile` says how long its chunks may be."""

    name: str
    local: bool
    profile: CutProfile

    def hear(self, pcm: bytes, options: TranscriptionOptions, model: str) -> Heard:
        """Text and times of s16le mono 16 kHz sound; times are in ms from its first sample. Raises ProviderError."""
        ...


@dataclass(frozen=True)
class Takes:
    """Which files go to a provider as they are: containers as `audio.sniff` calls them, bytes and seconds at most."""

    containers: frozenset[str]
    max_bytes: int
    max_s: float


class FileRefused(ProviderRefused):
    """The provider does not take this file as it is."""


class Particular(Transcriber, Protocol):
    """What a transcriber has besides if its models want different chunks."""

    def profile_for(self, options: TranscriptionOptions, model: str) -> CutProfile:
        """How to cut what is asked of this model."""
        ...


class Live(Transcriber, Protocol):
    """What a transcriber has besides if it is heard sooner by other chunks."""

    live_profile: CutProfile  # for one who reads while it is heard


Align = Callable[[bytes, str, str | None], Sequence[Word]]  # as `Aligner.align`, of one model


class Aligner(Transcriber, Protocol):
    """What a transcriber has besides if it can tell when a text that somebody else heard is said."""

    def align(self, pcm: bytes, text: str, language: str | None, model: str) -> Sequence[Word]:
        """The text's pieces, in order, in ms from the first sample; none where it cannot tell. Raises ProviderError."""
        ...


class HearsFiles(Transcriber, Protocol):
    """What a transcriber has besides if it takes whole files."""

    takes: Takes
    in_greenlets: bool  # whether `hear_file` waits in no other way than `pipeline.concurrency.greenlet_io` offers

    def hear_file(  # noqa: PLR0917  # as `hear`, with what a file is besides
        self, data: bytes, filename: str, media_type: str, duration_ms: int, options: TranscriptionOptions, model: str
    ) -> Heard:
        """As `hear`, of a file that `takes` permits. Raises ProviderError; FileRefused when it should be decoded after all."""
        ...


def is_particular(transcriber: Transcriber) -> TypeGuard[Particular]:
    """By its method's name alone: every request asks, and `isinstance` with a protocol is slow."""
    return hasattr(transcriber, "profile_for")


def is_live(transcriber: Transcriber) -> TypeGuard[Live]:
    """Whether it has chunks for one who reads while it is heard."""
    return hasattr(transcriber, "live_profile")


def is_aligner(transcriber: Transcriber) -> TypeGuard[Aligner]:
    """Whether it lays texts over sound."""
    return hasattr(transcriber, "align")


def hears_files(transcriber: Transcriber) -> TypeGuard[HearsFiles]:
    """Whether it takes whole files; asked in the same way."""
    return hasattr(transcriber, "hear_file")


@runtime_checkable
class Speaker(Protocol):
    """Turns text into sound of `sample_rate` Hz."""

    name: str
    local: bool
    sample_rate: int

    def speak(self, options: SpeechOptions, model: str) -> Iterator[bytes]:
        """Blocks of s16le mono sound, the first as early as possible. Raises ProviderError; UnsupportedValue(param=...)."""
        ...


class Voice(Iterator[bytes]):
    """The blocks of a speech, and who speaks it, which is known from the first block on.

    `usage` is what it cost in tokens, after the last block and where the provider counts them.
    """

    model_used: str
    usage: TokenUsage | None = None

    def close(self) -> None:
        """Let go of what is behind it, when it is left early."""


class Closable(Protocol):
    """Something that holds processes or connections."""

    def close(self) -> None:
        """Let go of everything; calling it again does nothing."""
        ...


@dataclass(frozen=True)
class Provider:
    """What `open_provider` returns: what it can do, what must be closed at the end, how it is made ready beforehand, and whether
    whoever calls it may stand in its engine's line for longer than the work takes."""

    transcriber: Transcriber | None = None
    speaker: Speaker | None = None
    resources: tuple[Closable, ...] = ()
    warm: Callable[[], None] | None = None  # raises ProviderError
    has_line: bool = False

    def close(self) -> None:
        """Close what the provider opened."""
        for resource in self.resources:
            resource.close()


def phrases(words: Iterable[Word], *, pause_ms: int = 500, longest_ms: int = 10_000) -> Iterator[Segment]:
    """Segments for a provider that knows words only: a new one begins after a pause, or when one would grow too long."""
    held: list[Word] = []
    for word in words:
        if held and (word.start - held[-1].end >= pause_ms or word.end - held[0].start > longest_ms):
            yield _phrase(held)
            held = []
        held.append(word)
    if held:
        yield _phrase(held)


def _phrase(words: list[Word]) -> Segment:
    text = " ".join(word.text for word in words)
    return Segment(text=text, start=words[0].start, end=words[-1].end, words=tuple(words))
