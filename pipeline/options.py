"""What a caller may ask for, checked once at the door and passed down as values."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.audio.raw_sound import MOST_CHANNELS, RATES, RawFormat, RawSound, raw_sound
from pipeline.errors import UnsupportedValue

Task = Literal["transcription", "translation", "speech"]
Granularity = Literal["word", "segment"]
Channels = Literal["mix", "separate"]
SpeechGate = Literal["auto", "off"]
DIARIZED = "diarized_json"  # the one format that not every model can give
MOST_MS = 600_000  # of what is left around speech, or makes a pause of silence
TIMELESS = ("json", "text")  # formats that show no times
MOST_TRACKS = 1000  # that a file could have; how many it has, it tells
_DIGITS = re.compile("[0-9]{1,4}")
MOST_SPEAKERS = 20
SPEECH_FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


def asked_track(value: object) -> int | Literal["all"] | None:
    """`audio_track` as callers write it, a number also in digits. Raises UnsupportedValue."""
    if value is None or value == "all":
        return value
    number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MOST_TRACKS:
        raise UnsupportedValue('`audio_track` is the number of a track, from 1, or "all".', param="audio_track")
    return number


def asked_speakers(value: object) -> int | Literal["auto"] | None:
    """`speakers` as callers write it, a number also in digits. Raises UnsupportedValue."""
    if value is None or value == "auto":
        return value
    number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MOST_SPEAKERS:
        told = f'`speakers` is "auto", or how many there are: 1 to {MOST_SPEAKERS}.'
        raise UnsupportedValue(told, param="speakers")
    return number


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VoiceActivity(_Frozen):
    """OpenAI's `server_vad` chunking; milliseconds, and a threshold of 0..1."""

    type: Literal["server_vad"] = "server_vad"
    prefix_padding_ms: int = Field(300, ge=0, le=MOST_MS)
    silence_duration_ms: int = Field(200, ge=0, le=MOST_MS)
    threshold: float = Field(0.5, ge=0.0, le=1.0)


class TranscriptionOptions(_Frozen):
    """The OpenAI names, verbatim; unset means the provider's own default.

    `language` is one the caller is sure of, or, `pinned`, one that we found ourselves; `languages` are those that may occur.
    `known_speaker_references` are data: URLs with 2 to 10 s of each of the `known_speaker_names`. The three `input_…` say what a
    recording without a header is. `audio_track`, from 1: that one, or all, each by itself; unset: the file's main one.
    `speakers`: voices are told apart, as many as there are or so many.
    `speech_gate`: "auto" keeps silence and steady noise from the provider, "off" nothing but
    digital silence. `word_times`: words with their times are wanted whatever the format, as of a text that is kept.
    """

    model: str
    task: Literal["transcription", "translation"] = "transcription"
    language: str | None = None
    pinned: bool = False
    prompt: str | None = None
    temperature: float = Field(0.0, ge=0.0, le=1.0)
    response_format: str = "json"
    timestamp_granularities: tuple[Granularity, ...] = ("segment",)
    languages: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    include: tuple[Literal["logprobs"], ...] = ()
    chunking_strategy: Literal["auto"] | VoiceActivity | None = None
    known_speaker_names: tuple[str, ...] = Field((), max_length=4)
    known_speaker_references: tuple[str, ...] = Field((), max_length=4)
    channels: Channels = "mix"
    audio_track: Annotated[int, Field(ge=1, le=MOST_TRACKS)] | Literal["all"] | None = None
    input_format: RawFormat | None = None
    input_sample_rate: int | None = Field(None, ge=RATES[0], le=RATES[1])
    input_channels: int | None = Field(None, ge=1, le=MOST_CHANNELS)
    speech_gate: SpeechGate = "auto"
    word_times: bool = False
    speakers: Annotated[int, Field(ge=1, le=MOST_SPEAKERS)] | Literal["auto"] | None = None

    @property
    def shows_times(self) -> bool:
        """Whether somebody will read when a thing was said. Who said it decides nothing here: the text would be heard otherwise."""
        return self.word_times or self.response_format not in TIMELESS

    @property
    def gated(self) -> bool:
        """Whether silence and steady noise are kept from the provider."""
        return self.speech_gate == "auto"

    @property
    def raw(self) -> RawSound | None:
        """What the recording was declared to be, where it has no header. Raises InvalidRequest where half of that is missing."""
        return raw_sound(self.input_format, self.input_sample_rate, self.input_channels)

    @property
    def separate(self) -> bool:
        """Whether each channel is heard by itself."""
        return self.channels == "separate"

    @property
    def apart(self) -> bool:
        """Whether several sounds of one recording are heard, each by itself: then it is they who tell who speaks."""
        return self.separate or self.audio_track == "all"

    @property
    def diarized(self) -> bool:
        """Whether the answer is to say who speaks."""
        return self.response_format == DIARIZED

    @property
    def tells_apart(self) -> bool:
        """Whether the speakers are to be told apart, in whatever format."""
        return self.task == "transcription" and (self.diarized or self.speakers is not None)

    @property
    def text_language(self) -> str | None:
        """The language of the text, where the caller has told it: of a translation only that of the sound is told."""
        return self.language if self.task == "transcription" else None


class SpeechOptions(_Frozen):
    """One utterance: at most 4,096 characters on the synchronous endpoint.

    `language`: the text's, where the caller has told it; else embedded voices go by the text itself.
    """

    model: str
    input: str = Field(min_length=1)
    voice: str = "alloy"
    language: str | None = None
    instructions: str | None = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0)
