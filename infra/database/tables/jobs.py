"""Jobs, their chunks, counts, events and edits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, false, text
from sqlmodel import Field, SQLModel

from infra.database.tables.columns import COUNTER, json_column, time_column

_KEPT = text("purged_at IS NULL")
_UNCLEARED = text("purged_at IS NOT NULL AND NOT cleared")
_PURGED = text("purged_at IS NOT NULL")
_HELD = text("lease_token IS NOT NULL")
_SOUND = text("sound_key IS NOT NULL")
_IN_BATCH = text("batch_id IS NOT NULL")
_WAITS = text("waits_for IS NOT NULL")
_RISING = text("complete_by IS NOT NULL AND priority <= -10")


class Job(SQLModel, table=True):
    """One request over one media."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_account_created", "account_id", "created_at", "id"),
        Index("ix_jobs_live", "status", "run_at"),
        # Only the rows that retention has not seen yet, so that its query stays small for ever.
        Index("ix_jobs_retention", "expires_at", sqlite_where=_KEPT, postgresql_where=_KEPT),
        Index("ix_jobs_uncleared", "id", sqlite_where=_UNCLEARED, postgresql_where=_UNCLEARED),
        Index("ix_jobs_purged", "purged_at", sqlite_where=_PURGED, postgresql_where=_PURGED),
        Index("ix_jobs_held", "queue", sqlite_where=_HELD, postgresql_where=_HELD),
        Index("ix_jobs_waits", "waits_for", sqlite_where=_WAITS, postgresql_where=_WAITS),
        Index("ix_jobs_batch", "batch_id", sqlite_where=_IN_BATCH, postgresql_where=_IN_BATCH),
        Index("ix_jobs_rising", "status", sqlite_where=_RISING, postgresql_where=_RISING),
    )
    id: str = Field(primary_key=True)  # job_ + ULID
    account_id: str = Field(foreign_key="accounts.id")
    key_id: str | None = None
    task: str
    model: str
    request: dict[str, Any] = json_column(nullable=False)  # the caller's options, verbatim
    ignored: list[str] | None = json_column()  # names of what was sent besides and has no effect
    batch_id: str | None = None  # it is a line of that batch
    client_reference_id: str | None = Field(default=None, index=True)
    meta: dict[str, str] | None = json_column()
    trace: str | None = None  # of the request that made it, as the header `traceparent` has it
    timing: dict[str, Any] | None = json_column()  # where its time went (infra/jobs/timing.py)
    priority: int = 0
    queue: str = "cpu"  # which workers prepare it
    size_ms: int = Field(
        default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"}
    )  # thought to last so long
    request_id: str | None = None

    media_id: str | None = Field(default=None, foreign_key="media.id", index=True)
    input: dict[str, Any] = json_column(
        nullable=False
    )  # type, filename, bytes, sha256, duration, channels, codec, audio_tracks, findings, expected_ms; url without secrets
    source: dict[str, Any] | None = json_column()  # url and headers to fetch, sealed; emptied once fetched

    status: str = "queued"
    stage: str = "waiting"
    version: int = 1  # grows with every change a caller can see: the ETag
    attempt: int = 0  # the fencing token: grows with every claim
    run: int = 1  # grows with every retry the caller asked for
    lost: int = 0  # workers that died on it in this stage
    failures: int = 0  # times it was put back after an error, in this run
    lease_token: str | None = None
    lease_until: float | None = time_column(index=True)
    worker: str | None = None
    waits_for: str | None = None  # an outage's `place`: while that lasts, and on its next try
    waits_since: float | None = time_column()  # when it last failed for one
    run_at: float = Field(sa_type=Double)  # not before
    dispatched_at: float | None = (
        time_column()
    )  # for processes of the version before this one, which send messages by it

    cut_done: bool = False  # every chunk is a row
    audio_samples: int = Field(default=0, sa_type=BigInteger)  # decoded so far, at 16 kHz, of all tracks and channels
    chunks_total: int = 0
    chunks_completed: int = 0
    chunks_failed: int = 0
    chunks_retried: int = 0
    samples_done: int = Field(default=0, sa_type=BigInteger)

    model_used: str | None = None
    language: str | None = None
    result_key: str | None = None
    sound: dict[str, Any] | None = json_column()  # of a speech job: key, format, bytes, duration in seconds
    kept: bool = False  # counts among its account's results: from its creation until it is cancelled or purged
    stored_bytes: int = Field(default=0, sa_type=BigInteger)  # of its account's quota, its media's apart
    blobs: dict[str, Any] | None = json_column()  # where the large values of `request` are: key, bytes, shown
    waiting: dict[str, Any] | None = (
        json_column()
    )  # why it was put off until `run_at`, or what it waits for: code, message
    partial: bool = False
    gaps: list[dict[str, Any]] | None = (
        json_column()
    )  # its failed chunks; those of its recording are in `input`, for every run
    quality: dict[str, Any] | None = json_column()
    error: dict[str, Any] | None = json_column()

    prices: dict[str, str] | None = json_column()  # in force when it was accepted; None: the model is free
    audio_ratio: str = "1"  # likewise
    estimated_micro: int = Field(default=0, sa_type=BigInteger)  # what its length was thought to cost
    held_micro: int = Field(default=0, sa_type=BigInteger)  # reserved, and neither captured nor released
    captured_micro: int = Field(default=0, sa_type=BigInteger)
    max_cost_micro: int | None = Field(default=None, sa_type=BigInteger)
    holds: int = 0  # how often money was held for it: numbers the ledger's rows
    tokens: dict[str, int] | None = json_column()  # of all its heard chunks
    counted: str = "measured"  # measured, provider or estimated: whose count `tokens` is

    webhook_url: str | None = None
    webhook_events: list[str] | None = json_column()
    webhook_secret: str | None = None  # sealed, as all secrets are (infra/encryption)
    webhook_link: dict[str, Any] | None = json_column()  # the webhook names the result by a link: format, expires_in
    links: list[dict[str, Any]] | None = json_column()  # that need no key: id, format, expires_at, the signature's hash

    created_at: float = Field(sa_type=Double)
    queued_at: float | None = time_column()
    processing_at: float | None = time_column()
    cancelling_at: float | None = time_column()
    completed_at: float | None = time_column()
    failed_at: float | None = time_column()
    cancelled_at: float | None = time_column()
    expired_at: float | None = time_column()
    ended_at: float | None = time_column()  # whichever of these four it was
    timeout_seconds: float | None = time_column()  # from queued to the deadline
    retention_seconds: float | None = time_column()  # from the end to `expires_at`
    deadline_at: float | None = time_column(index=True)
    complete_by: float | None = time_column()  # by when it leaves the archive lane in time
    expires_at: float | None = time_column()
    purged_at: float | None = time_column()
    cleared: bool = Field(
        default=False, sa_column_kwargs={"server_default": false()}
    )  # purged, and nothing but numbers and names is left in the row (infra/jobs/retention/clearing.py)


class JobCount(SQLModel, table=True):
    """How many jobs are in a status, without what JobCountChange holds. Triggers of migration 0031 keep it on SQLite."""

    __tablename__ = "job_counts"
    status: str = Field(primary_key=True)
    jobs: int = Field(sa_type=BigInteger)


class JobCountChange(SQLModel, table=True):
    """A job came, went, or moved on: noted by PostgreSQL's trigger, so that no two moves wait for each other's counter; the
    scheduler adds them up."""

    __tablename__ = "job_count_changes"
    id: int | None = Field(default=None, sa_column=Column(COUNTER, primary_key=True))
    status: str
    jobs: int = Field(sa_type=BigInteger)


class Chunk(SQLModel, table=True):
    """A piece of a job's audio, with a lease of its own."""

    __tablename__ = "chunks"
    __table_args__ = (
        Index("ix_chunks_live", "status", "run_at"),
        Index("ix_chunks_sound", "status", sqlite_where=_SOUND, postgresql_where=_SOUND),
        Index("ix_chunks_waits", "waits_for", sqlite_where=_WAITS, postgresql_where=_WAITS),
    )
    job_id: str = Field(foreign_key="jobs.id", primary_key=True)
    idx: int = Field(primary_key=True)
    span: dict[str, Any] = json_column(nullable=False)  # pipeline.cut.cutter.Span as plain values
    queue: str = "cpu"
    in_line: bool = Field(default=False, sa_column_kwargs={"server_default": false()})  # for its turn at an engine
    cost_ms: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})  # of sound to hear
    sound_key: str | None = None  # None for a chunk without speech, and once the sound is deleted
    sound_bytes: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})  # that count
    status: str = "pending"
    attempt: int = 0
    lost: int = 0
    failures: int = 0
    lease_token: str | None = None
    lease_until: float | None = time_column(index=True)
    worker: str | None = None
    waits_for: str | None = None  # as a job's
    waits_since: float | None = time_column()
    run_at: float = Field(sa_type=Double)
    dispatched_at: float | None = time_column()
    result_key: str | None = None
    model_used: str | None = None
    tokens: dict[str, int] | None = json_column()  # what it added to the job's
    counted: str = "measured"
    handed_out: bool = False  # its text has left for the caller: it is paid, whatever becomes of the job
    error: dict[str, Any] | None = json_column()


class TranscriptRevision(SQLModel, table=True):
    """A person's corrections of a job's transcript. No foreign key: an older process, which knows nothing of it, must be able to
    delete a job; what that leaves says numbers only."""

    __tablename__ = "transcript_revisions"
    job_id: str = Field(primary_key=True)
    n: int = Field(primary_key=True)  # from 1; 0 is the original
    result_key: str  # of the original that they correct
    storage_key: str  # where they are, all together, whatever was corrected before them: pipeline.text.edits.Edits
    changes: int = 0  # how many this revision made
    key_id: str | None = None
    created_at: float = Field(sa_type=Double)


class JobEvent(SQLModel, table=True):
    """One line of a job's audit timeline."""

    __tablename__ = "job_events"
    id: int | None = Field(default=None, primary_key=True)
    job_id: str = Field(foreign_key="jobs.id", index=True)
    at: float = Field(sa_type=Double)
    type: str
    data: dict[str, Any] | None = json_column()
