"""What purged jobs still hold is found, and what was removed of erased accounts is written down.

Jobs that were purged before, or are by a process of before, hold prompts and secrets in their rows: `cleared` tells which are
left. Processes of before go on beside new ones.

Revision ID: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision: str | None = "0010"
branch_labels: str | None = None
depends_on: str | None = None

UNCLEARED = sa.text("purged_at IS NOT NULL AND NOT cleared")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("cleared", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_jobs_uncleared", "jobs", ["id"], sqlite_where=UNCLEARED, postgresql_where=UNCLEARED)
    op.create_table(
        "account_erasures",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("done_at", sa.Double(), nullable=True),
        sa.Column("removed", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_account_erasures_account_id"),
        sa.PrimaryKeyConstraint("account_id", name="pk_account_erasures"),
    )
    op.create_index("ix_account_erasures_asked_at", "account_erasures", ["asked_at"])


def downgrade() -> None:
    op.drop_table("account_erasures")
    op.drop_index("ix_jobs_uncleared", "jobs")
    op.drop_column("jobs", "cleared")
