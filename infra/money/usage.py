"""What was used and what it cost, added up from the receipts: by model, key, day (UTC) or account. Sums are exact integers."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Select, func, select
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from infra.database.days import DAY_SECONDS, date_of, day_begins, day_number
from infra.database.session import Database
from infra.database.tables.money import Receipt
from pipeline.errors import InvalidRequest

Grouping = Literal["model", "key", "day", "account"]
TOKEN_KINDS = ("text_in", "audio_in", "text_out", "audio_out")


@dataclass(frozen=True)
class Wanted:
    """Which receipts count: all, or those of an account, a key, a model; made on days `since` to `until`, both included."""

    account_id: str | None = None
    key_id: str | None = None
    model: str | None = None
    since: datetime.date | None = None
    until: datetime.date | None = None


@dataclass(frozen=True)
class Sums:
    """Of some receipts. `cost` in micro-dollars; tokens by direction and kind, 0 where none were counted."""

    requests: int = 0
    audio_ms: int = 0
    characters: int = 0
    text_in: int = 0
    audio_in: int = 0
    text_out: int = 0
    audio_out: int = 0
    cost: int = 0


@dataclass(frozen=True)
class Group:
    """One line of a report: `id` is the model, the key's id, the account's id, or the day as 2026-11-23."""

    id: str
    sums: Sums


class Usage:
    """Reports over the receipts. Every question is one read transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def total(self, wanted: Wanted) -> Sums:
        """Everything together."""
        with self._database.read() as session:
            return _sums(session.execute(narrowed(select(*_SUMMED), wanted)).one())

    def grouped(
        self, wanted: Wanted, by: Grouping, *, limit: int = 100, after: str | None = None
    ) -> tuple[list[Group], bool]:
        """A page and whether there is more: by name, or the latest day first. `after` is the last id already known.

        Raises InvalidRequest for a cursor that no day can be.
        """
        key = _KEYS[by]
        query = narrowed(select(key, *_SUMMED), wanted).group_by(key)
        query = query.order_by(key.desc() if by == "day" else key.asc()).limit(limit + 1)
        if after is not None:
            query = query.where(key < _day(after) if by == "day" else key > after)
        with self._database.read() as session:
            rows = session.execute(query).all()
        groups = [Group(_shown(by, row[0]), _sums(row[1:])) for row in rows[:limit]]
        return groups, len(rows) > limit

    def lines(self, wanted: Wanted) -> list[tuple[tuple[str, str, str], Sums]]:
        """The finest report: ((account, model, key), sums), in that order."""
        keys = (_KEYS["account"], _KEYS["model"], _KEYS["key"])
        query = narrowed(select(*keys, *_SUMMED), wanted).group_by(*keys).order_by(*keys)
        with self._database.read() as session:
            return [((row[0], row[1], row[2]), _sums(row[3:])) for row in session.execute(query)]


_KEYS: dict[Grouping, Any] = {
    "model": col(Receipt.model),
    "key": func.coalesce(col(Receipt.key_id), ""),
    "day": day_number(col(Receipt.created_at)),
    "account": col(Receipt.account_id),
}
_SUMMED: tuple[ColumnElement[Any], ...] = (
    func.count(),
    *(func.sum(column) for column in (col(Receipt.audio_ms), col(Receipt.characters))),
    *(func.sum(col(Receipt.tokens)[name].as_integer()) for name in TOKEN_KINDS),
    func.sum(col(Receipt.cost)),
)


def narrowed(query: Select[Any], wanted: Wanted) -> Select[Any]:
    """The query over receipts, of only those wanted."""
    for column, value in (
        (col(Receipt.account_id), wanted.account_id),
        (col(Receipt.key_id), wanted.key_id),
        (col(Receipt.model), wanted.model),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(col(Receipt.created_at) >= float(day_begins(wanted.since)))
    if wanted.until is not None:
        query = query.where(col(Receipt.created_at) < float(day_begins(wanted.until) + DAY_SECONDS))
    return query


def _sums(row: Sequence[Any]) -> Sums:
    """PostgreSQL adds up to a Decimal, and nothing to NULL."""
    return Sums(*(int(value or 0) for value in row))


def _shown(by: Grouping, value: Any) -> str:
    return date_of(int(value)).isoformat() if by == "day" else str(value)


def _day(text: str) -> int:
    try:
        return day_begins(datetime.date.fromisoformat(text)) // DAY_SECONDS
    except ValueError as error:
        raise InvalidRequest(f"No such day: after={text[:40]!r}; write 2026-11-23.", param="after") from error
