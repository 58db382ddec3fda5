"""The tables: columns, nothing else. Times are epoch seconds by the database's own clock.

SQLModel classes with table=True do not validate; what enters here was validated at the door.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    false,
    text,
)
from sqlmodel import Field, SQLModel

# Constraints need names, or SQLite's later migrations cannot find them.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# SQLite numbers rows only in a column that it calls INTEGER.
_COUNTER = BigInteger().with_variant(Integer, "sqlite")
# There are never more of them than work under way: no index by time, and on SQLite one tree for the key and the rest.
SHORT_LIVED = {"sqlite_with_rowid": False}
_KEPT = text("purged_at IS NULL")
_UNCLEARED = text("purged_at IS NOT NULL AND NOT cleared")
_PURGED = text("purged_at IS NOT NULL")
_HELD = text("lease_token IS NOT NULL")
_BACKLOGGED = text("pieces + slow_pieces > 0")
_SIZED = text("size_ms >= 0")
_DATED = text("since >= 0")
_IN_LINE = text("slow AND idx >= 0")
_OF_ACCOUNT = ("role", "account_id", "slow", "rank")
_IN_TURN = ("since", "job_id", "idx")
_SOUND = text("sound_key IS NOT NULL")
_UNFINISHED = text("status IN ('validating', 'in_progress', 'cancelling', 'finalizing')")
_IN_BATCH = text("batch_id IS NOT NULL")
_WAITS = text("waits_for IS NOT NULL")
_LOW = text("rank >= 10")  # the archive lane: see infra/jobs/queue/archive_lane.py
_RISING = text("complete_by IS NOT NULL AND priority <= -10")
_PRINTED = text("fingerprint IS NOT NULL")
_STEMMED = text("stem IS NOT NULL")
_ZERO = {"server_default": "0"}
_UNDER_WAY = text("lease_token IS NOT NULL OR dispatched_at IS NOT NULL")


def _json(*, nullable: bool = True) -> Any:
    return Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=nullable))


def _time(*, index: bool = False) -> Any:
    return Field(default=None, sa_type=Double, index=index)


class Account(SQLModel, table=True):
    """Who owns everything else."""

    __tablename__ = "accounts"
    id: str = Field(primary_key=True)  # acct_ + ULID
    name: str = ""
    tier: str = "free"
    status: str = "active"
    plan: str = ""  # what the account subscribes to elsewhere; it never covers audio
    limits: dict[str, Any] | None = _json()  # an enterprise account's own numbers
    balance_micro: int = Field(default=0, sa_type=BigInteger)  # always the sum of its ledger's deltas
    balance_low_micro: int | None = Field(default=None, sa_type=BigInteger)  # below it the account is told, once
    balance_low_told: bool = False  # since it was above that
    audio_ratio: str | None = None  # its own, on top of the models'; None: 1
    stored_bytes: int = Field(default=0, sa_type=BigInteger)  # always what its media and its jobs count together
    stored_results: int = 0  # always how many of its jobs are `kept`
    created_at: float = Field(sa_type=Double)


class ApiKey(SQLModel, table=True):
    """A key; its secret is only here as a hash."""

    __tablename__ = "api_keys"
    id: str = Field(primary_key=True)  # the key's own public part
    account_id: str = Field(foreign_key="accounts.id", index=True)
    secret_hash: str
    name: str = ""
    created_at: float = Field(sa_type=Double)
    expires_at: float | None = _time()
    revoked_at: float | None = _time()
    last_used_at: float | None = _time()
    scopes: list[str] | None = _json()  # None: everything
    replaced_by: str | None = None  # the key that a rotation put in its place
    rotated_until: float | None = _time()  # until when it works beside that one


class Media(SQLModel, table=True):
    """An uploaded recording. The row is committed before the first byte, so that orphans can be found."""

    __tablename__ = "media"
    id: str = Field(primary_key=True)  # med_ + ULID
    account_id: str = Field(foreign_key="accounts.id", index=True)
    storage_key: str
    state: str = (
        "pending"  # pending, stored, deleting (the sweep took it), deleted; kept (a file), expected (an upload)
    )
    filename: str | None = None
    bytes: int = Field(default=0, sa_type=BigInteger)
    counted: int = Field(default=0, sa_type=BigInteger)  # bytes of its account's quota: reserved while it arrives
    copied: int = Field(
        default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"}
    )  # bytes of the copy that browsers play, counted too; 0: there is none
    sha256: str | None = None
    created_at: float = Field(sa_type=Double)
    touched_at: float = Field(sa_type=Double, index=True)  # moves while bytes arrive


class File(SQLModel, table=True):
    """Media that its account keeps by a name of its own (/v1/files), whatever jobs come and go."""

    __tablename__ = "files"
    __table_args__ = (Index("ix_files_account_id_created_at_id", "account_id", "created_at", "id"),)
    id: str = Field(primary_key=True)  # file- + ULID
    account_id: str = Field(foreign_key="accounts.id")
    media_id: str = Field(foreign_key="media.id", index=True)
    filename: str
    purpose: str
    bytes: int = Field(sa_type=BigInteger)
    sha256: str
    created_at: float = Field(sa_type=Double)
    expires_at: float | None = _time(index=True)  # None: kept until it is deleted


class Upload(SQLModel, table=True):
    """A file that arrives in parts (/v1/uploads), over days if need be."""

    __tablename__ = "uploads"
    id: str = Field(primary_key=True)  # upload_ + ULID
    account_id: str = Field(foreign_key="accounts.id", index=True)
    media_id: str | None = Field(default=None, foreign_key="media.id", index=True)  # what it becomes, until it has
    file_id: str | None = None  # what it became
    filename: str
    purpose: str
    mime_type: str
    bytes: int = Field(sa_type=BigInteger)  # of all parts together, as was announced
    keep_seconds: int | None = None  # from the file's creation to its `expires_at`
    status: str = "pending"  # pending, completed, cancelled, expired
    part_ids: list[str] | None = _json()  # of which it was completed, in order
    lease_token: str | None = None  # of whoever joins the parts
    lease_until: float | None = _time()
    direct_until: float | None = _time()  # until when a URL that was handed out takes bytes
    created_at: float = Field(sa_type=Double)
    expires_at: float = Field(sa_type=Double, index=True)  # moves with each part
    ended_at: float | None = _time(index=True)


class UploadPart(SQLModel, table=True):
    """One part of an upload, an object in its folder. Gone when the upload ends."""

    __tablename__ = "upload_parts"
    id: str = Field(primary_key=True)  # part_ + ULID
    account_id: str = Field(foreign_key="accounts.id", index=True)
    upload_id: str = Field(foreign_key="uploads.id", index=True)
    bytes: int = Field(sa_type=BigInteger)
    sha256: str | None = None  # of what came through us
    stored: bool = True  # false: its URL was handed out, and nobody has looked yet whether it was used
    created_at: float = Field(sa_type=Double)


class Batch(SQLModel, table=True):
    """Thousands of requests in one: a file of them (/v1/batches), or the recordings of a bucket (/v1/audio/bulk)."""

    __tablename__ = "batches"
    __table_args__ = (
        Index("ix_batches_account_id_created_at_id", "account_id", "created_at", "id"),
        # Only those under way, which are few.
        Index("ix_batches_due", "next_at", sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED),
    )
    id: str = Field(primary_key=True)  # batch_ + ULID, bulk_ + ULID
    account_id: str = Field(foreign_key="accounts.id")
    key_id: str | None = None
    kind: str = Field(default="batch", sa_column_kwargs={"server_default": "batch"})  # batch, bulk
    plan: dict[str, Any] | None = _json()  # of a bulk run: what goes from where to where (infra/batches/bulk_plan.py)
    endpoint: str
    input_file_id: str = Field(index=True)  # empty for a bulk run, as are the next two
    completion_window: str
    keep_seconds: int | None = None  # its output files
    meta: dict[str, str] | None = _json()
    request_id: str | None = None
    status: str = "validating"  # infra/batches/batch_store.py draws the moves
    ending: str | None = None  # what it will be once its output is written
    errors: list[dict[str, Any]] | None = _json()
    output_file_id: str | None = None
    error_file_id: str | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    skipped: int = Field(default=0, sa_column_kwargs=_ZERO)  # of the completed ones: an earlier run had done them
    captured_micro: int = Field(default=0, sa_type=BigInteger)
    audio_ms: int = Field(default=0, sa_type=BigInteger)
    estimate: dict[str, Any] | None = _json()  # of a dry run
    complete_by: float | None = _time()
    raised_at: float | None = _time()  # since when its jobs are no archive any more, for the sake of `complete_by`
    reported_at: float | None = _time()  # when a bulk run's report was last written
    webhook_url: str | None = None
    webhook_events: list[str] | None = _json()
    webhook_secret: str | None = None  # sealed
    waiting: dict[str, Any] | None = _json()  # why nothing of it begins at the moment
    next_at: float = Field(default=0.0, sa_type=Double)  # not before
    lease_token: str | None = None
    lease_until: float | None = _time()
    created_at: float = Field(sa_type=Double)
    expires_at: float = Field(sa_type=Double)  # when its window closes
    in_progress_at: float | None = _time()
    finalizing_at: float | None = _time()
    completed_at: float | None = _time()
    failed_at: float | None = _time()
    expired_at: float | None = _time()
    cancelling_at: float | None = _time()
    cancelled_at: float | None = _time()


class BatchLine(SQLModel, table=True):
    """One request of a batch, which becomes a job once."""

    __tablename__ = "batch_lines"
    __table_args__ = (
        Index("ix_batch_lines_state", "batch_id", "state", "n"),
        # Of bulk runs alone.
        Index("ix_batch_lines_print", "batch_id", "fingerprint", sqlite_where=_PRINTED, postgresql_where=_PRINTED),
        Index("ix_batch_lines_stem", "batch_id", "stem", sqlite_where=_STEMMED, postgresql_where=_STEMMED),
    )
    batch_id: str = Field(foreign_key="batches.id", primary_key=True)
    n: int = Field(primary_key=True)  # the line's number in its file, from 1
    custom_id: str  # of a bulk run: the recording's place, relative to its input
    request: str | None = None  # JSON, as a job takes it; gone once it is a job
    file_id: str | None = Field(default=None, index=True)  # of /v1/files, which it still needs
    state: str = (
        "waiting"  # waiting, running, heard (a bulk run's, not written yet), completed, failed, left (never ran)
    )
    job_id: str | None = Field(default=None, index=True)
    error: dict[str, Any] | None = _json()
    started_at: float | None = _time()
    facts: dict[str, Any] | None = _json()  # of a bulk run: what its report tells of the recording
    fingerprint: str | None = None  # two recordings of one are the same bytes, heard alike
    stem: str | None = None  # where its outputs go, without their suffixes


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
    request: dict[str, Any] = _json(nullable=False)  # the caller's options, verbatim
    ignored: list[str] | None = _json()  # names of what was sent besides and has no effect
    batch_id: str | None = None  # it is a line of that batch
    client_reference_id: str | None = Field(default=None, index=True)
    meta: dict[str, str] | None = _json()
    trace: str | None = None  # of the request that made it, as the header `traceparent` has it
    timing: dict[str, Any] | None = _json()  # where its time went (infra/jobs/timing.py)
    priority: int = 0
    queue: str = "cpu"  # which workers prepare it
    size_ms: int = Field(
        default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"}
    )  # thought to last so long
    request_id: str | None = None

    media_id: str | None = Field(default=None, foreign_key="media.id", index=True)
    input: dict[str, Any] = _json(
        nullable=False
    )  # type, filename, bytes, sha256, duration, channels, codec, audio_tracks, findings, expected_ms; url without secrets
    source: dict[str, Any] | None = _json()  # url and headers to fetch, sealed; emptied once fetched

    status: str = "queued"
    stage: str = "waiting"
    version: int = 1  # grows with every change a caller can see: the ETag
    attempt: int = 0  # the fencing token: grows with every claim
    run: int = 1  # grows with every retry the caller asked for
    lost: int = 0  # workers that died on it in this stage
    failures: int = 0  # times it was put back after an error, in this run
    lease_token: str | None = None
    lease_until: float | None = _time(index=True)
    worker: str | None = None
    waits_for: str | None = None  # an outage's `place`: while that lasts, and on its next try
    waits_since: float | None = _time()  # when it last failed for one
    run_at: float = Field(sa_type=Double)  # not before
    dispatched_at: float | None = _time()  # for processes of the version before this one, which send messages by it

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
    sound: dict[str, Any] | None = _json()  # of a speech job: key, format, bytes, duration in seconds
    kept: bool = False  # counts among its account's results: from its creation until it is cancelled or purged
    stored_bytes: int = Field(default=0, sa_type=BigInteger)  # of its account's quota, its media's apart
    blobs: dict[str, Any] | None = _json()  # where the large values of `request` are: key, bytes, shown
    waiting: dict[str, Any] | None = _json()  # why it was put off until `run_at`, or what it waits for: code, message
    partial: bool = False
    gaps: list[dict[str, Any]] | None = (
        _json()
    )  # its failed chunks; those of its recording are in `input`, for every run
    quality: dict[str, Any] | None = _json()
    error: dict[str, Any] | None = _json()

    prices: dict[str, str] | None = _json()  # in force when it was accepted; None: the model is free
    audio_ratio: str = "1"  # likewise
    estimated_micro: int = Field(default=0, sa_type=BigInteger)  # what its length was thought to cost
    held_micro: int = Field(default=0, sa_type=BigInteger)  # reserved, and neither captured nor released
    captured_micro: int = Field(default=0, sa_type=BigInteger)
    max_cost_micro: int | None = Field(default=None, sa_type=BigInteger)
    holds: int = 0  # how often money was held for it: numbers the ledger's rows
    tokens: dict[str, int] | None = _json()  # of all its heard chunks
    counted: str = "measured"  # measured, provider or estimated: whose count `tokens` is

    webhook_url: str | None = None
    webhook_events: list[str] | None = _json()
    webhook_secret: str | None = None  # sealed, as all secrets are (infra/encryption)
    webhook_link: dict[str, Any] | None = _json()  # the webhook names the result by a link: format, expires_in
    links: list[dict[str, Any]] | None = _json()  # that need no key: id, format, expires_at, the signature's hash

    created_at: float = Field(sa_type=Double)
    queued_at: float | None = _time()
    processing_at: float | None = _time()
    cancelling_at: float | None = _time()
    completed_at: float | None = _time()
    failed_at: float | None = _time()
    cancelled_at: float | None = _time()
    expired_at: float | None = _time()
    ended_at: float | None = _time()  # whichever of these four it was
    timeout_seconds: float | None = _time()  # from queued to the deadline
    retention_seconds: float | None = _time()  # from the end to `expires_at`
    deadline_at: float | None = _time(index=True)
    complete_by: float | None = _time()  # by when it leaves the archive lane in time
    expires_at: float | None = _time()
    purged_at: float | None = _time()
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
    id: int | None = Field(default=None, sa_column=Column(_COUNTER, primary_key=True))
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
    span: dict[str, Any] = _json(nullable=False)  # pipeline.cut.cutter.Span as plain values
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
    lease_until: float | None = _time(index=True)
    worker: str | None = None
    waits_for: str | None = None  # as a job's
    waits_since: float | None = _time()
    run_at: float = Field(sa_type=Double)
    dispatched_at: float | None = _time()
    result_key: str | None = None
    model_used: str | None = None
    tokens: dict[str, int] | None = _json()  # what it added to the job's
    counted: str = "measured"
    handed_out: bool = False  # its text has left for the caller: it is paid, whatever becomes of the job
    error: dict[str, Any] | None = _json()


class WaitingWork(SQLModel, table=True):
    """One piece of work that somebody could claim: a chunk, or (idx -1) a job to fetch, prepare or finish.

    Triggers on jobs and chunks keep it, so that no move can forget it; migration 0007 tells how.
    """

    __tablename__ = "waiting_work"
    __table_args__ = (
        # Always true, and said by the query for which the index is: PostgreSQL's planner, whose statistics of a queue are always
        # stale, would else take the other one and sort.
        Index(
            "ix_waiting_work_shortest", *_OF_ACCOUNT, "size_ms", *_IN_TURN, sqlite_where=_SIZED, postgresql_where=_SIZED
        ),
        Index("ix_waiting_work_oldest", *_OF_ACCOUNT, *_IN_TURN, sqlite_where=_DATED, postgresql_where=_DATED),
        Index(
            "ix_waiting_work_in_line",
            "role",
            "account_id",
            "rank",
            "size_ms",
            sqlite_where=_IN_LINE,
            postgresql_where=_IN_LINE,
        ),
        Index("ix_waiting_work_low", "role", "account_id", "cost_ms", sqlite_where=_LOW, postgresql_where=_LOW),
    )
    job_id: str = Field(primary_key=True)
    idx: int = Field(primary_key=True)
    role: str  # cpu, io
    account_id: str
    slow: bool  # a download, a long preparation, a chunk in an engine's line: it may keep its worker for long
    rank: int  # the priority with its sign changed: the least comes first
    size_ms: int = Field(sa_type=BigInteger)  # of its whole recording; 0 for a job that only wants its end
    since: float = Field(sa_type=Double)
    run_at: float = Field(sa_type=Double)  # not before
    cost_ms: int = Field(sa_type=BigInteger)  # what claiming it is charged, in sound


class Share(SQLModel, table=True):
    """An account's part in what the workers of one role do. The counters are kept by triggers on waiting_work."""

    __tablename__ = "shares"
    __table_args__ = (
        Index("ix_shares_start", "role", "start", sqlite_where=_BACKLOGGED, postgresql_where=_BACKLOGGED),
        Index("ix_shares_role_served", "role", "served"),
        Index("ix_shares_role_low_served", "role", "low_served"),
    )
    role: str = Field(primary_key=True)
    account_id: str = Field(primary_key=True)
    start: float = Field(default=0.0, sa_type=Double)  # virtual time at which its next piece starts
    served: float = Field(default=0.0, sa_type=Double)  # and at which its last one did
    low_start: float = Field(default=0.0, sa_type=Double, sa_column_kwargs=_ZERO)  # the same in the archive lane
    low_served: float = Field(default=0.0, sa_type=Double, sa_column_kwargs=_ZERO)
    served_ms: int = Field(default=0, sa_type=BigInteger)
    turns: int = Field(default=0, sa_type=BigInteger)
    pieces: int = Field(default=0, sa_type=BigInteger)  # that wait, without the slow ones
    waiting_ms: int = Field(default=0, sa_type=BigInteger)  # what those cost
    slow_pieces: int = Field(default=0, sa_type=BigInteger)
    slow_ms: int = Field(default=0, sa_type=BigInteger)


class ShareChange(SQLModel, table=True):
    """What a statement changed in a share, until its transaction commits. PostgreSQL alone needs it; it is always empty."""

    __tablename__ = "share_changes"
    id: int | None = Field(default=None, sa_column=Column(_COUNTER, primary_key=True))
    role: str
    account_id: str
    pieces: int = Field(sa_type=BigInteger)
    waiting_ms: int = Field(sa_type=BigInteger)
    slow_pieces: int = Field(sa_type=BigInteger)
    slow_ms: int = Field(sa_type=BigInteger)


class Lane(SQLModel, table=True):
    """How fast the workers of one role serve; locked by whoever claims slow work, so that its bounds are exact."""

    __tablename__ = "lanes"
    role: str = Field(primary_key=True)
    looked_at: float | None = _time()
    served_ms: int = Field(default=0, sa_type=BigInteger)  # by all, when somebody last looked
    ms_per_second: float | None = _time()  # while work waited


class Outage(SQLModel, table=True):
    """Something that work needs and that was away: for all who wait for it, one piece of work at a time asks again."""

    __tablename__ = "outages"
    place: str = Field(primary_key=True)  # storage, disk, or "provider" and the routes that failed
    since: float | None = _time()  # None: it is back
    pause: float = Field(default=0.0, sa_type=Double)  # seconds from one try to the next; it grows
    probe_at: float | None = _time()  # when the next try is due
    worked_at: float | None = _time()  # when it last came back


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
    data: dict[str, Any] | None = _json()


class WebhookEndpoint(SQLModel, table=True):
    """Where an account wants its events."""

    __tablename__ = "webhook_endpoints"
    id: str = Field(primary_key=True)  # whe_ + ULID
    account_id: str = Field(foreign_key="accounts.id", index=True)
    name: str = ""
    url: str
    event_types: list[str] = _json(nullable=False)
    secret: str
    old_secret: str | None = None
    old_secret_until: float | None = _time()
    headers: dict[str, Any] | None = _json()  # the consumer's own, sealed
    status: str = "active"  # active, disabled; listening: `stenopool listen`, until `updated_at` is long past
    disabled_reason: str | None = None  # gone, failing; None: its owner
    failing_since: float | None = _time()  # nothing was taken since then, and something was sent
    told_failing: bool = Field(default=False, sa_column_kwargs={"server_default": false()})  # the account, since then
    last_error: str | None = None  # of the last attempt: a code of infra/outbound/failures.py
    last_status: int | None = None
    created_at: float = Field(sa_type=Double)
    updated_at: float = Field(sa_type=Double)


class WebhookMessage(SQLModel, table=True):
    """The outbox: one event for one target, its bytes fixed for ever."""

    __tablename__ = "webhook_messages"
    __table_args__ = (
        UniqueConstraint("subject", "type", "target"),
        Index("ix_webhook_due", "status", "receiver", "next_attempt_at"),
        # Only the rows under way, which are few.
        Index("ix_webhook_busy", "receiver", sqlite_where=_UNDER_WAY, postgresql_where=_UNDER_WAY),
    )
    id: str = Field(primary_key=True)  # evt_ + ULID; the webhook-id header
    account_id: str = Field(foreign_key="accounts.id", index=True)
    job_id: str | None = Field(default=None, index=True)
    subject: str  # the job's id and the run it ended, or a test's own id: what makes the message unique
    target: str  # an endpoint's id, or "job" for the job's own webhook
    endpoint_id: str | None = Field(default=None, index=True)
    receiver: str = (
        ""  # whose attempts it is counted among (infra/webhooks/receivers.py); empty: the sweep will find out
    )
    type: str
    url: str
    body: bytes = Field(sa_type=LargeBinary)
    status: str = "pending"  # pending, delivered, exhausted, dropped; listening: until `stenopool listen` has it
    attempts: int = 0
    schedule_from: int = 0  # attempts made before the last replay, which starts the schedule anew
    began_at: float | None = _time()  # when it did; None: `created_at`
    next_attempt_at: float | None = _time()
    dispatched_at: float | None = _time()  # when its wake-up was last sent, until an attempt is recorded
    lease_token: str | None = None
    lease_until: float | None = _time()
    once: bool = Field(default=False, sa_column_kwargs={"server_default": false()})  # a test: it is not tried again
    last_status: int | None = None
    last_error: str | None = None  # of the last attempt: a code of infra/outbound/failures.py
    created_at: float = Field(sa_type=Double)
    delivered_at: float | None = _time()


class WebhookReceiver(SQLModel, table=True):
    """Whom messages were sent to lately, and whether it answers."""

    __tablename__ = "webhook_receivers"
    id: str = Field(primary_key=True)  # a message's `receiver`
    account_id: str = Field(foreign_key="accounts.id", index=True)
    silent: int = 0  # attempts in a row that ran out of time
    quiet_until: float | None = _time()  # nothing is sent before
    claimed_at: float = Field(sa_type=Double)


class WebhookAttempt(SQLModel, table=True):
    """One delivery: one attempt to send one message."""

    __tablename__ = "webhook_attempts"
    message_id: str = Field(foreign_key="webhook_messages.id", primary_key=True)
    n: int = Field(primary_key=True)
    started_at: float = Field(sa_type=Double)
    duration_ms: int = 0
    status_code: int | None = None
    error: str | None = None
    response_excerpt: str | None = None  # the first 4 kB


class IdempotencyKey(SQLModel, table=True):
    """The first answer to a creating request, kept for its repetitions."""

    __tablename__ = "idempotency_keys"
    account_id: str = Field(foreign_key="accounts.id", primary_key=True)
    route: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    fingerprint: str
    parts: dict[str, str] | None = _json()  # a digest of each field of the request, to name one that differs
    object_id: str
    response: dict[str, Any] = _json(nullable=False)
    created_at: float = Field(sa_type=Double, index=True)


class Erasure(SQLModel, table=True):
    """Objects that nothing refers to any more; written with the change that orphaned them, kept until they are gone."""

    __tablename__ = "erasures"
    place: str = Field(primary_key=True)  # a storage key, or a folder of them, which ends in a slash
    due_at: float = Field(sa_type=Double, index=True)


class StorageSweep(SQLModel, table=True):
    """How far the sweep for orphans has come through the object store."""

    __tablename__ = "storage_sweeps"
    id: str = Field(primary_key=True)
    after_key: str = ""  # the last one that was looked at; empty: the next page is the first
    began_at: float = Field(sa_type=Double)
    next_at: float = Field(default=0.0, sa_type=Double)  # no page is looked at before
    finished_at: float | None = _time()
    looked: int = Field(default=0, sa_type=BigInteger)
    orphans: int = Field(default=0, sa_type=BigInteger)
    orphan_bytes: int = Field(default=0, sa_type=BigInteger)


class AccountErasure(SQLModel, table=True):
    """An account was erased, or is being: what was removed, counted."""

    __tablename__ = "account_erasures"
    account_id: str = Field(foreign_key="accounts.id", primary_key=True)
    asked_at: float = Field(sa_type=Double, index=True)
    done_at: float | None = _time()
    removed: dict[str, int] = _json(nullable=False)


class Worker(SQLModel, table=True):
    """A living process of the scheduler or of a worker role."""

    __tablename__ = "workers"
    id: str = Field(primary_key=True)
    role: str
    host: str
    pid: int
    started_at: float = Field(sa_type=Double)
    seen_at: float = Field(sa_type=Double)
    facts: dict[str, Any] | None = _json()  # the sandbox level in force, versions


class LedgerEntry(SQLModel, table=True):
    """One movement of money. Rows are only ever added, or summed up when they are old; amounts are micro-dollars."""

    __tablename__ = "ledger"
    __table_args__ = (
        UniqueConstraint("subject", "kind", "part", "account_id"),
        Index("ix_ledger_account_id_id", "account_id", "id"),
    )
    id: int | None = Field(default=None, sa_column=Column(_COUNTER, primary_key=True))
    account_id: str = Field(foreign_key="accounts.id")
    subject: str  # a request's or a job's id; of a top-up whatever its maker calls it
    kind: str  # top_up, hold, capture, release, adjust, opening
    part: int = 0
    delta: int = Field(sa_type=BigInteger)  # what the balance changes by
    amount: int = Field(sa_type=BigInteger)
    at: float = Field(sa_type=Double)
    note: str | None = None


class OpenHold(SQLModel, table=True):
    """Money held for a request that is being answered; gone once it is settled. A job's hold is in its own row."""

    __tablename__ = "open_holds"
    __table_args__ = SHORT_LIVED
    subject: str = Field(primary_key=True)
    account_id: str = Field(foreign_key="accounts.id")
    held: int = Field(sa_type=BigInteger)
    parts: int = 1
    opened_at: float = Field(sa_type=Double)


class Receipt(SQLModel, table=True):
    """What one request or job has cost, and why. It outlives its job."""

    __tablename__ = "receipts"
    __table_args__ = (
        Index("ix_receipts_account_id_created_at_id", "account_id", "created_at", "id"),
        Index("ix_receipts_created_at_id", "created_at", "id"),  # of all accounts together
    )
    id: str = Field(primary_key=True)  # rcpt_ + ULID
    account_id: str = Field(foreign_key="accounts.id")
    key_id: str | None = None
    subject: str = Field(sa_column=Column(String, nullable=False, unique=True))
    task: str
    model: str  # the one asked for, which sets the price
    model_used: str | None = None
    audio_ms: int = Field(default=0, sa_type=BigInteger)
    characters: int = Field(default=0, sa_type=BigInteger)
    tokens: dict[str, int] | None = _json()
    counted: str = "measured"  # measured, provider or estimated
    prices: dict[str, str] | None = _json()
    ratio: str = "1"
    cost: int = Field(default=0, sa_type=BigInteger)  # micro-dollars
    latency_ms: int | None = Field(default=None, sa_type=BigInteger)  # the whole work's; None: of before this was kept
    created_at: float = Field(sa_type=Double)
    updated_at: float = Field(sa_type=Double)  # later than that only for a job that was retried


class AudioRatio(SQLModel, table=True):
    """What an administrator multiplies the audio dimensions by, at run time."""

    __tablename__ = "audio_ratios"
    model: str = Field(primary_key=True)  # "*": of all models, on top of each one's own
    ratio: str
    changed_at: float = Field(sa_type=Double)


class AuditEntry(SQLModel, table=True):
    """One act of an administrator. Rows are only ever added: triggers of migration 0012 refuse anything else."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_account_id_id", "account_id", "id"),)
    id: int | None = Field(default=None, sa_column=Column(_COUNTER, primary_key=True))
    at: float = Field(sa_type=Double)
    who: str
    source: str  # an address or a machine
    act: str
    subject: str  # what it was done to
    account_id: str | None = None  # no foreign key: it outlives everything
    request_id: str | None = None
    details: dict[str, Any] = _json(nullable=False)


class DailyUsage(SQLModel, table=True):
    """What an account has used of a daily quota."""

    __tablename__ = "daily_usage"
    account_id: str = Field(foreign_key="accounts.id", primary_key=True)
    day: str = Field(primary_key=True)  # UTC, 2026-11-23
    kind: str = Field(primary_key=True)
    used: int = Field(default=0, sa_type=BigInteger)


class OpenMinutes(SQLModel, table=True):
    """Milliseconds of a daily quota that a request or a job under way has taken; gone once it has ended."""

    __tablename__ = "open_minutes"
    __table_args__ = SHORT_LIVED
    subject: str = Field(primary_key=True)
    account_id: str = Field(foreign_key="accounts.id")
    day: str  # the one they count on, whenever the work ends
    taken: int = Field(sa_type=BigInteger)
    before: int = Field(default=0, sa_type=BigInteger)  # what earlier runs of a job have heard
    opened_at: float = Field(sa_type=Double)


class ConsoleSession(SQLModel, table=True):
    """Who is signed in at the console. What it is called is a digest of its cookie, and its keys are sealed by that cookie."""

    __tablename__ = "console_sessions"
    id: str = Field(primary_key=True)
    account_id: str | None = Field(default=None, foreign_key="accounts.id", index=True)  # None: an administrator
    sealed: str
    created_at: float = Field(sa_type=Double)
    expires_at: float = Field(sa_type=Double, index=True)


class ConsoleLink(SQLModel, table=True):
    """A link that signs in at the console and was not used yet; known by its digest."""

    __tablename__ = "console_links"
    id: str = Field(primary_key=True)
    account_id: str = Field(foreign_key="accounts.id", index=True)
    expires_at: float = Field(sa_type=Double)
