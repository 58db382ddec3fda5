"""Whom webhook messages go to is known of each, and of each of those whether it answers: the claim chooses fairly among them.

Messages of processes that do not know the new column, and those that wait already, are given a receiver by the sweep.

Revision ID: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision: str | None = "0008"
branch_labels: str | None = None
depends_on: str | None = None

MESSAGES = "webhook_messages"
UNDER_WAY = sa.text("lease_token IS NOT NULL OR dispatched_at IS NOT NULL")


def upgrade() -> None:
    op.add_column(MESSAGES, sa.Column("receiver", sa.String(), nullable=False, server_default=""))
    op.add_column(MESSAGES, sa.Column("began_at", sa.Double(), nullable=True))
    op.add_column(MESSAGES, sa.Column("dispatched_at", sa.Double(), nullable=True))
    op.drop_index("ix_webhook_due", MESSAGES)
    op.create_index("ix_webhook_due", MESSAGES, ["status", "receiver", "next_attempt_at"])
    op.create_index("ix_webhook_busy", MESSAGES, ["receiver"], sqlite_where=UNDER_WAY, postgresql_where=UNDER_WAY)
    op.create_table(
        "webhook_receivers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("silent", sa.Integer(), nullable=False),
        sa.Column("quiet_until", sa.Double(), nullable=True),
        sa.Column("claimed_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_webhook_receivers_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_receivers"),
    )
    op.create_index("ix_webhook_receivers_account_id", "webhook_receivers", ["account_id"])


def downgrade() -> None:
    op.drop_table("webhook_receivers")
    op.drop_index("ix_webhook_busy", MESSAGES)
    op.drop_index("ix_webhook_due", MESSAGES)
    op.create_index("ix_webhook_due", MESSAGES, ["status", "next_attempt_at"])
    for column in ("dispatched_at", "began_at", "receiver"):
        op.drop_column(MESSAGES, column)
