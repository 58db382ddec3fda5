"""The queue: every piece of work that waits is a row, and every account has a share in each role's work.

Triggers keep both, in the transactions of the moves themselves: whatever changes a job or a chunk, and be it a process of
the version before, cannot forget it. On PostgreSQL the shares are counted when a transaction commits, so that their rows
are always the last to be locked, and statement by statement, because a cancelled job may have thousands of chunks.

A later migration that rebuilds `jobs` or `chunks` on SQLite must make their triggers anew.

Revision ID: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None

COLUMNS = "job_id, idx, role, account_id, slow, rank, size_ms, since, run_at, cost_ms"

JOB_WAITS = """({0}.status = 'queued' OR ({0}.status = 'processing' AND {0}.lease_token IS NULL
    AND (NOT {0}.cut_done OR {0}.chunks_completed + {0}.chunks_failed >= {0}.chunks_total)))"""
JOB_IS_SLOW = "({0}.source IS NOT NULL OR (NOT {0}.cut_done AND {0}.task <> 'speech' AND {0}.size_ms > 600000))"
# Fetching costs a flat sum. Preparing costs a twentieth of hearing, and the first minute is often heard with it.
JOB_COST = """CASE WHEN {0}.cut_done THEN 1000 + {0}.size_ms / 100 WHEN {0}.source IS NOT NULL THEN 30000
    ELSE 1000 + CASE WHEN {0}.size_ms < 60000 THEN {0}.size_ms ELSE 60000 END + {0}.size_ms / 20 END"""
JOB_PIECE = f"""{{0}}.id, -1, {{0}}.queue, {{0}}.account_id, {JOB_IS_SLOW}, -{{0}}.priority,
    CASE WHEN {{0}}.cut_done THEN 0 ELSE {{0}}.size_ms END, COALESCE({{0}}.queued_at, {{0}}.created_at), {{0}}.run_at,
    {JOB_COST}"""
JOB_CHANGES = """status, queue, priority, size_ms, source, lease_token, run_at, cut_done, chunks_completed,
    chunks_failed, chunks_total"""

CHUNK_WAITS = "({0}.status = 'pending' AND {0}.sound_key IS NOT NULL)"
CHUNK_PIECE = """{0}.job_id, {0}.idx, {0}.queue, jobs.account_id, FALSE, -jobs.priority, jobs.size_ms,
    COALESCE(jobs.queued_at, jobs.created_at), {0}.run_at, 1000 + {0}.cost_ms"""
CHUNK_CHANGES = "status, queue, sound_key, run_at, cost_ms"

PLUS = """INSERT INTO shares (role, account_id, start, served, served_ms, turns, pieces, waiting_ms, slow_pieces, slow_ms)
    VALUES (NEW.role, NEW.account_id, 0, 0, 0, 0, {})
    ON CONFLICT (role, account_id) DO UPDATE SET pieces = shares.pieces + excluded.pieces,
    waiting_ms = shares.waiting_ms + excluded.waiting_ms, slow_pieces = shares.slow_pieces + excluded.slow_pieces,
    slow_ms = shares.slow_ms + excluded.slow_ms;"""
OF_ONE_PIECE = """CASE WHEN NEW.slow THEN 0 ELSE 1 END, CASE WHEN NEW.slow THEN 0 ELSE NEW.cost_ms END,
    CASE WHEN NEW.slow THEN 1 ELSE 0 END, CASE WHEN NEW.slow THEN NEW.cost_ms ELSE 0 END"""
OF_A_STATEMENT = "NEW.pieces, NEW.waiting_ms, NEW.slow_pieces, NEW.slow_ms"
COUNTED = "DELETE FROM share_changes WHERE id = NEW.id;"
SUMS = """role, account_id, {0} * SUM(CASE WHEN slow THEN 0 ELSE 1 END), {0} * SUM(CASE WHEN slow THEN 0 ELSE cost_ms END),
    {0} * SUM(CASE WHEN slow THEN 1 ELSE 0 END), {0} * SUM(CASE WHEN slow THEN cost_ms ELSE 0 END)"""
MINUS = """UPDATE shares SET pieces = pieces - CASE WHEN OLD.slow THEN 0 ELSE 1 END,
    waiting_ms = waiting_ms - CASE WHEN OLD.slow THEN 0 ELSE OLD.cost_ms END,
    slow_pieces = slow_pieces - CASE WHEN OLD.slow THEN 1 ELSE 0 END,
    slow_ms = slow_ms - CASE WHEN OLD.slow THEN OLD.cost_ms ELSE 0 END
    WHERE role = OLD.role AND account_id = OLD.account_id;"""


FUNCTIONS = ("queue_job", "queue_chunk", "change_shares", "count_waiting")


def upgrade() -> None:
    _add_columns()
    _create_tables()
    _fill()
    kind = op.get_bind().dialect.name
    for statement in _sqlite_triggers() if kind == "sqlite" else _postgres_triggers():
        op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in ("jobs", "chunks"):
            for event in ("insert", "update", "delete"):
                op.execute(f"DROP TRIGGER {table}_{event}_queue")
    else:
        for name in FUNCTIONS:
            op.execute(f"DROP FUNCTION {name}() CASCADE")  # and its triggers
    for table in ("waiting_work", "shares", "share_changes", "lanes"):
        op.drop_table(table)
    op.drop_index("ix_jobs_held", "jobs")
    op.drop_column("chunks", "cost_ms")
    op.drop_column("jobs", "size_ms")


def _add_columns() -> None:
    for table, name in (("jobs", "size_ms"), ("chunks", "cost_ms")):
        op.add_column(table, sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    held = sa.text("lease_token IS NOT NULL")
    op.create_index("ix_jobs_held", "jobs", ["queue"], sqlite_where=held, postgresql_where=held)


def _create_tables() -> None:
    op.create_table(
        "waiting_work",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("idx", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("slow", sa.Boolean(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("size_ms", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("since", "run_at")),
        sa.Column("cost_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "idx", name="pk_waiting_work"),
    )
    of_account, in_turn = ["role", "account_id", "slow", "rank"], ["since", "job_id", "idx"]
    for name, size, always in (("shortest", ["size_ms"], "size_ms >= 0"), ("oldest", [], "since >= 0")):
        where = sa.text(always)  # said by the query for which the index is, and by no other
        columns = [*of_account, *size, *in_turn]
        op.create_index(f"ix_waiting_work_{name}", "waiting_work", columns, sqlite_where=where, postgresql_where=where)
    counters = ("served_ms", "turns", "pieces", "waiting_ms", "slow_pieces", "slow_ms")
    op.create_table(
        "shares",
        *(sa.Column(name, sa.String(), nullable=False) for name in ("role", "account_id")),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("start", "served")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counters),
        sa.PrimaryKeyConstraint("role", "account_id", name="pk_shares"),
    )
    backlogged = sa.text("pieces + slow_pieces > 0")
    op.create_index(
        "ix_shares_start", "shares", ["role", "start"], sqlite_where=backlogged, postgresql_where=backlogged
    )
    op.create_index("ix_shares_role_served", "shares", ["role", "served"])
    op.create_table(
        "share_changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("role", "account_id")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counters[2:]),
        sa.PrimaryKeyConstraint("id", name="pk_share_changes"),
    )
    op.create_table(
        "lanes",
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("looked_at", sa.Double(), nullable=True),
        sa.Column("served_ms", sa.BigInteger(), nullable=False),
        sa.Column("ms_per_second", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("role", name="pk_lanes"),
    )
    op.execute("INSERT INTO lanes (role, served_ms) VALUES ('cpu', 0), ('io', 0)")


def _fill() -> None:
    """What waits already, before any trigger counts it row by row."""
    number = "CAST(json_extract({0}, '$.{1}') AS INTEGER)"
    if op.get_bind().dialect.name == "postgresql":
        number = "CAST({0} ->> '{1}' AS BIGINT)"
    known, end, start = (
        number.format("input", "expected_ms"),
        *(number.format("span", f"audio_{x}") for x in ("end", "start")),
    )
    live = "WHERE status IN ('queued', 'processing')"
    op.execute(_words("UPDATE jobs SET size_ms =", f"COALESCE({known}, 0)", live))
    cost = f"COALESCE(({end} - {start}) / 16, 0)"
    op.execute(_words("UPDATE chunks SET cost_ms =", cost, "WHERE status = 'pending'"))
    op.execute(_into(JOB_PIECE.format("jobs"), "FROM jobs WHERE", JOB_WAITS.format("jobs")))
    chunks = "FROM chunks JOIN jobs ON jobs.id = chunks.job_id WHERE"
    op.execute(_into(CHUNK_PIECE.format("chunks"), chunks, CHUNK_WAITS.format("chunks")))
    op.execute(
        """INSERT INTO shares (role, account_id, start, served, served_ms, turns, pieces, waiting_ms, slow_pieces, slow_ms)
        SELECT role, account_id, 0, 0, 0, 0, SUM(CASE WHEN slow THEN 0 ELSE 1 END),
        SUM(CASE WHEN slow THEN 0 ELSE cost_ms END), SUM(CASE WHEN slow THEN 1 ELSE 0 END),
        SUM(CASE WHEN slow THEN cost_ms ELSE 0 END) FROM waiting_work GROUP BY role, account_id"""
    )


def _words(*words: str) -> str:
    return " ".join(words)


def _into(*pieces: str) -> str:
    return _words("INSERT INTO waiting_work", f"({COLUMNS})", "SELECT", *pieces)


def _new_job(condition: str = "TRUE") -> str:
    return _into(JOB_PIECE.format("NEW"), "WHERE", condition) + ";"


def _new_chunk(condition: str = "TRUE") -> str:
    return _into(CHUNK_PIECE.format("NEW"), "FROM jobs WHERE jobs.id = NEW.job_id AND", condition) + ";"


GONE_JOB = "DELETE FROM waiting_work WHERE job_id = OLD.id AND idx = -1;"
GONE_CHUNK = "DELETE FROM waiting_work WHERE job_id = OLD.job_id AND idx = OLD.idx;"


def _sqlite_triggers() -> list[str]:
    made = []
    for table, waits, changes, new, gone in (
        ("jobs", JOB_WAITS, JOB_CHANGES, _new_job, GONE_JOB),
        ("chunks", CHUNK_WAITS, CHUNK_CHANGES, _new_chunk, GONE_CHUNK),
    ):
        before, after = waits.format("OLD"), waits.format("NEW")
        made += [
            f"CREATE TRIGGER {table}_insert_queue AFTER INSERT ON {table} WHEN {after} BEGIN {new()} END",
            f"CREATE TRIGGER {table}_update_queue AFTER UPDATE OF {changes} ON {table} WHEN {before} OR {after} "
            f"BEGIN {gone} {new(after)} END",
            f"CREATE TRIGGER {table}_delete_queue AFTER DELETE ON {table} WHEN {before} BEGIN {gone} END",
        ]
    return [
        *made,
        f"CREATE TRIGGER waiting_work_insert_count AFTER INSERT ON waiting_work BEGIN {PLUS.format(OF_ONE_PIECE)} END",
        f"CREATE TRIGGER waiting_work_delete_count AFTER DELETE ON waiting_work BEGIN {MINUS} END",
    ]


def _postgres_triggers() -> list[str]:
    """One for each kind of event: what a statement has changed is only handed to a trigger of one kind."""
    was, new = JOB_WAITS.format("OLD"), JOB_WAITS.format("NEW")
    gone = "DELETE FROM waiting_work AS work USING old_rows WHERE work.job_id = old_rows.job_id AND work.idx = old_rows.idx"
    pieces = CHUNK_PIECE.format("new_rows")
    made = _into(pieces, "FROM new_rows JOIN jobs ON jobs.id = new_rows.job_id WHERE", CHUNK_WAITS.format("new_rows"))
    changes = "INSERT INTO share_changes (role, account_id, pieces, waiting_ms, slow_pieces, slow_ms) SELECT"
    by_account = "GROUP BY role, account_id;"
    functions = (
        _function("queue_job", f"IF {was} THEN {GONE_JOB} END IF;", f"IF {new} THEN {_new_job()} END IF;"),
        _function("queue_chunk", _words(gone, "AND", CHUNK_WAITS.format("old_rows")) + ";", made + ";"),
        _function(
            "change_shares",
            _words(changes, SUMS.format(-1), "FROM old_rows", by_account),
            _words(changes, SUMS.format(1), "FROM new_rows", by_account),
        ),
        _function("count_waiting", "", _words(PLUS.format(OF_A_STATEMENT), COUNTED)),
    )
    triggers = [
        "queue_job AFTER INSERT OR DELETE ON jobs FOR EACH ROW",
        f"queue_job_update AFTER UPDATE OF {JOB_CHANGES} ON jobs FOR EACH ROW WHEN ({was} OR {new})",
        "queue_chunk_insert AFTER INSERT ON chunks REFERENCING NEW TABLE AS new_rows",
        "queue_chunk_update AFTER UPDATE ON chunks REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
        "queue_chunk_delete AFTER DELETE ON chunks REFERENCING OLD TABLE AS old_rows",
        "change_shares_insert AFTER INSERT ON waiting_work REFERENCING NEW TABLE AS new_rows",
        "change_shares_delete AFTER DELETE ON waiting_work REFERENCING OLD TABLE AS old_rows",
    ]
    last = "AFTER INSERT ON share_changes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION count_waiting()"
    return [
        *functions,
        *(f"CREATE TRIGGER {trigger} EXECUTE FUNCTION {_called(trigger)}()" for trigger in triggers),
        f"CREATE CONSTRAINT TRIGGER count_waiting {last}",
    ]


def _called(trigger: str) -> str:
    return "_".join(trigger.split("_")[:2]).split()[0]


def _function(name: str, before: str, after: str) -> str:
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP <> 'INSERT' THEN {before or 'NULL;'} END IF; IF TG_OP <> 'DELETE' THEN {after} END IF; "
        "RETURN NULL; END $$"
    )
