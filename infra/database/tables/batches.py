"""Batches and bulk runs, and their lines."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Double, Index, text
from sqlmodel import Field, SQLModel

from infra.database.tables.columns import ZERO, json_column, time_column

_UNFINISHED = text("status IN ('validating', 'in_progress', 'cancelling', 'finalizing')")
_PRINTED = text("fingerprint IS NOT NULL")
_STEMMED = text("stem IS NOT NULL")


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
    plan: dict[str, Any] | None = (
        json_column()
    )  # of a bulk run: what goes from where to where (infra/batches/bulk_plan.py)
    endpoint: str
    input_file_id: str = Field(index=True)  # empty for a bulk run, as are the next two
    completion_window: str
    keep_seconds: int | None = None  # its output files
    meta: dict[str, str] | None = json_column()
    request_id: str | None = None
    status: str = "validating"  # infra/batches/batch_store.py draws the moves
    ending: str | None = None  # what it will be once its output is written
    errors: list[dict[str, Any]] | None = json_column()
    output_file_id: str | None = None
    error_file_id: str | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    skipped: int = Field(default=0, sa_column_kwargs=ZERO)  # of the completed ones: an earlier run had done them
    captured_micro: int = Field(default=0, sa_type=BigInteger)
    audio_ms: int = Field(default=0, sa_type=BigInteger)
    estimate: dict[str, Any] | None = json_column()  # of a dry run
    complete_by: float | None = time_column()
    raised_at: float | None = (
        time_column()
    )  # since when its jobs are no archive any more, for the sake of `complete_by`
    reported_at: float | None = time_column()  # when a bulk run's report was last written
    webhook_url: str | None = None
    webhook_events: list[str] | None = json_column()
    webhook_secret: str | None = None  # sealed
    waiting: dict[str, Any] | None = json_column()  # why nothing of it begins at the moment
    next_at: float = Field(default=0.0, sa_type=Double)  # not before
    lease_token: str | None = None
    lease_until: float | None = time_column()
    created_at: float = Field(sa_type=Double)
    expires_at: float = Field(sa_type=Double)  # when its window closes
    in_progress_at: float | None = time_column()
    finalizing_at: float | None = time_column()
    completed_at: float | None = time_column()
    failed_at: float | None = time_column()
    expired_at: float | None = time_column()
    cancelling_at: float | None = time_column()
    cancelled_at: float | None = time_column()


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
    error: dict[str, Any] | None = json_column()
    started_at: float | None = time_column()
    facts: dict[str, Any] | None = json_column()  # of a bulk run: what its report tells of the recording
    fingerprint: str | None = None  # two recordings of one are the same bytes, heard alike
    stem: str | None = None  # where its outputs go, without their suffixes
