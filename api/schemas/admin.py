"""What the administration takes and shows. A field that nobody knows is refused here: a slip must not pass for a change."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from api.schemas.billing import ReceiptQuery, UsageQuery
from infra.audit.audit_log import Act
from infra.database.tables.accounts import Account, ApiKey, AuditEntry
from infra.keys.accounts import OVERLAP_SECONDS
from infra.keys.api_keys import PREFIX
from infra.keys.tiers import Tier, limits_of
from infra.requests.job_object import CURRENCY, epoch
from infra.requests.number_bounds import LATEST, LimitNumber, RowId
from pipeline.errors import InvalidRequest
from pipeline.money import MOST_USD, micro_of, micro_or_zero, usd
from pipeline.pricing import MOST_RATIO

Status = Literal["active", "suspended", "closed"]
Text = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]
Name = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
_RATIO_SCHEMA = {"type": ["string", "number"], "minimum": 0, "maximum": MOST_RATIO}
_RATIO = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")


def _exact(value: Any) -> Any:
    """What money may be written as: text or a number whose digits are still known. A float is neither."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        message = 'An amount must be a number or text, such as 10 or "2.50".'
        raise ValueError(message)  # noqa: TRY004 - the one that pydantic makes an answer of
    return value


def _micro(value: Any, read: Callable[[Any], int]) -> int:
    try:
        return read(_exact(value))
    except InvalidRequest as error:
        raise ValueError(error.message) from error


_AMOUNT = {"type": ["string", "number"], "minimum": 0, "maximum": MOST_USD, "examples": ["10", "2.50", 0.25]}
Amount = Annotated[
    int,
    BeforeValidator(lambda value: _micro(value, micro_of)),
    Field(description="US dollars: more than 0, at most six places.", json_schema_extra=_AMOUNT),
]
Threshold = Annotated[
    int,
    BeforeValidator(lambda value: _micro(value, micro_or_zero)),
    Field(json_schema_extra=_AMOUNT),
]
Correction = Annotated[
    int,
    BeforeValidator(lambda value: _micro(value, partial(micro_of, signed=True))),
    Field(
        description="US dollars, below 0 to take away; at most six places.",
        json_schema_extra=_AMOUNT | {"minimum": -MOST_USD},
    ),
]


def _plain(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal) or not _RATIO.fullmatch(str(value)):
        message = "The ratio must be a plain number with at most six places, such as 1.5."
        raise ValueError(message)
    return value


Ratio = Annotated[
    Decimal,
    Field(ge=0, le=MOST_RATIO, description=f"From 0 to {MOST_RATIO}.", json_schema_extra=_RATIO_SCHEMA),
    BeforeValidator(_plain),  # behind the bounds, or the document does not have them
]


class Strict(BaseModel):
    """Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class NewAccount(Strict):
    """What POST /admin/accounts takes."""

    name: Name = ""
    tier: Tier = "free"
    plan: Name = Field("", description="What it subscribes to elsewhere. It never covers audio.")
    limits: dict[str, LimitNumber | None] | None = Field(
        None, description="The account's own numbers in place of its tier's; null lifts one."
    )


class AccountChanges(Strict):
    """What PATCH /admin/accounts/{id} takes: what is given is changed."""

    name: Name | None = None
    tier: Tier | None = None
    plan: Name | None = None
    status: Status | None = None
    limits: dict[str, LimitNumber | None] | None = Field(
        None, description="Replaces all of the account's own numbers; {} goes back to its tier's."
    )
    audio_ratio: Ratio | None = Field(
        None, description="Multiplies what the account pays for sound, on top of the models' ratios; 1: nothing."
    )
    balance_low_usd: Threshold | None = Field(
        None,
        description="US dollars: `balance.low` tells the account when less is left, what is held included; 0: never.",
    )


class NewKey(Strict):
    """What POST /admin/accounts/{id}/keys and POST /v1/keys take."""

    name: Name = ""
    scopes: list[str] | None = Field(None, max_length=50, description="null: everything that its maker may do.")
    expires_at: int | None = Field(None, gt=0, le=LATEST, description="Epoch seconds; null: never.")


class KeyRotation(Strict):
    """What POST /admin/keys/{id}/rotate and POST /v1/keys/{id}/rotate take."""

    overlap_seconds: float = Field(
        OVERLAP_SECONDS, ge=0, le=365 * 86_400, allow_inf_nan=False, description="How long both keys work."
    )


class TopUp(Strict):
    """What POST /admin/accounts/{id}/top_ups takes."""

    amount_usd: Amount
    note: Text = ""


class Adjustment(Strict):
    """What POST /admin/accounts/{id}/adjustments takes."""

    amount_usd: Correction
    note: Text = Field(min_length=1, description="Why: it stays in the ledger.")


class NewRatio(Strict):
    """What PUT /admin/ratios/{model} takes."""

    ratio: Ratio


class AccountQuery(BaseModel):
    """Which accounts."""

    limit: int = Field(20, ge=1, le=1000)
    after: str | None = Field(None, max_length=200, description="The last id already known.")
    tier: Tier | None = None
    status: Status | None = None


class OwnKeyQuery(BaseModel):
    """Which of an account's keys."""

    limit: int = Field(20, ge=1, le=1000)
    after: str | None = Field(None, max_length=200, description="The last id already known.")


class KeyQuery(OwnKeyQuery):
    """Which keys."""

    account_id: str | None = Field(None, max_length=200)


class LedgerQuery(BaseModel):
    """Which movements of money."""

    limit: int = Field(100, ge=1, le=1000)
    after: RowId | None = Field(None, description="The last id already known.")
    account_id: str | None = Field(None, max_length=200)
    subject: str | None = Field(None, max_length=200, description="A job's or a request's id.")
    kind: Literal["top_up", "hold", "capture", "release", "adjust", "opening"] | None = None


class EndpointQuery(BaseModel):
    """Which webhook endpoints."""

    limit: int = Field(100, ge=1, le=1000)
    after: str | None = Field(None, max_length=200, description="The last id already known.")
    account_id: str | None = Field(None, max_length=200)
    failing: bool = Field(False, description="Only those to which something was sent in vain, or nothing any more.")


class AuditQuery(BaseModel):
    """Which acts of administrators."""

    limit: int = Field(100, ge=1, le=1000)
    after: RowId | None = Field(None, description="The last id already known.")
    account_id: str | None = Field(None, max_length=200)
    act: Act | None = None
    subject: str | None = Field(None, max_length=200, description="What it was done to.")


class AdminUsageQuery(UsageQuery):
    """Which usage of which accounts."""

    group_by: Literal["account", "model", "key", "day"] = "account"  # type: ignore[assignment]  # one more
    account_id: str | None = Field(None, max_length=200)


class AdminReceiptQuery(ReceiptQuery):
    """Which receipts of which accounts."""

    account_id: str | None = Field(None, max_length=200)


def audit_object(entry: AuditEntry) -> dict[str, Any]:
    """Who did what, from where, and when."""
    return {
        "id": entry.id,
        "object": "audit.entry",
        "created_at": round(entry.at, 3),
        "act": entry.act,
        "who": entry.who,
        "source": entry.source,
        "request_id": entry.request_id,
        "account_id": entry.account_id,
        "subject": entry.subject,
        "details": entry.details,
    }


def account_object(account: Account, *, keys: int) -> dict[str, Any]:
    """`limits` are those in force; `own_limits` those that are the account's own."""
    return {
        "id": account.id,
        "object": "account",
        "name": account.name,
        "tier": account.tier,
        "plan": account.plan,
        "status": account.status,
        "limits": limits_of(account.tier, account.limits).model_dump(),
        "own_limits": account.limits or {},
        "audio_ratio": account.audio_ratio or "1",
        "currency": CURRENCY,
        "balance_usd": usd(account.balance_micro),
        "balance_low_usd": None if account.balance_low_micro is None else usd(account.balance_low_micro),
        "keys": keys,
        "created_at": epoch(account.created_at),
    }


def key_object(key: ApiKey, *, now: float, secret: str | None = None) -> dict[str, Any]:
    """Without its secret, unless it was made this moment. `now` in epoch seconds."""
    return {
        "id": key.id,
        "object": "api_key",
        "account_id": key.account_id,
        "name": key.name,
        "prefix": PREFIX + key.id,
        "scopes": key.scopes,
        "status": key_status(key, now),
        "created_at": epoch(key.created_at),
        "expires_at": epoch(key.expires_at),
        "revoked_at": epoch(key.revoked_at),
        "last_used_at": epoch(key.last_used_at),
        "replaced_by": key.replaced_by,
        "rotated_until": epoch(key.rotated_until),
        **({"key": secret} if secret is not None else {}),
    }


def key_again(key: ApiKey, *, now: float) -> dict[str, Any]:
    """What a repeated request for a key is told."""
    return {
        **key_object(key, now=now),
        "key": None,
        "message": "This Idempotency-Key made the key before. Its secret was in the first answer only and is not kept: "
        "if that answer was lost, revoke this key and make another one.",
    }


def key_status(key: ApiKey, now: float) -> str:
    """`rotating` works still, beside its successor; `active` for good; the others do not work."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    if key.rotated_until is None:
        return "active"
    return "rotating" if key.rotated_until > now else "rotated"
