"""The audit log: a row with each act, in its transaction, for ever; on both databases."""

from collections.abc import Callable
from contextvars import copy_context
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from infra.audit.actor import Actor, act_as
from infra.audit.audit_log import ACTS, AuditLog
from infra.database.session import Database
from infra.jobs.store import JobStore
from infra.keys.accounts import Accounts
from infra.money.ledger import Ledger
from infra.money.ratios import Ratios
from infra.privacy.account_erasure import AccountEraser
from pipeline.catalog.toml_file import load_catalog
from pipeline.errors import InsufficientBalance, InvalidRequest, NotFound, WrongState


def acts(database: Database, **wanted: Any) -> list[str]:
    """What is in the log, the oldest first."""
    return [entry.act for entry in reversed(AuditLog(database).entries(limit=1000, **wanted)[0])]


def stores(database: Database) -> tuple[Accounts, Ledger, Ratios]:
    return Accounts(database), Ledger(database), Ratios(database, load_catalog(None, embedded_engines="auto"))


def test_every_act_leaves_one_row(database: Database) -> None:
    accounts, ledger, ratios = stores(database)
    account = accounts.create_account("Ada Lovelace", "pro", plan="gold").id
    new_facts = {"name": "Countess", "limits": {"concurrent_jobs": 3}, "balance_low": 2_500_000}
    accounts.update(account, tier="enterprise", **new_facts)
    _, key = accounts.create_key(account, "laptop", scopes=["usage"])
    _, new = accounts.rotate_key(key.id)
    accounts.revoke_key(new.id)
    ledger.top_up(account, 5_000_000, note="invoice of Ada")
    ledger.adjust(account, -1_500_000, note="slip")
    ratios.set("whisper-1", Decimal("1.5"))
    ratios.set("whisper-1", Decimal(2))
    ratios.clear("whisper-1")
    AccountEraser(database, JobStore(database), accounts).erase(account)
    assert acts(database) == [*ACTS[:8], "ratio.set", "ratio.clear", "account.erase"]
    found = {entry.act: entry for entry in reversed(AuditLog(database).entries(limit=1000)[0])}
    assert found["account.update"].details == {
        "changed": ["name", "tier", "limits", "balance_low_micro"],
        "from": {"tier": "pro", "limits": None, "balance_low_micro": None},
        "to": {"tier": "enterprise", "limits": {"concurrent_jobs": 3}, "balance_low_micro": 2_500_000},
    }
    assert (found["key.rotate"].subject, found["key.rotate"].details["replaced_by"]) == (key.id, new.id)
    assert found["balance.adjust"].details == {"amount_usd": "-1.50"}
    assert found["ratio.set"].details == {"from": "1.5", "to": "2"}
    assert found["ratio.clear"].details == {"from": "2"}
    assert {entry.account_id for entry in found.values()} == {account, None}
    told = str([entry.model_dump() for entry in found.values()])
    assert not any(word in told for word in ("Ada", "Countess", "gold", "laptop", "slip", key.secret_hash)), told


def test_what_changes_nothing_or_is_undone_leaves_none(database: Database, account: str) -> None:
    accounts, ledger, ratios = stores(database)
    _, key = accounts.create_key(account)
    accounts.revoke_key(key.id)
    ledger.top_up(account, 5, subject="once")
    before = acts(database)
    ledger.top_up(account, 5, subject="once")
    accounts.update(account)
    accounts.update(account, tier="enterprise")
    accounts.revoke_key(key.id)
    ratios.clear("whisper-1")
    refused: list[tuple[type[Exception], Callable[[], object]]] = [
        (InsufficientBalance, lambda: ledger.adjust(account, -(10**9))),
        (NotFound, lambda: ledger.top_up("acct_nobody", 5)),
        (NotFound, lambda: accounts.create_key("acct_nobody")),
        (WrongState, lambda: accounts.rotate_key(key.id)),
        (InvalidRequest, lambda: accounts.update(account, name="new", limits={"wishes": 3})),
    ]
    for error, act in refused:
        with pytest.raises(error):
            act()
    assert acts(database) == before


AGAIN = "INTO audit_log SELECT id, 0.0, 'nobody', source, act, subject, account_id, request_id, details FROM audit_log"
BOTH = ("UPDATE audit_log SET who = 'nobody'", "DELETE FROM audit_log")
KINDS = {
    "sqlite": (*BOTH, f"INSERT OR REPLACE {AGAIN}", f"REPLACE {AGAIN}"),
    "postgresql": (*BOTH, "TRUNCATE audit_log", f"INSERT {AGAIN} ON CONFLICT (id) DO UPDATE SET who = 'nobody'"),
}


def test_rows_are_only_ever_added(database: Database, account: str) -> None:
    before = [entry.model_dump() for entry in AuditLog(database).entries(limit=10)[0]]
    assert [entry["subject"] for entry in before] == [account]
    for statement in KINDS[database.kind]:
        with pytest.raises(DBAPIError, match="only ever added"), database.write() as session:
            session.execute(text(statement))
    assert [entry.model_dump() for entry in AuditLog(database).entries(limit=10)[0]] == before


def test_it_is_somebodys_doing(database: Database, account: str) -> None:
    (mine,) = AuditLog(database).entries(limit=10)[0]
    assert mine.who.startswith("user:")
    assert mine.source

    def suspend() -> None:
        act_as(Actor("admin_key", "203.0.113.7", "req_1"))
        Accounts(database).update(account, status="suspended")

    copy_context().run(suspend)
    ((told, *_), _) = AuditLog(database).entries(limit=10)
    assert (told.who, told.source, told.request_id) == ("admin_key", "203.0.113.7", "req_1")
    assert told.at >= mine.at


def test_page_by_page(database: Database, account: str) -> None:
    log, ledger = AuditLog(database), Ledger(database)
    for _ in range(3):
        ledger.top_up(account, 5)
    whole, more = log.entries(limit=10)
    assert ([entry.act for entry in whole], more) == ([*["balance.top_up"] * 3, "account.create"], False)
    first, more = log.entries(limit=2)
    rest, no_more = log.entries(limit=2, after=first[-1].id)
    assert (more, no_more, [*first, *rest]) == (True, False, whole)
    assert log.entries(limit=9, account_id=account, act="account.create")[0] == whole[3:]
    assert log.entries(limit=9, subject=whole[0].subject)[0] == whole[:1]
    assert log.entries(limit=9, account_id="acct_nobody") == ([], False)
