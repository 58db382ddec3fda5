"""What POST /v1/audio/jobs takes."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from api.schemas.options import Lenient, Many, Parsed, TranscriptionFields, Unset
from infra.outbox import JOB_EVENTS
from infra.webhook_secrets import check_secret
from pipeline.errors import InvalidRequest
from pipeline.options import Task

Key = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Value = Annotated[str, StringConstraints(max_length=512)]
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
HEADER_VALUE = re.compile(r"[\x20-\x7e\x80-\xff\t]{0,4096}")
OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect", "range"})
LATER = ("upload_id", "s3_uri", "file_id", "text")


class NotYet(InvalidRequest):
    """This is not available in this version."""

    code = "not_available"


class WebhookFields(Lenient):
    """Where to tell that the job has ended."""

    url: str = Field(min_length=1, max_length=2048)
    events: Annotated[list[str] | None, Many()] = Field(None, description=f"Default: all of {', '.join(JOB_EVENTS)}.")
    secret: Annotated[str | None, Unset] = Field(
        None, description="`whsec_` and standard padded base64 of 24 to 64 bytes."
    )

    @field_validator("events")
    @classmethod
    def _events(cls, value: list[str] | None) -> list[str] | None:
        for name in value or ():
            if name not in JOB_EVENTS:
                raise ValueError(f"There is no such event type. Offered: {', '.join(JOB_EVENTS)}.")
        return value

    @field_validator("secret")
    @classmethod
    def _secret(cls, value: str | None) -> str | None:
        try:
            return None if value is None else check_secret(value)
        except InvalidRequest as error:
            raise ValueError(error.message) from error


class JobFields(TranscriptionFields):
    """A job's options: the OpenAI names verbatim, and what only jobs have."""

    NOT_OPTIONS: ClassVar[frozenset[str]] = frozenset({"url", "headers", "webhook", "metadata", "client_reference_id"})

    task: Task = "transcription"
    url: Annotated[str | None, Unset] = Field(None, max_length=4096, description="Where to fetch the recording.")
    headers: dict[str, str] | None = Field(None, max_length=16, description="Sent along when `url` is fetched.")
    channels: Literal["mix", "separate"] | None = None
    range: Annotated[Any, Parsed] = None
    webhook: Annotated[WebhookFields | None, Parsed] = None
    priority: Annotated[int | None, Unset] = Field(None, ge=-10, le=10)
    max_cost: Annotated[float | None, Unset] = Field(None, ge=0.0, allow_inf_nan=False)
    timeout_seconds: Annotated[int | None, Unset] = Field(None, ge=1)
    retention_seconds: Annotated[int | None, Unset] = Field(None, ge=1)
    on_chunk_failure: Literal["fail", "partial"] | None = None
    client_reference_id: Annotated[str | None, Unset] = Field(None, max_length=255)
    metadata: Annotated[dict[Key, Value] | None, Parsed] = Field(None, max_length=16)

    @model_validator(mode="before")
    @classmethod
    def _not_yet(cls, value: Any) -> Any:
        for name in LATER:
            if isinstance(value, dict) and value.get(name) is not None:
                raise NotYet(
                    f"`{name}` is not available in this version; send a multipart `file` or a `url`.", param=name
                )
        return value

    @field_validator("task")
    @classmethod
    def _task(cls, value: Task) -> Task:
        if value == "speech":
            raise ValueError("Speech jobs are not available in this version; use POST /v1/audio/speech.")
        return value

    @field_validator("channels")
    @classmethod
    def _channels(cls, value: str | None) -> str | None:
        if value == "separate":
            raise ValueError("Separate channels are not available in this version.")
        return value

    @field_validator("range")
    @classmethod
    def _range(cls, value: Any) -> Any:
        if value is not None:
            raise ValueError("A range is not available in this version.")
        return value

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        for name, content in (value or {}).items():
            if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(content) or name.lower() in OURS:
                raise ValueError(f"The header {name[:64]!r} cannot be sent.")
        return value

    def request(self) -> dict[str, Any]:
        """What the job remembers of what was asked, without secrets."""
        return self.model_dump(mode="json", exclude=set(self.NOT_OPTIONS), exclude_none=True, exclude_unset=True) | {
            "model": self.model
        }


def shown_url(url: str) -> str:
    """A URL as a job shows it: without the parts that may be secret (user, query, fragment)."""
    parts = urlsplit(url)
    host = parts.netloc.rsplit("@", maxsplit=1)[-1]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
