"""What POST /v1/audio/jobs takes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from infra.keys.tiers import LOW, NORMAL
from infra.links.new_link import AUDIO
from infra.requests.audio_options import (
    MAX_INPUT,
    TEXT_LANGUAGE,
    AnyVoice,
    Lenient,
    Many,
    Parsed,
    TranscriptionFields,
    Unset,
    VoiceId,
)
from infra.requests.number_bounds import EpochSeconds, KeptSeconds, Seconds, WholeSeconds
from infra.webhooks.outbox import JOB_EVENTS, ON_REQUEST
from infra.webhooks.signing_secrets import check_secret
from pipeline import formats
from pipeline.errors import InvalidRequest
from pipeline.money import MOST_USD
from pipeline.options import Task
from pipeline.text.languages import asked_language

Key = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Value = Annotated[str, StringConstraints(max_length=512)]
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
HEADER_VALUE = re.compile(r"[\x20-\x7e\x80-\xff\t]{0,4096}")
MOST_HEADERS = 8192  # characters of all names and values: what the usual servers take
OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect", "range"})
MAX_TEXT = 1_000_000  # characters: some 18 hours of speech
RANGE = re.compile(r"\s{0,9}(\d{1,20}(?:\.\d{1,20})?)\s{0,9}-\s{0,9}(\d{1,20}(?:\.\d{1,20})?)?\s{0,9}", re.ASCII)

PRIORITIES = {"low": LOW, "normal": NORMAL}
LEVEL = {"anyOf": [{"type": "integer", "minimum": LOW, "maximum": 10}, {"enum": list(PRIORITIES)}, {"type": "null"}]}


SHORTEST_LINK, USUAL_LINK, LONGEST_LINK = 1, 86_400, 30 * 86_400  # seconds


class LinkFields(Lenient):
    """A link to a result that needs no key."""

    format: Annotated[str | None, Unset] = Field(
        None,
        description=f"{', '.join(formats.names())}, or {AUDIO}. Unset: the sound of a speech job, else as the job's request said.",
    )
    expires_in: int = Field(
        USUAL_LINK, ge=SHORTEST_LINK, le=LONGEST_LINK, description="Seconds for which it works; a day if unset."
    )

    @field_validator("format")
    @classmethod
    def _format(cls, value: str | None) -> str | None:
        if value not in (None, AUDIO):
            formats.load(value)
        return value


class WebhookFields(Lenient):
    """Where to tell that the job has ended."""

    url: str = Field(min_length=1, max_length=2048)
    events: Annotated[list[str] | None, Many()] = Field(
        None,
        max_length=50,
        description=f"Default: all of {', '.join(JOB_EVENTS)}; {', '.join(ON_REQUEST)} only by name.",
    )
    secret: Annotated[str | None, Unset] = Field(
        None, description="`whsec_` and standard padded base64 of 24 to 64 bytes."
    )

    @field_validator("events")
    @classmethod
    def _events(cls, value: list[str] | None) -> list[str] | None:
        for name in value or ():
            if name not in (*JOB_EVENTS, *ON_REQUEST):
                raise ValueError(f"There is no such event type. Offered: {', '.join((*JOB_EVENTS, *ON_REQUEST))}.")
        return list(dict.fromkeys(value)) if value else value

    @field_validator("secret")
    @classmethod
    def _secret(cls, value: str | None) -> str | None:
        try:
            return None if value is None else check_secret(value)
        except InvalidRequest as error:
            raise ValueError(error.message) from error


class JobWebhookFields(WebhookFields):
    """Where to tell that the job has ended, and how its result is named there."""

    link: Annotated[LinkFields | None, Parsed, Unset] = Field(
        None, description="`transcript_url`, or `audio_url`, is a link that needs no key, made when the job has ended."
    )


class RangeFields(Lenient):
    """A part of a recording in seconds; without an end, until the recording's."""

    start: Seconds = 0.0
    end: Annotated[Seconds | None, Unset] = Field(None, gt=0.0)

    @model_validator(mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        """`{"start": 12.5, "end": 60}`, or "12.5-60", or "12.5-"."""
        if isinstance(value, dict | RangeFields):
            return value
        found = RANGE.fullmatch(value) if isinstance(value, str) else None
        if not found:
            raise ValueError('A range is {"start": seconds, "end": seconds} or "12.5-60".')
        return {"start": found[1], "end": found[2]}

    @model_validator(mode="after")
    def _forwards(self) -> RangeFields:
        if self.end is not None and self.end <= self.start:
            raise ValueError("The range ends before it begins.")
        return self


def level(value: Any) -> Any:
    """A priority's name as its number."""
    return PRIORITIES.get(value, value) if isinstance(value, str) else value


class JobCommon(Lenient):
    """What every job takes besides the options of its task."""

    NOT_OPTIONS: ClassVar[frozenset[str]] = frozenset(
        {"url", "headers", "file_id", "upload_id", "s3_uri", "text", "webhook", "metadata", "client_reference_id"}
    )

    task: Task = "transcription"
    webhook: Annotated[JobWebhookFields | None, Parsed] = None
    priority: Annotated[int | None, BeforeValidator(level), WithJsonSchema(LEVEL), Unset] = Field(
        None,
        ge=-10,
        le=10,
        description="-10 to 10, of which low is -10 and normal 0: which of the account's own jobs come first; low takes only "
        "what all accounts leave over. Tier free: up to 0.",
    )
    complete_by: Annotated[EpochSeconds | None, Unset] = Field(
        None, description="Epoch seconds: a job of the priority low becomes a normal one when it would else be late."
    )
    max_cost: Annotated[float | None, Unset] = Field(None, ge=0.0, le=MOST_USD, allow_inf_nan=False)
    timeout_seconds: Annotated[WholeSeconds | None, Unset] = None
    retention_seconds: Annotated[KeptSeconds | None, Unset] = Field(
        None, description="How long results are kept after the job has ended; 0: they go within a minute."
    )
    on_provider_outage: Annotated[Literal["wait", "fail"] | None, Unset] = Field(
        None,
        description="While no provider of the model answers: wait (default), until the job's time is over, or fail.",
    )
    client_reference_id: Annotated[str | None, Unset] = Field(None, max_length=255)
    metadata: Annotated[dict[Key, Value] | None, Parsed] = Field(None, max_length=16)
    _ignored: tuple[str, ...] = PrivateAttr(())

    @property
    def ignored(self) -> tuple[str, ...]:
        """What was sent besides, and has no effect."""
        return self._ignored

    def ignoring(self, names: Iterable[str]) -> Self:
        """The same, knowing so."""
        self._ignored = tuple(names)
        return self

    def request(self) -> dict[str, Any]:
        """What the job remembers of what was asked, without secrets."""
        given = self.model_dump(mode="json", exclude=set(self.NOT_OPTIONS), exclude_none=True, exclude_unset=True)
        return given | {"model": self.model}  # type: ignore[attr-defined]  # every task has one


class JobFields(JobCommon, TranscriptionFields):
    """A recording's job: the OpenAI names verbatim, and what only jobs have."""

    url: Annotated[str | None, Unset] = Field(None, max_length=4096, description="Where to fetch the recording.")
    headers: dict[str, str] | None = Field(None, max_length=16, description="Sent along when `url` is fetched.")
    file_id: Annotated[str | None, Unset] = Field(None, max_length=200, description="A recording in /v1/files.")
    upload_id: Annotated[str | None, Unset] = Field(
        None, max_length=200, description="A completed one of /v1/uploads: the same as its file."
    )
    s3_uri: Annotated[str | None, Unset] = Field(
        None, max_length=2048, description="A recording in a bucket that the operator has opened to the account."
    )
    range: Annotated[RangeFields | None, Parsed, Unset] = Field(
        None, description="Only this part, in seconds; times stay those of the whole recording."
    )
    on_chunk_failure: Literal["fail", "partial"] | None = None

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        for name, content in (value or {}).items():
            if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(content) or name.lower() in OURS:
                raise ValueError(f"The header {name[:64]!r} cannot be sent.")
        if sum(len(name) + len(content) for name, content in (value or {}).items()) > MOST_HEADERS:
            raise ValueError(f"The headers have more than {MOST_HEADERS} characters together.")
        return value


class SpeechJobFields(JobCommon):
    """A text's job: POST /v1/audio/speech without its limit of length."""

    task: Literal["speech"] = "speech"
    model: str = Field(min_length=1, max_length=200, description="A model's id; see GET /v1/models.")
    text: str = Field("", validate_default=True, description=f"What to speak, at most {MAX_TEXT} characters.")
    input: str | None = Field(None, description="The same, as the synchronous endpoint calls it.")
    voice: Annotated[AnyVoice, Parsed] = Field("alloy", description="As in POST /v1/audio/speech.")
    language: Annotated[str | None, Unset] = Field(None, description=TEXT_LANGUAGE)
    instructions: str | None = Field(None, max_length=MAX_INPUT)
    response_format: Annotated[Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None, Unset] = Field(
        None, description="mp3 (default)."
    )
    speed: Annotated[float | None, Unset] = Field(None, ge=0.25, le=4.0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _input(cls, value: Any) -> Any:
        """`input` is a `text`, unless there is one."""
        if not isinstance(value, dict) or "input" not in value:
            return value
        return {"text": value["input"], **{name: one for name, one in value.items() if name != "input"}}

    @model_validator(mode="before")
    @classmethod
    def _no_recording(cls, value: Any) -> Any:
        for name in ("url", "file_id", "upload_id"):
            if isinstance(value, dict) and value.get(name):
                raise InvalidRequest(f"A speech job takes a `text`, not a `{name}`.", param=name)
        return value

    @field_validator("text")
    @classmethod
    def _text(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("input text is required")
        if len(value) > MAX_TEXT:
            raise ValueError(f"The text is longer than {MAX_TEXT} characters. Make several jobs of it.")
        return value

    @field_validator("language")
    @classmethod
    def _language(cls, value: str | None) -> str | None:
        return asked_language(value)

    @field_validator("voice")
    @classmethod
    def _voice(cls, value: str | VoiceId) -> str:
        return value if isinstance(value, str) else value.id
