"""How much of a chunk's sound, while it waits to be heard, counts among what its account stores.

What processes of before prepare counts nothing; what they hear counts until its job is purged, or recounted.

Revision ID: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision: str | None = "0015"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("chunks", sa.Column("sound_bytes", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("chunks", "sound_bytes")
