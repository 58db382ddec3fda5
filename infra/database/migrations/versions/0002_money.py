"""Money: balances, the ledger, receipts, ratios, daily quotas; what keys may do, and their rotation.

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None

COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ADDED = {
    "accounts": ("plan", "limits", "balance_micro"),
    "api_keys": ("scopes", "replaced_by", "rotated_until"),
    "jobs": (
        "prices",
        "audio_ratio",
        "estimated_micro",
        "held_micro",
        "captured_micro",
        "max_cost_micro",
        "holds",
        "tokens",
        "counted",
    ),
    "chunks": ("tokens", "counted"),
}
TABLES = ("ledger", "open_holds", "receipts", "audio_ratios", "daily_usage")


def upgrade() -> None:
    _accounts()
    _jobs()
    _ledger()
    _receipts()
    _numbers()


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    for table, columns in ADDED.items():
        for column in columns:
            op.drop_column(table, column)


def _accounts() -> None:
    _add("accounts", _text("plan", ""), _json("limits"), _money("balance_micro"))
    _add("api_keys", _json("scopes"), sa.Column("replaced_by", sa.String(), nullable=True), _time("rotated_until"))


def _jobs() -> None:
    _add("jobs", _json("prices"), _text("audio_ratio", "1"))
    _add("jobs", *(_money(name) for name in ("estimated_micro", "held_micro", "captured_micro")))
    _add("jobs", sa.Column("max_cost_micro", sa.BigInteger(), nullable=True))
    _add("jobs", sa.Column("holds", sa.Integer(), nullable=False, server_default="0"))
    for table in ("jobs", "chunks"):
        _add(table, _json("tokens"), _text("counted", "measured"))


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("delta", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_ledger_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_ledger"),
        sa.UniqueConstraint("subject", "kind", "part", "account_id", name="uq_ledger_subject_kind_part_account_id"),
    )
    op.create_index("ix_ledger_account_id_id", "ledger", ["account_id", "id"])
    op.create_table(
        "open_holds",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_open_holds_account_id"),
        sa.PrimaryKeyConstraint("subject", name="pk_open_holds"),
    )
    op.create_index("ix_open_holds_opened_at", "open_holds", ["opened_at"])


def _receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=True),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("model_used", sa.String(), nullable=True),
        sa.Column("audio_ms", sa.BigInteger(), nullable=False),
        sa.Column("characters", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("counted", sa.String(), nullable=False),
        sa.Column("prices", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("ratio", sa.String(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_receipts_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_receipts"),
        sa.UniqueConstraint("subject", name="uq_receipts_subject"),
    )
    op.create_index("ix_receipts_account_id_created_at_id", "receipts", ["account_id", "created_at", "id"])


def _numbers() -> None:
    op.create_table(
        "audio_ratios",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("ratio", sa.String(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("model", name="pk_audio_ratios"),
    )
    op.create_table(
        "daily_usage",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_daily_usage_account_id"),
        sa.PrimaryKeyConstraint("account_id", "day", "kind", name="pk_daily_usage"),
    )


def _add(table: str, *columns: sa.Column[object]) -> None:
    for column in columns:
        op.add_column(table, column)


def _text(name: str, default: str) -> sa.Column[object]:
    return sa.Column(name, sa.String(), nullable=False, server_default=default)


def _money(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON(none_as_null=True), nullable=True)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Double(), nullable=True)
