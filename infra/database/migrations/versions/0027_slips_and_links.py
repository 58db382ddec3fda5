"""What a request said that nobody reads, links to a job's results, and which field of a repeated request differs.

Processes of before write none of it; what they have written says nothing of it.

Revision ID: 0027
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision: str | None = "0025"
branch_labels: str | None = None
depends_on: str | None = None

COLUMNS = (("jobs", "ignored"), ("jobs", "webhook_link"), ("jobs", "links"), ("idempotency_keys", "parts"))


def upgrade() -> None:
    for table, name in COLUMNS:
        op.add_column(table, sa.Column(name, sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    for table, name in COLUMNS:
        op.drop_column(table, name)
