"""Minutes set aside for transcriptions that are under way.

Revision ID: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "open_minutes",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("taken", sa.BigInteger(), nullable=False),
        sa.Column("before", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_open_minutes_account_id"),
        sa.PrimaryKeyConstraint("subject", name="pk_open_minutes"),
    )
    op.create_index("ix_open_minutes_opened_at", "open_minutes", ["opened_at"])


def downgrade() -> None:
    op.drop_table("open_minutes")
