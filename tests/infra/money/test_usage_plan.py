"""A report of some days reads the receipts of those days, whether it is of one account or of all."""

import datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.dialects import sqlite

from infra.database.session import Database
from infra.database.tables.money import Receipt
from infra.money.usage import Wanted, narrowed

DAY = datetime.date(2026, 11, 23)


@pytest.mark.parametrize(
    ("account", "index"), [(None, "ix_receipts_created_at_id"), ("acct_x", "ix_receipts_account_id_created_at_id")]
)
def test_a_report_finds_its_days(tmp_path: Path, account: str | None, index: str) -> None:
    database = Database(f"sqlite:///{tmp_path / 'plan.db'}")
    database.migrate()
    query = narrowed(select(func.sum(Receipt.cost)), Wanted(account, since=DAY, until=DAY))
    written = query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with database.read() as session:
        plan = " ".join(str(row[-1]) for row in session.execute(text(f"EXPLAIN QUERY PLAN {written}")))
    database.close()
    assert f"SEARCH receipts USING INDEX {index}" in plan
