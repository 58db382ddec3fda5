"""Rows that live for one request are written in one place each: on SQLite in their key's own tree, and by time in no index.

There are never more of them than requests under way, so the sweep looks through all of them.

Revision ID: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None

COLUMNS = {
    "open_holds": (("account_id", sa.String), ("held", sa.BigInteger), ("parts", sa.Integer), ("opened_at", sa.Double)),
    "open_minutes": (
        ("account_id", sa.String),
        ("day", sa.String),
        ("taken", sa.BigInteger),
        ("before", sa.BigInteger),
        ("opened_at", sa.Double),
    ),
}


def upgrade() -> None:
    for table in COLUMNS:
        op.drop_index(f"ix_{table}_opened_at", table)
        if op.get_bind().dialect.name == "sqlite":
            _rebuild(table, by_row_id=False)


def downgrade() -> None:
    for table in COLUMNS:
        if op.get_bind().dialect.name == "sqlite":
            _rebuild(table, by_row_id=True)
        op.create_index(f"ix_{table}_opened_at", table, ["opened_at"])


def _rebuild(table: str, *, by_row_id: bool) -> None:
    """SQLite cannot change where a table keeps its rows."""
    op.rename_table(table, f"{table}_before")
    op.create_table(
        table,
        sa.Column("subject", sa.String(), nullable=False),
        *(sa.Column(name, kind(), nullable=False) for name, kind in COLUMNS[table]),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=f"fk_{table}_account_id"),
        sa.PrimaryKeyConstraint("subject", name=f"pk_{table}"),
        sqlite_with_rowid=by_row_id,
    )
    names = ", ".join(f'"{name}"' for name in ("subject", *(name for name, _ in COLUMNS[table])))
    op.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM {table}_before")  # noqa: S608 - all of it is written here
    op.drop_table(f"{table}_before")
