"""How long the work took that a receipt is about.

Processes of before write none; what they have written stays without.

Revision ID: 0024
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision: str | None = "0023"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("receipts", sa.Column("latency_ms", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("receipts", "latency_ms")
