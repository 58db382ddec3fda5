"""The states of a job and of a chunk, and the legal moves between them, as data.

The stores' conditional updates, the API's 409 and the documentation's diagram all derive from these tables.
"""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job stands, as callers see it."""

    AWAITING_UPLOAD = "awaiting_upload"
    QUEUED = "queued"
    PROCESSING = "processing"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Dependency(StrEnum):
    """What a job needs, and may be away for a while. That is nobody's failure: the job waits for it."""

    STORAGE = "storage"
    DATABASE = "database"
    PROVIDER = "provider"  # every route of the job's model
    DISK = "disk"  # there is one, and it is full
    WORKER = "worker"  # of the role that its next piece of work is for: none lives


class Stage(StrEnum):
    """What a live job is doing: `progress.stage`."""

    UPLOADING = "uploading"
    FETCHING = "fetching"  # downloads the caller's URL
    WAITING = "waiting"
    PREPARING = "preparing"  # decodes and cuts; chunks already go out
    TRANSCRIBING = "transcribing"  # all cut; chunks are still being heard
    STITCHING = "stitching"
    WAITING_FOR_STORAGE = "waiting_for_storage"
    WAITING_FOR_DATABASE = "waiting_for_database"
    WAITING_FOR_PROVIDER = "waiting_for_provider"
    WAITING_FOR_DISK = "waiting_for_disk"
    WAITING_FOR_WORKER = "waiting_for_worker"
    DONE = "done"

    @classmethod
    def waiting_for(cls, dependency: Dependency) -> Stage:
        """That of a job which cannot go on until that is back."""
        return cls(f"waiting_for_{dependency}")

    @property
    def dependency(self) -> Dependency | None:
        """What a job of this stage waits for."""
        return next((one for one in Dependency if self == Stage.waiting_for(one)), None)


class ChunkStatus(StrEnum):
    """Where one chunk stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


S = JobStatus

JOB_MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    S.AWAITING_UPLOAD: frozenset({S.QUEUED, S.CANCELLED, S.EXPIRED, S.FAILED}),
    S.QUEUED: frozenset({S.PROCESSING, S.CANCELLED, S.EXPIRED, S.FAILED}),
    S.PROCESSING: frozenset({S.QUEUED, S.CANCELLING, S.CANCELLED, S.COMPLETED, S.FAILED, S.EXPIRED}),
    S.CANCELLING: frozenset({S.CANCELLED}),
    S.COMPLETED: frozenset({S.QUEUED}),  # retry of the failed chunks of a partial result
    S.FAILED: frozenset({S.QUEUED}),  # retry
    S.CANCELLED: frozenset(),
    S.EXPIRED: frozenset(),
}

TERMINAL = frozenset({S.COMPLETED, S.FAILED, S.CANCELLED, S.EXPIRED})
LIVE = frozenset(S) - TERMINAL


def sources(target: JobStatus) -> frozenset[JobStatus]:
    """The statuses from which a job may move to `target`."""
    return frozenset(status for status, targets in JOB_MOVES.items() if target in targets)


ACTIONS: dict[str, frozenset[JobStatus]] = {
    "cancel": frozenset({S.AWAITING_UPLOAD, S.QUEUED, S.PROCESSING, S.CANCELLING}),
    "retry": frozenset({S.COMPLETED, S.FAILED}),
    "delete": TERMINAL,
    "transcript": frozenset({S.COMPLETED}),
    "pay": frozenset({S.FAILED, S.EXPIRED}),  # for text that was heard and not handed out
}
"""What a caller may ask of a job, and in which statuses."""
