"""What consumers of webhooks need: headers of their own, since when an endpoint fails and why, tests that are tried once.

Processes of before know none of it: they send no headers, try a test again, and write no reasons.

Revision ID: 0028
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision: str | None = "0027"
branch_labels: str | None = None
depends_on: str | None = None

OF_ENDPOINTS: tuple[tuple[str, sa.types.TypeEngine[Any]], ...] = (
    ("headers", sa.JSON(none_as_null=True)),
    ("disabled_reason", sa.String()),
    ("failing_since", sa.Double()),
    ("last_error", sa.String()),
    ("last_status", sa.Integer()),
)


def upgrade() -> None:
    for name, kind in OF_ENDPOINTS:
        op.add_column("webhook_endpoints", sa.Column(name, kind, nullable=True))
    op.add_column(
        "webhook_endpoints", sa.Column("told_failing", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("webhook_messages", sa.Column("once", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("webhook_messages", sa.Column("last_error", sa.String(), nullable=True))


def downgrade() -> None:
    for name in ("last_error", "once"):
        op.drop_column("webhook_messages", name)
    op.execute(sa.text("DELETE FROM webhook_messages WHERE status = 'listening'"))
    op.execute(sa.text("DELETE FROM webhook_endpoints WHERE status = 'listening'"))
    for name in ("told_failing", *(name for name, _ in reversed(OF_ENDPOINTS))):
        op.drop_column("webhook_endpoints", name)
