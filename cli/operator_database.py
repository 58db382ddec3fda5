"""Accounts and money, directly in the configured database: what `accounts`, `keys`, `prices`, `usage` and `audit` work with."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

from cli.environment import named_database, settings
from infra.audit.audit_log import AuditLog
from infra.database.session import Database
from infra.jobs.store import JobStore
from infra.keys.accounts import Accounts
from infra.money.adjustments import Adjustments
from infra.money.ledger import Ledger
from infra.money.quota import Quota
from infra.money.statements import Statements
from infra.money.usage import Usage
from infra.operator_queries import OperatorQueries
from infra.privacy.account_erasure import AccountEraser
from infra.webhooks.health.all_endpoints import AllEndpoints
from pipeline.errors import InvalidRequest

AsJson = Annotated[bool, typer.Option("--json", help="One JSON value on stdout, for scripts.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="CSV on stdout, for spreadsheets.")]


@dataclass(frozen=True)
class OperatorDatabase:
    """The stores over one database."""

    database: Database
    accounts: Accounts
    jobs: JobStore
    ledger: Ledger
    adjustments: Adjustments
    statements: Statements
    usage: Usage
    quota: Quota
    operator_queries: OperatorQueries
    all_endpoints: AllEndpoints
    eraser: AccountEraser
    audit: AuditLog


@contextlib.contextmanager
def open_operator_database(*, make: bool = False) -> Iterator[OperatorDatabase]:
    """Over the configured database, which only those make who `make` the first thing in it. Raises as `named_database`."""
    chosen = settings()
    with named_database(chosen, make=make) as database:
        accounts = Accounts(database, chosen.peppers)
        yield OperatorDatabase(
            database=database,
            accounts=accounts,
            jobs=JobStore(database),
            ledger=Ledger(database),
            adjustments=Adjustments(database),
            statements=Statements(database),
            usage=Usage(database),
            quota=Quota(database),
            operator_queries=OperatorQueries(database),
            all_endpoints=AllEndpoints(database),
            eraser=AccountEraser(database, JobStore(database), accounts),
            audit=AuditLog(database),
        )


def moment(seconds: float | None) -> str:
    """Epoch seconds as local time, to the second; nothing for None."""
    if seconds is None:
        return ""
    return datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC).astimezone().isoformat(" ", "seconds")[:19]


def day(text: str | None, *, option: str) -> datetime.date | None:
    """A day in UTC as it is typed. Raises InvalidRequest naming the option."""
    if text is None:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(f"{option}: write a day as 2026-11-23, not {text!r}.", param=option) from error
