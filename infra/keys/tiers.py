"""What each tier may do in a time, and how one account's own numbers are laid over its tier's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import InvalidRequest

Tier = Literal["free", "pro", "enterprise"]
GIB = 1024**3  # bytes


class Limits(BaseModel):
    """None: without limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    speech_requests_per_minute: int | None = Field(None, ge=0)
    transcription_minutes_per_day: int | None = Field(None, ge=0)  # synchronous requests and jobs together, UTC days
    estimate_minutes_per_day: int | None = Field(None, ge=0)  # of sound that estimates decode, UTC days
    api_requests_per_minute: int | None = Field(None, ge=0)  # every request that a key opens
    concurrent_jobs: int | None = Field(None, ge=0)  # created and not ended
    connections: int | None = Field(None, ge=0)  # open at once, to one API process
    webhook_endpoints: int | None = Field(20, ge=0)
    stored_bytes: int | None = Field(None, ge=0)  # recordings, and what jobs have made
    stored_results: int | None = Field(None, ge=0)  # jobs whose results are not deleted yet


TIERS: Mapping[str, Limits] = {
    "free": Limits(
        speech_requests_per_minute=10,
        transcription_minutes_per_day=10,
        estimate_minutes_per_day=600,
        api_requests_per_minute=120,
        concurrent_jobs=5,
        connections=32,
        stored_bytes=GIB,
        stored_results=1_000,
    ),
    "pro": Limits(
        speech_requests_per_minute=60,
        transcription_minutes_per_day=500,
        estimate_minutes_per_day=30_000,
        api_requests_per_minute=1200,
        concurrent_jobs=100,
        connections=512,
        stored_bytes=100 * GIB,
        stored_results=100_000,
    ),
    "enterprise": Limits(),
}

# What an account gets of everything that all share, beside the others, while several wait.
WEIGHTS: Mapping[str, int] = {"free": 1, "pro": 2, "enterprise": 4}

LOW, NORMAL = -10, 0  # priorities: `low` runs in what is left over
PRIORITIES: Mapping[str, tuple[int, int]] = {"free": (LOW, NORMAL), "pro": (LOW, 10), "enterprise": (LOW, 10)}


def checked_priority(tier: str, priority: int) -> int:
    """Raises InvalidRequest for one that the tier does not have."""
    least, most = PRIORITIES[tier]
    if not least <= priority <= most:
        raise InvalidRequest(f"priority: {least} to {most} in tier {tier}.", param="priority")
    return priority


def limits_of(tier: str, own: Mapping[str, Any] | None) -> Limits:
    """The tier's numbers with the account's own in their place; an own null lifts a limit."""
    return TIERS[tier].model_copy(update=dict(own or {}))


def checked_tier(tier: str) -> str:
    """Raises InvalidRequest for a tier that does not exist."""
    if tier not in TIERS:
        raise InvalidRequest(f"There is no tier {tier!r}. Tiers: {', '.join(TIERS)}.", param="tier")
    return tier


def checked_limits(own: Mapping[str, Any]) -> dict[str, int | None]:
    """An account's own numbers, only those given. Raises InvalidRequest that names the one which is wrong."""
    try:
        return Limits.model_validate(own).model_dump(exclude_unset=True)
    except ValidationError as error:
        first = error.errors()[0]
        names = ", ".join(Limits.model_fields)
        raise InvalidRequest(f"limits.{first['loc'][0]}: {first['msg']}. Limits: {names}.", param="limits") from error
