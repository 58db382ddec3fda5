"""What work waits for while storage, a disk or a provider is away.

Revision ID: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision: str | None = "0012"
branch_labels: str | None = None
depends_on: str | None = None

TABLES = ("jobs", "chunks")
WAITS = sa.text("waits_for IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "outages",
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("since", sa.Double(), nullable=True),
        sa.Column("pause", sa.Double(), nullable=False),
        sa.Column("probe_at", sa.Double(), nullable=True),
        sa.Column("worked_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("place", name="pk_outages"),
    )
    for table in TABLES:
        op.add_column(table, sa.Column("waits_for", sa.String(), nullable=True))
        op.add_column(table, sa.Column("waits_since", sa.Double(), nullable=True))
        op.create_index(f"ix_{table}_waits", table, ["waits_for"], sqlite_where=WAITS, postgresql_where=WAITS)


def downgrade() -> None:
    for table in TABLES:
        op.drop_index(f"ix_{table}_waits", table)
        op.drop_column(table, "waits_since")
        op.drop_column(table, "waits_for")
    op.drop_table("outages")
