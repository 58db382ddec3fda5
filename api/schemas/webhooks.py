"""Webhook endpoints in OpenAI's shapes (contract.md section 7)."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from infra.database.tables import WebhookEndpoint
from infra.requests.audio_options import Lenient
from infra.requests.job_object import epoch
from infra.webhooks.outbox import EVENT_TYPES, TEST_EVENT

HINT = 4  # characters of a secret that may be shown


def _known(names: list[str]) -> list[str]:
    for name in names:
        if name not in EVENT_TYPES:
            raise ValueError(f"There is no such event type. Offered: {', '.join(EVENT_TYPES)}.")
    return list(dict.fromkeys(names))


class NewEndpoint(Lenient):
    """What POST /v1/webhook_endpoints takes."""

    name: str = Field(max_length=200)
    url: str = Field(min_length=1, max_length=2048)
    event_types: list[str] = Field(min_length=1, max_length=50)

    @field_validator("event_types")
    @classmethod
    def _types(cls, value: list[str]) -> list[str]:
        return _known(value)


class EndpointChanges(Lenient):
    """What POST /v1/webhook_endpoints/{id} takes: what is given is changed."""

    name: str | None = Field(None, max_length=200)
    url: str | None = Field(None, min_length=1, max_length=2048)
    event_types: list[str] | None = Field(None, min_length=1, max_length=50)
    status: str | None = Field(None, pattern="^(active|disabled)$", description="`active` revives a disabled endpoint.")

    @field_validator("event_types")
    @classmethod
    def _types(cls, value: list[str] | None) -> list[str] | None:
        return None if value is None else _known(value)


class Rotation(Lenient):
    """What POST …/rotate_secret takes."""

    keep_old_secret_active_for_24_hours: bool = False


class Trial(Lenient):
    """What POST …/test takes."""

    event_type: str = TEST_EVENT

    @field_validator("event_type")
    @classmethod
    def _type(cls, value: str) -> str:
        return _known([value])[0]


def endpoint_object(endpoint: WebhookEndpoint, *, with_secret: bool = False) -> dict[str, Any]:
    """The secret is shown when it is made, never again."""
    shown = {"signing_secret": endpoint.secret} if with_secret else {}
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": endpoint.event_types,
        "status": endpoint.status,
        "created_at": epoch(endpoint.created_at),
        "updated_at": epoch(endpoint.updated_at),
        "signing_secret_hint": f"whsec_…{endpoint.secret[-HINT:]}",
        **shown,
    }
