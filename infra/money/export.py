"""The books as CSV, page by page: memory does not grow with their length, and no transaction outlives a page."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, select
from sqlmodel import col

from infra.database.days import DAY_SECONDS, day_begins
from infra.database.session import Database
from infra.database.tables.money import LedgerEntry, Receipt
from infra.money.spreadsheet import csv_lines
from infra.money.usage import TOKEN_KINDS, Sums, Usage, Wanted, narrowed
from pipeline.money import usd_text

PAGE = 1000  # rows
LEDGER = ("id", "at", "account_id", "kind", "subject", "part", "delta_usd", "amount_usd", "note")
RECEIPT = (
    "id", "created_at", "account_id", "key_id", "subject", "task", "model", "model_used", "audio_seconds", "characters",
    "text_tokens_in", "audio_tokens_in", "text_tokens_out", "audio_tokens_out", "counted", "prices", "audio_ratio", "cost_usd",
)  # fmt: skip
USAGE = (
    "day", "account_id", "model", "key_id", "requests", "audio_seconds", "characters",
    "text_tokens_in", "audio_tokens_in", "text_tokens_out", "audio_tokens_out", "cost_usd",
)  # fmt: skip


def ledger_csv(database: Database, wanted: Wanted, *, page: int = PAGE) -> Iterator[str]:
    """Every movement of money, the oldest first. Of `wanted`, account and days count."""
    query = select(LedgerEntry).order_by(col(LedgerEntry.id)).limit(page)
    if wanted.account_id is not None:
        query = query.where(col(LedgerEntry.account_id) == wanted.account_id)
    if wanted.since is not None:
        query = query.where(col(LedgerEntry.at) >= float(day_begins(wanted.since)))
    if wanted.until is not None:
        query = query.where(col(LedgerEntry.at) < float(day_begins(wanted.until) + DAY_SECONDS))
    yield csv_lines([LEDGER])
    yield from _pages(database, query, col(LedgerEntry.id), _entry)


def receipts_csv(database: Database, wanted: Wanted, *, page: int = PAGE) -> Iterator[str]:
    """Every receipt, by its id."""
    yield csv_lines([RECEIPT])
    query = narrowed(select(Receipt), wanted).order_by(col(Receipt.id)).limit(page)
    yield from _pages(database, query, col(Receipt.id), _receipt)


def usage_csv(database: Database, wanted: Wanted) -> Iterator[str]:
    """What was used on each day, the oldest first, by each key of each account with each model."""
    usage = Usage(database)
    yield csv_lines([USAGE])
    days, _ = usage.grouped(wanted, "day", limit=1_000_000)
    for day in reversed(days):
        date = datetime.date.fromisoformat(day.id)
        lines = usage.lines(replace(wanted, since=date, until=date))
        yield csv_lines((day.id, *names, *_figures(sums)) for names, sums in lines)


EXPORTS: dict[str, Callable[[Database, Wanted], Iterator[str]]] = {
    "ledger": ledger_csv,
    "receipts": receipts_csv,
    "usage": usage_csv,
}


def _pages(database: Database, query: Select[Any], key: Any, line: Callable[[Any], Sequence[object]]) -> Iterator[str]:
    """The query's rows in pages, each read by itself from where the last one ended."""
    last: Any = None
    while True:
        with database.read() as session:
            rows = list(session.scalars(query if last is None else query.where(key > last)))
        if not rows:
            return
        yield csv_lines(line(row) for row in rows)
        last = rows[-1].id


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC).isoformat(timespec="milliseconds")


def _entry(row: LedgerEntry) -> Sequence[object]:
    return (
        row.id,
        _moment(row.at),
        row.account_id,
        row.kind,
        row.subject,
        row.part,
        _usd(row.delta),
        _usd(row.amount),
        row.note,
    )


def _receipt(row: Receipt) -> Sequence[object]:
    tokens = row.tokens or {}
    return (
        row.id, _moment(row.created_at), row.account_id, row.key_id, row.subject, row.task, row.model, row.model_used,
        _milli(row.audio_ms), row.characters, *(tokens.get(kind, 0) for kind in TOKEN_KINDS), row.counted,
        json.dumps(row.prices) if row.prices else None, Decimal(row.ratio), _usd(row.cost),
    )  # fmt: skip


def _figures(sums: Sums) -> Sequence[object]:
    tokens = (getattr(sums, kind) for kind in TOKEN_KINDS)
    return (sums.requests, _milli(sums.audio_ms), sums.characters, *tokens, _usd(sums.cost))


def _usd(micro: int) -> Decimal:
    """A number, so that it is no text which begins with a minus."""
    return Decimal(usd_text(micro))


def _milli(value: int) -> Decimal:
    """Milliseconds as seconds."""
    return Decimal(value).scaleb(-3)
