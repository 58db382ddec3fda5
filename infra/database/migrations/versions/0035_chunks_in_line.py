"""Chunks that stand in an engine's line: their worker computes nothing until it is their turn, and so they are slow work.

Only the pieces of chunks change; the triggers keep their names and their events. What processes of before cut stands in no line.

Revision ID: 0035
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision: str | None = "0034"
branch_labels: str | None = None
depends_on: str | None = None

IN_LINE = sa.text("slow AND idx >= 0")

COLUMNS = "job_id, idx, role, account_id, slow, rank, size_ms, since, run_at, cost_ms"
WAITS = "({0}.status = 'pending' AND {0}.sound_key IS NOT NULL)"
PIECE = """{0}.job_id, {0}.idx, {0}.queue, jobs.account_id, {1}, -jobs.priority, jobs.size_ms,
    COALESCE(jobs.queued_at, jobs.created_at), {0}.run_at, 1000 + {0}.cost_ms"""
GONE = "DELETE FROM waiting_work WHERE job_id = OLD.job_id AND idx = OLD.idx;"
GONE_ROWS = """DELETE FROM waiting_work AS work USING old_rows
    WHERE work.job_id = old_rows.job_id AND work.idx = old_rows.idx"""


def upgrade() -> None:
    op.add_column("chunks", sa.Column("in_line", sa.Boolean(), nullable=False, server_default=sa.false()))
    columns = ["role", "account_id", "rank", "size_ms"]
    op.create_index("ix_waiting_work_in_line", "waiting_work", columns, sqlite_where=IN_LINE, postgresql_where=IN_LINE)
    _replace("{0}.in_line")


def downgrade() -> None:
    _replace("FALSE")
    op.execute("UPDATE waiting_work SET slow = FALSE WHERE idx >= 0 AND slow")
    op.drop_index("ix_waiting_work_in_line", "waiting_work")
    op.drop_column("chunks", "in_line")


def _replace(slow: str) -> None:
    """The triggers of migration 0007 that make a chunk's piece, with this in the place of `slow`."""
    if op.get_bind().dialect.name == "sqlite":
        for statement in _sqlite(slow):
            op.execute(statement)
    else:
        op.execute(_postgres(slow))


def _made(rows: str, slow: str) -> str:
    return f"INSERT INTO waiting_work ({COLUMNS}) SELECT {PIECE.format(rows, slow.format(rows))}"


def _sqlite(slow: str) -> list[str]:
    made, of_job = _made("NEW", slow) + " FROM jobs", "WHERE jobs.id = NEW.job_id AND"
    before, after = WAITS.format("OLD"), WAITS.format("NEW")
    return [
        "DROP TRIGGER chunks_insert_queue",
        "DROP TRIGGER chunks_update_queue",
        f"CREATE TRIGGER chunks_insert_queue AFTER INSERT ON chunks WHEN {after} BEGIN {made} {of_job} TRUE; END",
        "CREATE TRIGGER chunks_update_queue AFTER UPDATE OF status, queue, sound_key, run_at, cost_ms ON chunks "
        f"WHEN {before} OR {after} BEGIN {GONE} {made} {of_job} {after}; END",
    ]


def _postgres(slow: str) -> str:
    old, new = WAITS.format("old_rows"), WAITS.format("new_rows")
    gone = f"{GONE_ROWS} AND {old};"
    made = f"{_made('new_rows', slow)} FROM new_rows JOIN jobs ON jobs.id = new_rows.job_id WHERE {new};"
    return f"""CREATE OR REPLACE FUNCTION queue_chunk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP <> 'INSERT' THEN {gone} END IF; IF TG_OP <> 'DELETE' THEN {made} END IF; RETURN NULL; END $$"""
