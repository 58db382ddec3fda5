"""What an operator wants to know without asking every row: how many jobs are in each status, where a job's time went, whose trace
it belongs to.

The counts are kept by triggers, so that a process of the version before cannot forget one. SQLite has one writer: there a trigger
changes the count itself. On PostgreSQL moves of many workers would wait for each other at it, so each is noted in a row of its
own, and the scheduler adds them up.

A later migration that rebuilds `jobs` on SQLite must make its triggers anew.

Revision ID: 0031
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision: str | None = "0030"
branch_labels: str | None = None
depends_on: str | None = None

EVENTS = ("insert", "update", "delete")
PLUS = """INSERT INTO job_counts (status, jobs) VALUES (NEW.status, 1)
    ON CONFLICT (status) DO UPDATE SET jobs = job_counts.jobs + 1;"""
MINUS = "UPDATE job_counts SET jobs = jobs - 1 WHERE status = OLD.status;"
SQLITE = (
    f"CREATE TRIGGER jobs_insert_count AFTER INSERT ON jobs BEGIN {PLUS} END",
    f"CREATE TRIGGER jobs_delete_count AFTER DELETE ON jobs BEGIN {MINUS} END",
    f"""CREATE TRIGGER jobs_update_count AFTER UPDATE OF status ON jobs WHEN OLD.status <> NEW.status
    BEGIN {MINUS} {PLUS} END""",
)
POSTGRES = (
    """CREATE FUNCTION count_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND OLD.status = NEW.status THEN
            RETURN NULL;
        END IF;
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO job_count_changes (status, jobs) VALUES (OLD.status, -1);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO job_count_changes (status, jobs) VALUES (NEW.status, 1);
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER jobs_count AFTER INSERT OR DELETE OR UPDATE OF status ON jobs
    FOR EACH ROW EXECUTE FUNCTION count_jobs()""",
)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("trace", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("timing", sa.JSON(), nullable=True))
    op.create_table(
        "job_counts",
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("status", name="pk_job_counts"),
    )
    op.create_table(
        "job_count_changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_count_changes"),
    )
    # The triggers come first: on PostgreSQL they wait for every move under way, and nobody moves until all is counted.
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRES:
        op.execute(statement)
    op.execute("INSERT INTO job_counts (status, jobs) SELECT status, count(*) FROM jobs GROUP BY status")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for event in EVENTS:
            op.execute(f"DROP TRIGGER jobs_{event}_count")
    else:
        op.execute("DROP FUNCTION count_jobs() CASCADE")  # and its trigger
    op.drop_table("job_count_changes")
    op.drop_table("job_counts")
    op.drop_column("jobs", "timing")
    op.drop_column("jobs", "trace")
