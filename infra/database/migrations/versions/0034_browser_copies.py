"""How many bytes the copy of a recording takes that browsers play; most have none.

Revision ID: 0034
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision: str | None = "0033"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("media", sa.Column("copied", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("media", "copied")
