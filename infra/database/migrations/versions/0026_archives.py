"""Archives: the lane that takes what is left over, `complete_by`, and bulk runs as batches whose lines are recordings in buckets.

Revision ID: 0026
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision: str | None = "0028"
branch_labels: str | None = None
depends_on: str | None = None

LOW = sa.text("rank >= 10")
RISING = sa.text("complete_by IS NOT NULL AND priority <= -10")
PRINTED = sa.text("fingerprint IS NOT NULL")
STEMMED = sa.text("stem IS NOT NULL")
OF_BATCHES: tuple[tuple[str, sa.types.TypeEngine[Any], str | None], ...] = (
    ("kind", sa.String(), "batch"),
    ("plan", sa.JSON(none_as_null=True), None),
    ("skipped", sa.Integer(), "0"),
    ("estimate", sa.JSON(none_as_null=True), None),
    ("complete_by", sa.Double(), None),
    ("raised_at", sa.Double(), None),
    ("reported_at", sa.Double(), None),
    ("webhook_url", sa.String(), None),
    ("webhook_events", sa.JSON(none_as_null=True), None),
    ("webhook_secret", sa.String(), None),
)
OF_LINES = (("facts", sa.JSON(none_as_null=True)), ("fingerprint", sa.String()), ("stem", sa.String()))


def upgrade() -> None:
    for name in ("low_start", "low_served"):
        op.add_column("shares", sa.Column(name, sa.Double(), nullable=False, server_default="0"))
    op.create_index("ix_shares_role_low_served", "shares", ["role", "low_served"])
    op.create_index(
        "ix_waiting_work_low", "waiting_work", ["role", "account_id", "cost_ms"], sqlite_where=LOW, postgresql_where=LOW
    )
    op.add_column("jobs", sa.Column("complete_by", sa.Double(), nullable=True))
    op.create_index("ix_jobs_rising", "jobs", ["status"], sqlite_where=RISING, postgresql_where=RISING)
    for name, kind, default in OF_BATCHES:
        op.add_column("batches", sa.Column(name, kind, nullable=default is None, server_default=default))
    for name, kind in OF_LINES:
        op.add_column("batch_lines", sa.Column(name, kind, nullable=True))
    for name, column, where in (("print", "fingerprint", PRINTED), ("stem", "stem", STEMMED)):
        op.create_index(
            f"ix_batch_lines_{name}", "batch_lines", ["batch_id", column], sqlite_where=where, postgresql_where=where
        )


def downgrade() -> None:
    for name in ("print", "stem"):
        op.drop_index(f"ix_batch_lines_{name}", "batch_lines")
    for name, _ in OF_LINES:
        op.drop_column("batch_lines", name)
    for name, *_ in OF_BATCHES:
        op.drop_column("batches", name)
    op.drop_index("ix_jobs_rising", "jobs")
    op.drop_column("jobs", "complete_by")
    op.drop_index("ix_waiting_work_low", "waiting_work")
    op.drop_index("ix_shares_role_low_served", "shares")
    for name in ("low_start", "low_served"):
        op.drop_column("shares", name)
