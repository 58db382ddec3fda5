"""Balance, usage, receipts and estimates as account holders see them. Money is a JSON number in US dollars."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from infra.database.tables.money import LedgerEntry, Receipt
from infra.keys.account_limits import Standing
from infra.money.usage import Group, Grouping, Sums, Wanted
from infra.requests.job_object import CURRENCY, epoch
from pipeline.errors import InvalidRequest
from pipeline.money import usd

JOB = "job_"
DEFAULT_DAYS = 30  # of a report without `from`
ID = Field(None, max_length=200)
_DAY = "A day in UTC, such as 2026-11-23, itself included."
Date = datetime.date


class PeriodQuery(BaseModel):
    """From which day to which."""

    since: Date | None = Field(None, alias="from", description=f"{_DAY} Default: 29 days before `to`.")
    until: Date | None = Field(None, alias="to", description=f"{_DAY} Default: today.")

    def days(self) -> tuple[Date, Date]:
        """(first, last), both included. Raises InvalidRequest where nothing lies between."""
        until = self.until or datetime.datetime.now(datetime.UTC).date()
        since = self.since or until - min(datetime.timedelta(days=DEFAULT_DAYS - 1), until - Date.min)
        if since > until:
            raise InvalidRequest(f"`from` ({since}) is after `to` ({until}).", param="from")
        return since, until


class UsageQuery(PeriodQuery):
    """Which usage, and how it is grouped."""

    group_by: Literal["model", "key", "day"] = Field("day", description="What each line of the report is about.")
    model: str | None = ID
    key_id: str | None = ID
    limit: int = Field(31, ge=1, le=1000)
    after: str | None = Field(None, max_length=200, description="The id of the last line already known.")


class ReceiptQuery(BaseModel):
    """Which receipts."""

    job_id: str | None = Field(None, max_length=200, description="The receipt of this job.")
    request_id: str | None = Field(
        None, max_length=200, description="The receipt of the request with this x-request-id."
    )
    model: str | None = ID
    key_id: str | None = ID
    since: Date | None = Field(None, alias="from", description=_DAY)
    until: Date | None = Field(None, alias="to", description=_DAY)
    limit: int = Field(20, ge=1, le=100)
    after: str | None = Field(None, max_length=200, description="A receipt's id: what follows it.")

    def subject(self) -> str | None:
        """The one job or request that is asked for. Raises InvalidRequest for two."""
        if self.job_id is not None and self.request_id is not None:
            raise InvalidRequest("Give `job_id` or `request_id`, not both.", param="request_id")
        return self.job_id if self.job_id is not None else self.request_id

    def wanted(self, account_id: str | None) -> Wanted:
        """The same for the books."""
        return Wanted(
            account_id=account_id, key_id=self.key_id, model=self.model, since=self.since, until=self.until
        )  # fmt: skip


class ExportQuery(BaseModel):
    """Which part of the books."""

    account_id: str | None = ID
    since: Date | None = Field(None, alias="from", description=_DAY)
    until: Date | None = Field(None, alias="to", description=_DAY)

    def wanted(self) -> Wanted:
        """The same for the books."""
        return Wanted(account_id=self.account_id, since=self.since, until=self.until)


def balance_object(account_id: str, available: int, held: int, low: int | None) -> dict[str, Any]:
    """`available` can be spent; `held` is set aside for what is under way; `low`: below it the account is told. In micro-dollars
    here.
    """
    return {
        "object": "balance",
        "account_id": account_id,
        "currency": CURRENCY,
        "available": usd(available),
        "held": usd(held),
        "total": usd(available + held),
        "low_threshold": None if low is None else usd(low),
    }


def sums_object(sums: Sums) -> dict[str, Any]:
    """Sums of receipts."""
    return {
        "requests": sums.requests,
        "audio_seconds": sums.audio_ms / 1000,
        "characters": sums.characters,
        "tokens": {
            "text_in": sums.text_in,
            "audio_in": sums.audio_in,
            "text_out": sums.text_out,
            "audio_out": sums.audio_out,
        },
        "cost_usd": usd(sums.cost),
    }


NAMES: dict[Grouping, str] = {"model": "model", "key": "key_id", "day": "day", "account": "account_id"}


def usage_object(group: Group, by: Grouping) -> dict[str, Any]:
    """One line of a report. Its `id` is the cursor; work that no key asked for has an empty one."""
    return {"id": group.id, "object": "usage", NAMES[by]: group.id or None, **sums_object(group.sums)}


def limits_object(limits: Mapping[str, Standing]) -> dict[str, Any]:
    """How much of each limit is used; `used` is null for what no database counts."""
    return {name: {"used": one.used, "limit": one.limit} for name, one in limits.items()}


def receipt_object(receipt: Receipt) -> dict[str, Any]:
    """What one request or job has cost, and why. `counted` says whose count the tokens are."""
    of_job = receipt.subject.startswith(JOB)
    return {
        "id": receipt.id,
        "object": "receipt",
        "job_id": receipt.subject if of_job else None,
        "request_id": None if of_job else receipt.subject,
        "account_id": receipt.account_id,
        "key_id": receipt.key_id,
        "task": receipt.task,
        "model": receipt.model,
        "model_used": receipt.model_used,
        "audio_seconds": receipt.audio_ms / 1000,
        "characters": receipt.characters,
        "tokens": receipt.tokens,
        "counted": receipt.counted,
        "prices": receipt.prices or {},
        "audio_ratio": receipt.ratio,
        "currency": CURRENCY,
        "cost_usd": usd(receipt.cost),
        "latency_ms": receipt.latency_ms,
        "created_at": epoch(receipt.created_at),
        "updated_at": epoch(receipt.updated_at),
    }


def entry_object(entry: LedgerEntry) -> dict[str, Any]:
    """One movement of money: `delta_usd` is what the balance changed by."""
    return {
        "id": entry.id,
        "object": "ledger.entry",
        "account_id": entry.account_id,
        "kind": entry.kind,
        "subject": entry.subject,
        "part": entry.part,
        "delta_usd": usd(entry.delta),
        "amount_usd": usd(entry.amount),
        "currency": CURRENCY,
        "created_at": epoch(entry.at),
        "note": entry.note,
    }
