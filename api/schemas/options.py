"""The OpenAI names of a transcription's and of speech's options, as they come over HTTP.

Forms carry text, SDKs write lists as `name[]` and objects as `name[key]`, people with curl write neither: all of it is
taken. Fields that nobody knows are ignored, because SDKs' `extra_body` sends anything (contract.md section 1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from pipeline import formats
from pipeline.options import Granularity, SpeechOptions, TranscriptionOptions

LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})?")
MAX_INPUT = 4096  # characters of one utterance
MAX_PROMPT = 100_000  # characters


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
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError("An object must be written as name[key]=value or as JSON.") from error


def _unset(value: Any) -> Any:
    """A form cannot say null: SDKs for JavaScript tell people to write the word."""
    return None if isinstance(value, str) and value in ("", "null") else value


Parsed = BeforeValidator(_parsed)
Unset = BeforeValidator(_unset)
Many: Callable[[], BeforeValidator] = lambda: BeforeValidator(_as_list)  # noqa: E731


class Lenient(BaseModel):
    """Unknown fields are taken and ignored."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class TranscriptionFields(Lenient):
    """What POST /v1/audio/transcriptions takes besides the file."""

    model: str = Field(min_length=1, max_length=200, description="A model's id; see GET /v1/models.")
    language: Annotated[str | None, Unset] = Field(None, description="ISO 639-1, such as `en`; unset: found out.")
    prompt: str | None = Field(
        None, max_length=MAX_PROMPT, description="What precedes the recording, or how names are spelt."
    )
    response_format: Annotated[str | None, Unset] = Field(
        None, description="json (default), text, srt, verbose_json or vtt."
    )
    temperature: Annotated[float | None, Unset] = Field(None, ge=0.0, le=1.0, allow_inf_nan=False)
    timestamp_granularities: Annotated[list[Granularity] | None, Many(), Unset] = Field(
        None, max_length=2, description="`segment` (default), `word`, or both; shown by verbose_json."
    )
    stream: Annotated[bool | None, Unset] = Field(None, description="true: server-sent events while it is transcribed.")
    include: Annotated[list[str] | None, Many(), Unset] = None
    chunking_strategy: Annotated[Any, Parsed, Unset] = None

    @field_validator("language")
    @classmethod
    def _language(cls, value: str | None) -> str | None:
        if value is not None and not LANGUAGE.fullmatch(value):
            raise ValueError("The language must be an ISO 639-1 code, such as 'en'.")
        return value.replace("_", "-").split("-")[0].lower() if value else None

    @field_validator("response_format")
    @classmethod
    def _response_format(cls, value: str | None) -> str | None:
        if value is not None:
            formats.load(value)
        return value

    def options(self, task: Literal["transcription", "translation"]) -> TranscriptionOptions:
        """The same as the pipeline's value."""
        known = set(TranscriptionOptions.model_fields) - {"include", "chunking_strategy"}
        given = self.model_dump(include=known, exclude_none=True)
        return TranscriptionOptions(**{**given, "task": task})


class VoiceId(Lenient):
    """A voice of one's own, as newer SDKs name it."""

    id: str = Field(min_length=1, max_length=200)


class SpeechFields(Lenient):
    """What POST /v1/audio/speech takes."""

    model: str = Field(min_length=1, max_length=200, description="A model's id; see GET /v1/models.")
    input: str = Field("", validate_default=True, description=f"The text, at most {MAX_INPUT} characters.")
    voice: str | VoiceId = Field("alloy", description="alloy (default) or another; see the README.")
    instructions: str | None = Field(None, max_length=MAX_INPUT)
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = Field(
        None, description="mp3 (default)."
    )
    speed: float | None = Field(None, ge=0.25, le=4.0, allow_inf_nan=False)
    stream_format: Literal["audio", "sse"] | None = None

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
