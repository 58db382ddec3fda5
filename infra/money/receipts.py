"""What one request or job has cost, and why: prices, ratio, measure. A receipt outlives its job."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import bindparam, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlmodel import SQLModel, col

from infra.database.clock import now
from infra.database.ids import new_id
from infra.database.session import Database, Transaction, dialect_of, run, run_beside
from infra.database.tables.money import Receipt
from pipeline.catalog.model import Prices
from pipeline.errors import NotFound
from pipeline.pricing import Usage, charge, prices_as_dict, tokens_as_dict


@dataclass(frozen=True, kw_only=True)
class NewReceipt:
    """What is known of finished work. Its cost follows from the usage, the prices and the ratio, and is never above `most`.

    `latency_ms`: from the request's first byte to the end of the work; of a job, from its acceptance to its end.
    """

    account_id: str
    task: str
    model: str  # the one asked for, which sets the price
    usage: Usage
    prices: Prices = field(default_factory=Prices)
    ratio: Decimal = Decimal(1)
    key_id: str | None = None
    model_used: str | None = None
    most: int | None = None  # micro-dollars
    latency_ms: int | None = None

    @property
    def cost(self) -> int:
        """Micro-dollars."""
        micro = charge(self.usage, self.prices, self.ratio).micro
        return micro if self.most is None else min(micro, self.most)


class Receipts:
    """Read receipts; the ledger writes them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, account_id: str, receipt_id: str) -> Receipt:
        """Raises NotFound: unknown and foreign look the same."""
        with self._database.read() as session:
            receipt = session.get(Receipt, receipt_id)
        if receipt is None or receipt.account_id != account_id:
            raise NotFound("No such receipt.")
        return receipt

    def of(self, subject: str) -> Receipt | None:
        """A request's or a job's, where it has one by now."""
        with self._database.read() as session:
            return session.scalars(select(Receipt).where(col(Receipt.subject) == subject)).one_or_none()


_TABLE = SQLModel.metadata.tables[str(Receipt.__tablename__)]  # without the mapped class: half the time
_INSERT = insert(_TABLE).values(created_at=now(), updated_at=now())
_FIXED = ("id", "account_id", "subject", "created_at")


def _keeping(dialect: Any) -> Any:
    """A first receipt, or in its place what has changed since."""
    new = dialect.insert(_TABLE).values(created_at=now(), updated_at=now())
    changed = {column.name: new.excluded[column.name] for column in _TABLE.c if column.name not in _FIXED}
    return new.on_conflict_do_update(index_elements=["subject"], set_=changed)


_KEEP = {"postgresql": _keeping(postgresql), "sqlite": _keeping(sqlite)}
_FIRST = select(_TABLE.c.id, _TABLE.c.cost).where(_TABLE.c.subject == bindparam("name"))


class Settled(NamedTuple):
    """What a settlement leaves: the receipt's id, and its cost in micro-dollars."""

    id: str
    cost: int


def first_receipt(session: Transaction, subject: str) -> Settled | None:
    """What a request was settled with already."""
    row = run(session, _FIRST, {"name": subject}).one_or_none()
    return Settled(row.id, row.cost) if row else None


def write_receipt(session: Transaction, subject: str, new: NewReceipt, cost: int) -> Settled:
    """The one receipt of a request. The caller has made sure that there is none yet."""
    values = _values(subject, new, cost)
    run(session, _INSERT, values)
    return Settled(values["id"], cost)


def keep_receipt(session: Session, subject: str, new: NewReceipt, cost: int) -> None:
    """The receipt of a job, whose cost may grow when it is retried."""
    run_beside(session, _KEEP[dialect_of(session)], _values(subject, new, cost))


def _values(subject: str, new: NewReceipt, cost: int) -> dict[str, Any]:
    return {
        "id": new_id("rcpt"),
        "account_id": new.account_id,
        "key_id": new.key_id,
        "subject": subject,
        "task": new.task,
        "model": new.model,
        "model_used": new.model_used,
        "audio_ms": new.usage.audio_ms,
        "characters": new.usage.characters,
        "tokens": tokens_as_dict(new.usage.tokens),
        "counted": new.usage.counted,
        "prices": prices_as_dict(new.prices),
        "ratio": str(new.ratio),
        "cost": cost,
        "latency_ms": new.latency_ms,
    }
