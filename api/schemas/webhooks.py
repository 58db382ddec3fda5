"""Webhook endpoints in OpenAI's shapes (contract.md section 7), and what is asked of their deliveries."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from infra.database.tables.webhooks import WebhookEndpoint
from infra.outbound.failures import told_failure
from infra.requests.audio_options import Lenient
from infra.requests.job_object import epoch
from infra.requests.number_bounds import EpochSeconds
from infra.webhooks.outbox import EVENT_TYPES, TEST_EVENT
from infra.webhooks.signature import check_own_headers
from infra.webhooks.store import Which

HINT = 4  # characters of a secret that may be shown
MOST_HEADERS, MOST_HEADER_CHARACTERS = 16, 8192  # what the usual servers take
Status = Literal["pending", "delivered", "exhausted", "dropped"]
OWN_HEADERS = "Sent with every event, `Authorization` for instance; the values are sealed and never shown again."


def _known(names: list[str]) -> list[str]:
    for name in names:
        if name not in EVENT_TYPES:
            raise ValueError(f"There is no such event type. Offered: {', '.join(EVENT_TYPES)}.")
    return list(dict.fromkeys(names))


def _sendable(headers: dict[str, str] | None) -> dict[str, str] | None:
    """Raises OutboundRefused for headers that cannot be sent."""
    check_own_headers(headers or {})
    if sum(len(name) + len(value) for name, value in (headers or {}).items()) > MOST_HEADER_CHARACTERS:
        raise ValueError(f"The headers have more than {MOST_HEADER_CHARACTERS} characters together.")
    return headers


class NewEndpoint(Lenient):
    """What POST /v1/webhook_endpoints takes."""

    name: str = Field(max_length=200)
    url: str = Field(min_length=1, max_length=2048)
    event_types: list[str] = Field(min_length=1, max_length=50)
    headers: dict[str, str] | None = Field(None, max_length=MOST_HEADERS, description=OWN_HEADERS)

    @field_validator("event_types")
    @classmethod
    def _types(cls, value: list[str]) -> list[str]:
        return _known(value)

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        return _sendable(value)


class EndpointChanges(Lenient):
    """What POST /v1/webhook_endpoints/{id} takes: what is given is changed."""

    name: str | None = Field(None, max_length=200)
    url: str | None = Field(None, min_length=1, max_length=2048)
    event_types: list[str] | None = Field(None, min_length=1, max_length=50)
    headers: dict[str, str] | None = Field(
        None,
        max_length=MOST_HEADERS,
        description=f"{OWN_HEADERS} All of them at once, `{{}}` for none; they go, too, when `url` changes to another server.",
    )
    status: str | None = Field(None, pattern="^(active|disabled)$", description="`active` revives a disabled endpoint.")

    @field_validator("event_types")
    @classmethod
    def _types(cls, value: list[str] | None) -> list[str] | None:
        return None if value is None else _known(value)

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        return _sendable(value)


class Rotation(Lenient):
    """What POST …/rotate_secret takes."""

    keep_old_secret_active_for_24_hours: bool = Field(
        False, description="Both secrets sign for 24 hours, so that a consumer can change over in its own time."
    )


class Trial(Lenient):
    """What POST …/test takes."""

    event_type: str = TEST_EVENT

    @field_validator("event_type")
    @classmethod
    def _type(cls, value: str) -> str:
        return _known([value])[0]


class Replay(Lenient):
    """What POST …/replay takes."""

    since: EpochSeconds = Field(description="Epoch seconds: events created then or later.")
    until: EpochSeconds | None = Field(None, description="Epoch seconds: events created then or earlier; default: now.")
    status: Status | None = Field(None, description="Only deliveries in this status; default: all.")

    @model_validator(mode="after")
    def _forwards(self) -> Replay:
        if self.until is not None and self.until < self.since:
            raise ValueError("`until` is before `since`.")
        return self


class DeliveryQuery(BaseModel):
    """Which deliveries."""

    limit: int = Field(20, ge=1, le=100)
    after: str | None = Field(None, max_length=200, description="A delivery's id: what follows it.")
    status: Status | None = None
    since: EpochSeconds | None = None
    until: EpochSeconds | None = None

    def which(self, *, job_id: str | None = None, endpoint_id: str | None = None) -> Which:
        """As the store is asked."""
        return Which(job_id=job_id, endpoint_id=endpoint_id, status=self.status, since=self.since, until=self.until)


class EndpointDeliveryQuery(DeliveryQuery):
    """The same of an endpoint, and of one job."""

    job_id: str | None = Field(None, max_length=200, description="Only those of this job.")


class ListenQuery(BaseModel):
    """Which events to follow, and how."""

    events: str | None = Field(
        None,
        max_length=1000,
        description="Event types by commas; default: all but those that are for whoever names them.",
    )
    listener: str | None = Field(
        None,
        max_length=200,
        description="The id from the first line of an earlier stream: what was missed since follows.",
    )
    stream: bool = False

    @field_validator("events")
    @classmethod
    def _types(cls, value: str | None) -> str | None:
        _known([] if value is None else cls.split(value))
        return value

    @staticmethod
    def split(value: str) -> list[str]:
        """The names between the commas."""
        return [name.strip() for name in value.split(",") if name.strip()]

    def types(self) -> list[str]:
        """Empty: as the default says."""
        return self.split(self.events or "")


def endpoint_object(
    endpoint: WebhookEndpoint, *, pending: int = 0, now: float = 0.0, with_secret: bool = False
) -> dict[str, Any]:
    """The secret is shown when it is made, never again; of its own headers the names. `now` in epoch seconds."""
    shown = {"signing_secret": endpoint.secret} if with_secret else {}
    previous = endpoint.old_secret_until if (endpoint.old_secret_until or 0.0) > now else None
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": endpoint.event_types,
        "header_names": sorted(endpoint.headers or {}),
        "status": endpoint.status,
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": epoch(endpoint.failing_since),
        "error": told_failure(endpoint.last_error, endpoint.last_status),
        "pending": pending,
        "created_at": epoch(endpoint.created_at),
        "updated_at": epoch(endpoint.updated_at),
        "signing_secret_hint": f"whsec_…{endpoint.secret[-HINT:]}",
        "previous_secret_expires_at": epoch(previous),
        **shown,
    }


def trouble_object(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """Of an endpoint that takes nothing, what its account should know."""
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "name": endpoint.name,
        "status": endpoint.status,
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": epoch(endpoint.failing_since),
        "error": told_failure(endpoint.last_error, endpoint.last_status),
    }
