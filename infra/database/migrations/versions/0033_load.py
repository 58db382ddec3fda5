"""What an installation of many machines needs: a view to scale by, how far the sweep of the store is, an index for old rows.

The view tells what waits and what is in work, in seconds of sound. It reads what waits (one row for each piece), the jobs that are
held and the chunks that run, each by an index of its own: it costs what is under way, and not what was ever done. A later
migration that rebuilds a table which it reads must drop it before, and make it anew.

Revision ID: 0033
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision: str | None = "0031"
branch_labels: str | None = None
depends_on: str | None = None

NOW = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)",
}
# As the triggers of migration 0007 price what waits: a claim moves a sum from waiting to running, and changes nothing else.
JOB_COST = """CASE WHEN jobs.cut_done THEN 1000 + jobs.size_ms / 100 WHEN jobs.source IS NOT NULL THEN 30000
    ELSE 1000 + CASE WHEN jobs.size_ms < 60000 THEN jobs.size_ms ELSE 60000 END + jobs.size_ms / 20 END"""
LOAD = """CREATE VIEW stenopool_load (role, lane, waiting_audio_seconds, running_audio_seconds, oldest_seconds) AS
WITH waiting AS (
    SELECT role, CASE WHEN rank >= 10 THEN 'archive' ELSE 'normal' END AS lane, SUM(cost_ms) AS ms, MIN(run_at) AS oldest
    FROM waiting_work GROUP BY 1, 2
), running AS (
    SELECT role, lane, SUM(ms) AS ms FROM (
        SELECT queue AS role, CASE WHEN priority <= -10 THEN 'archive' ELSE 'normal' END AS lane, {cost} AS ms
        FROM jobs WHERE lease_token IS NOT NULL
        UNION ALL
        SELECT chunks.queue, CASE WHEN jobs.priority <= -10 THEN 'archive' ELSE 'normal' END, 1000 + chunks.cost_ms
        FROM chunks JOIN jobs ON jobs.id = chunks.job_id WHERE chunks.status = 'running'
    ) AS held GROUP BY role, lane
)
SELECT lanes.role, kinds.lane, COALESCE(waiting.ms, 0) / 1000.0, COALESCE(running.ms, 0) / 1000.0,
    CASE WHEN waiting.oldest < {now} THEN {now} - waiting.oldest ELSE 0.0 END
FROM lanes CROSS JOIN (SELECT 'normal' AS lane UNION ALL SELECT 'archive') AS kinds
LEFT JOIN waiting ON waiting.role = lanes.role AND waiting.lane = kinds.lane
LEFT JOIN running ON running.role = lanes.role AND running.lane = kinds.lane"""


PURGED = sa.text("purged_at IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "storage_sweeps",
        *(sa.Column(name, sa.String(), nullable=False) for name in ("id", "after_key")),
        sa.Column("began_at", sa.Double(), nullable=False),
        sa.Column("next_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("looked", "orphans", "orphan_bytes")),
        sa.PrimaryKeyConstraint("id", name="pk_storage_sweeps"),
    )
    op.execute(
        "INSERT INTO storage_sweeps VALUES ('orphans', '', 0, 0, NULL, 0, 0, 0)"
    )  # there is one, from the beginning
    op.create_index("ix_jobs_purged", "jobs", ["purged_at"], sqlite_where=PURGED, postgresql_where=PURGED)
    op.execute(LOAD.format(now=NOW[op.get_bind().dialect.name], cost=JOB_COST))


def downgrade() -> None:
    op.execute("DROP VIEW stenopool_load")
    op.drop_index("ix_jobs_purged", "jobs")
    op.drop_table("storage_sweeps")
