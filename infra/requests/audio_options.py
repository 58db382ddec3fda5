"""The OpenAI names of a transcription's and of speech's options, as they come over HTTP.

Forms carry text, SDKs write lists as `name[]` and objects as `name[key]`, people with curl write neither: all of it is
taken. Fields that nobody knows are ignored, because SDKs' `extra_body` sends anything (contract.md section 1), and told.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from infra.requests.json_text import parsed
from infra.requests.known_speakers import check_reference
from pipeline import formats
from pipeline.audio.raw_sound import MOST_CHANNELS, RATES, RawFormat, RawSound, raw_sound
from pipeline.errors import InvalidRequest, UnsupportedValue
from pipeline.options import (
    MOST_SPEAKERS,
    MOST_TRACKS,
    Channels,
    Granularity,
    SpeechGate,
    SpeechOptions,
    TranscriptionOptions,
    VoiceActivity,
    asked_speakers,
    asked_track,
)
from pipeline.text.languages import asked_language

MAX_INPUT = 4096  # characters of one utterance
MAX_PROMPT = 100_000  # characters
MAX_SPEAKERS = 4
MAX_VOICE = 200  # characters of a voice's name
INCLUDABLE = ("logprobs",)
NOT_IN_TRANSLATIONS = (  # contract.md section 2: what translations do not take is ignored there
    "keywords", "include", "timestamp_granularities", "chunking_strategy",
    "known_speaker_names", "known_speaker_references",
)  # fmt: skip
_KNOWN = {
    "transcription": tuple(TranscriptionOptions.model_fields),
    "translation": tuple(name for name in TranscriptionOptions.model_fields if name not in NOT_IN_TRANSLATIONS),
}
Keyword = Annotated[str, StringConstraints(min_length=1, max_length=200)]
TrackNumber = Annotated[int, Field(ge=1, le=MOST_TRACKS)]
HowMany = Annotated[int, Field(ge=1, le=MOST_SPEAKERS)]
SpeakerName = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]


def _as_list(value: Any) -> Any:
    """One bare value is a list of one; JSON text is what it says; `name[0]`, `name[1]` are a list, too."""
    if isinstance(value, str):
        return _parsed(value) if value.lstrip().startswith("[") else [value]
    if isinstance(value, dict) and value and all(isinstance(key, str) and key.isdecimal() for key in value):
        return [value[key] for key in sorted(value, key=int)]
    return value


def _parsed(value: Any) -> Any:
    """An object or a list that a form carries as JSON text."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return parsed(value.encode())
    except InvalidRequest as error:
        raise ValueError(f"An object must be written as name[key]=value or as JSON. {error.message}") from error


def _unset(value: Any) -> Any:
    """A form cannot say null: SDKs for JavaScript tell people to write the word."""
    return None if isinstance(value, str) and value in ("", "null") else value


Parsed = BeforeValidator(_parsed)
Unset = BeforeValidator(_unset)
Many: Callable[[], BeforeValidator] = partial(BeforeValidator, _as_list)


class Lenient(BaseModel):
    """Unknown fields are taken and ignored."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class TranscriptionFields(Lenient):
    """What POST /v1/audio/transcriptions takes besides the file."""

    model: str = Field(min_length=1, max_length=200, description="A model's id; see GET /v1/models.")
    language: Annotated[str | None, Unset] = Field(
        None, description="ISO 639-1, such as `en`, one that the model hears; `auto` or unset: found out."
    )
    prompt: str | None = Field(
        None, max_length=MAX_PROMPT, description="What precedes the recording, or how names are spelt."
    )
    response_format: Annotated[str | None, Unset] = Field(
        None,
        description="json (default), text, srt, verbose_json, vtt; diarized_json where speakers can be told apart.",
    )
    temperature: Annotated[float | None, Unset] = Field(None, ge=0.0, le=1.0, allow_inf_nan=False)
    timestamp_granularities: Annotated[list[Granularity] | None, Many(), Unset] = Field(
        None, max_length=2, description="`segment` (default), `word`, or both; shown by verbose_json."
    )
    stream: Annotated[bool | None, Unset] = Field(None, description="true: server-sent events while it is transcribed.")
    languages: Annotated[list[str] | None, Many(), Unset] = Field(
        None,
        max_length=100,
        description="ISO 639-1 codes of the languages that may occur; all of them such as the model hears.",
    )
    keywords: Annotated[list[Keyword] | None, Many(), Unset] = Field(
        None, max_length=1000, description="Words that are likely to occur, spelt as they shall be: a hint."
    )
    include: Annotated[list[str] | None, Many(), Unset] = Field(
        None, description="`logprobs`: in json, where the provider that did the work reports them."
    )
    chunking_strategy: Annotated[Any, Parsed, Unset] = Field(
        None,
        description='"auto", or an object of type "server_vad" with prefix_padding_ms, silence_duration_ms, threshold.',
        json_schema_extra={"anyOf": [{"const": "auto"}, VoiceActivity.model_json_schema(), {"type": "null"}]},
    )
    known_speaker_names: Annotated[list[SpeakerName] | None, Many(), Unset] = Field(
        None, max_length=MAX_SPEAKERS, description="For diarized_json: who speaks."
    )
    known_speaker_references: Annotated[list[str] | None, Many(), Unset] = Field(
        None, max_length=MAX_SPEAKERS, description="A `data:` URL with 2 to 10 s of each of them, in the same order."
    )
    channels: Annotated[Channels | None, Unset] = Field(
        None, description="separate: each channel is transcribed on its own, and its segments say which."
    )
    audio_track: Annotated[TrackNumber | Literal["all"] | None, BeforeValidator(asked_track), Unset] = Field(
        None,
        description="Of a file with several: a number from 1, or `all`, each by itself. Unset: its main one.",
    )
    speech_gate: Annotated[SpeechGate | None, Unset] = Field(
        None, description="`auto` (default): silence and steady noise are put to no provider; `off`: all sound is."
    )
    speakers: Annotated[HowMany | Literal["auto"] | None, BeforeValidator(asked_speakers), Unset] = Field(
        None, description="`auto`, or how many there are: segments and words say who speaks. Not for translations."
    )
    input_format: Annotated[RawFormat | None, Unset] = Field(
        None, description="What a recording without a header is: s16le, mulaw, alaw or g722. Stands before the file."
    )
    input_sample_rate: Annotated[int | None, Unset] = Field(
        None, ge=RATES[0], le=RATES[1], description="Samples per second of each channel; with `input_format`."
    )
    input_channels: Annotated[int | None, Unset] = Field(
        None, ge=1, le=MOST_CHANNELS, description="Interleaved channels; with `input_format`."
    )

    @field_validator("language")
    @classmethod
    def _language(cls, value: str | None) -> str | None:
        return asked_language(value)

    @field_validator("languages")
    @classmethod
    def _languages(cls, value: list[str] | None) -> list[str] | None:
        codes = [asked_language(one, param="languages") for one in value or ()]
        return list(dict.fromkeys(code for code in codes if code)) or None

    @field_validator("include")
    @classmethod
    def _include(cls, value: list[str] | None) -> list[str] | None:
        for name in value or ():
            if name not in INCLUDABLE:
                offered = ", ".join(INCLUDABLE)
                raise UnsupportedValue(f"{name[:64]!r} cannot be included. Offered: {offered}.", param="include")
        return list(dict.fromkeys(value)) if value else None

    @field_validator("chunking_strategy")
    @classmethod
    def _chunking_strategy(cls, value: Any) -> Literal["auto"] | VoiceActivity | None:
        return _strategy(value)

    @field_validator("known_speaker_references")
    @classmethod
    def _references(cls, value: list[str] | None) -> list[str] | None:
        for reference in value or ():
            check_reference(reference)
        return value

    @model_validator(mode="after")
    def _one_reference_each(self) -> TranscriptionFields:
        names, references = self.known_speaker_names or (), self.known_speaker_references or ()
        if len(set(names)) < len(names):
            raise UnsupportedValue("Each of the known speakers needs a name of its own.", param="known_speaker_names")
        if references and len(references) != len(names):
            told = f"There are {len(names)} known_speaker_names and {len(references)} known_speaker_references."
            raise UnsupportedValue(f"{told} Send one reference for each name.", param="known_speaker_references")
        return self

    @field_validator("response_format")
    @classmethod
    def _response_format(cls, value: str | None) -> str | None:
        if value is not None:
            formats.load(value)
        return value

    @model_validator(mode="after")
    def _declared(self) -> Self:
        _ = self.raw
        return self

    @property
    def raw(self) -> RawSound | None:
        """What the recording was declared to be, where it has no header. Raises InvalidRequest naming what is missing."""
        return raw_sound(self.input_format, self.input_sample_rate, self.input_channels)

    def unused_in_translations(self) -> list[str]:
        """What was given and has no effect there."""
        return [name for name in (*NOT_IN_TRANSLATIONS, "stream") if name in self.model_fields_set]

    def options(self, task: Literal["transcription", "translation"]) -> TranscriptionOptions:
        """The same as the pipeline's value. Raises UnsupportedValue for what the task cannot do."""
        if task == "translation" and self.speakers is not None:
            raise UnsupportedValue("A translation does not say who speaks: leave `speakers` out.", param="speakers")
        given = {name: value for name in _KNOWN[task] if (value := getattr(self, name, None)) is not None}
        return TranscriptionOptions(**{**given, "task": task})


def _strategy(value: Any) -> Literal["auto"] | VoiceActivity | None:
    """What `chunking_strategy` may be; fields of the object that nobody knows are ignored."""
    if value is None:
        return None
    if value == "auto":
        return "auto"
    if isinstance(value, VoiceActivity):
        return value
    if not isinstance(value, dict) or value.get("type") != "server_vad":
        raise ValueError("chunking_strategy must be 'auto' or an object of type 'server_vad'.")
    try:
        return VoiceActivity.model_validate({name: value[name] for name in VoiceActivity.model_fields if name in value})
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"chunking_strategy.{first['loc'][0]}: {first['msg']}") from None


class VoiceId(Lenient):
    """A voice of one's own, as newer SDKs name it."""

    id: str = Field(min_length=1, max_length=200)


def _named(value: Any) -> Any:
    name = value.get("id") if isinstance(value, dict) else value
    if not isinstance(name, str) or not 0 < len(name) <= MAX_VOICE:
        raise ValueError('voice must be a name, such as "alloy", or an object such as {"id": "voice_1234"}.')
    return value


AnyVoice = Annotated[str | VoiceId, BeforeValidator(_named)]


TEXT_LANGUAGE = (
    "The text's language, where the embedded voices should not go by the text itself: an ISO 639 code or a name."
)


class SpeechFields(Lenient):
    """What POST /v1/audio/speech takes."""

    model: str = Field(min_length=1, max_length=200, description="A model's id; see GET /v1/models.")
    input: str = Field("", validate_default=True, description=f"The text, at most {MAX_INPUT} characters.")
    voice: AnyVoice = Field(
        description='Such as alloy, one of the model\'s voices (GET /v1/models/{model}), or {"id": "…"}.'
    )
    language: str | None = Field(None, description=TEXT_LANGUAGE)
    instructions: str | None = Field(None, max_length=MAX_INPUT)
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = Field(
        None, description="mp3 (default)."
    )
    speed: float | None = Field(None, ge=0.25, le=4.0, allow_inf_nan=False)
    stream_format: Literal["audio", "sse"] | None = None

    @field_validator("language")
    @classmethod
    def _language(cls, value: str | None) -> str | None:
        return asked_language(value)

    @field_validator("input", mode="before")
    @classmethod
    def _given(cls, value: Any) -> Any:
        return "" if value is None else value

    @field_validator("input")
    @classmethod
    def _input(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("input text is required")
        if len(value) > MAX_INPUT:
            raise ValueError(f"The input text is longer than {MAX_INPUT} characters.")
        return value

    def options(self) -> SpeechOptions:
        """The same as the pipeline's value."""
        given = self.model_dump(include=set(SpeechOptions.model_fields) - {"voice"}, exclude_none=True)
        voice = self.voice if isinstance(self.voice, str) else self.voice.id
        return SpeechOptions(**given, voice=voice)
