"""Reports across all accounts read the days they are about, and not every receipt there is.

Revision ID: 0005
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_index("ix_receipts_created_at_id", "receipts", ["created_at", "id"])


def downgrade() -> None:
    op.drop_index("ix_receipts_created_at_id", "receipts")
