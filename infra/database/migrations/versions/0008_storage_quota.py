"""What each account stores is counted: in its media, in its jobs, and, added up, in its own row; large values leave the rows.

A process of before goes on beside a new one: what it stores counts nothing, until the nightly recount.

Revision ID: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"
branch_labels: str | None = None
depends_on: str | None = None

COUNTERS = (
    ("accounts", "stored_bytes", sa.BigInteger),
    ("accounts", "stored_results", sa.Integer),
    ("media", "counted", sa.BigInteger),
    ("jobs", "stored_bytes", sa.BigInteger),
)
FACTS = ("blobs", "waiting")
SOUND = {
    "sqlite": "UPDATE jobs SET stored_bytes = CAST(json_extract(sound, '$.bytes') AS INTEGER) "
    "WHERE purged_at IS NULL AND sound IS NOT NULL",
    "postgresql": "UPDATE jobs SET stored_bytes = CAST(sound ->> 'bytes' AS BIGINT) "
    "WHERE purged_at IS NULL AND sound IS NOT NULL",
}


def upgrade() -> None:
    for table, name, kind in COUNTERS:
        op.add_column(table, sa.Column(name, kind(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("kept", sa.Boolean(), nullable=False, server_default=sa.false()))
    for name in FACTS:
        op.add_column("jobs", sa.Column(name, sa.JSON(none_as_null=True), nullable=True))
    _count_what_is_there()


def downgrade() -> None:
    for name in (*FACTS, "kept"):
        op.drop_column("jobs", name)
    for table, name, _ in reversed(COUNTERS):
        op.drop_column(table, name)


def _count_what_is_there() -> None:
    """Transcripts of before are small, and count nothing."""
    op.execute("UPDATE media SET counted = bytes WHERE state = 'stored'")
    op.execute("UPDATE jobs SET kept = true WHERE purged_at IS NULL AND status NOT IN ('cancelling', 'cancelled')")
    op.execute(SOUND[op.get_bind().dialect.name])
    op.execute(
        "UPDATE accounts SET stored_results = (SELECT count(*) FROM jobs WHERE jobs.account_id = accounts.id AND jobs.kept), "
        "stored_bytes = (SELECT coalesce(sum(counted), 0) FROM media WHERE media.account_id = accounts.id) "
        "+ (SELECT coalesce(sum(stored_bytes), 0) FROM jobs WHERE jobs.account_id = accounts.id)"
    )
