"""Chunks tell whether their text was handed out, which is paid whatever becomes of the job; accounts have an audio ratio of
their own, and a threshold below which they are told that their balance is low.

A process of before goes on beside a new one: what it hands out is not marked.

Revision ID: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision: str | None = "0009"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("chunks", sa.Column("handed_out", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("accounts", sa.Column("audio_ratio", sa.String(), nullable=True))
    op.add_column("accounts", sa.Column("balance_low_micro", sa.BigInteger(), nullable=True))
    op.add_column("accounts", sa.Column("balance_low_told", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    for column in ("balance_low_told", "balance_low_micro", "audio_ratio"):
        op.drop_column("accounts", column)
    op.drop_column("chunks", "handed_out")
