"""The lines of batches: rows that become jobs a few at a time, each once, and end when their jobs do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.orm import Session, aliased
from sqlmodel import col

from infra.batches.batch_store import lock_held
from infra.database.clock import read_clock
from infra.database.session import Database
from infra.database.tables.batches import Batch, BatchLine
from infra.database.tables.jobs import Job
from infra.files.file_store import UNFINISHED
from infra.jobs.create_and_read import Within
from infra.money.job_money import job_usage
from pipeline.errors import LeaseLost
from pipeline.lifecycle import LIVE, JobStatus

WAITING, RUNNING, DONE, BROKEN, LEFT = "waiting", "running", "completed", "failed", "left"
HEARD = "heard"  # a recording in a bucket whose outputs are not there yet
OPEN = (WAITING, RUNNING, HEARD)
FEW = 4  # lines of a batch that may always run, whatever its account's other batches do
AT_ONCE = 500  # rows in one statement
GONE = {"code": "job_deleted", "message": "The line's job was deleted before its result was written."}


class LineStore:
    """add, forget, next_waiting, within, failed, ended, jobs_under_way,
    leave_rest, remaining, written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, batch: Batch, lines: Sequence[BatchLine]) -> None:
        """Rows of lines that were read, in place of those of an earlier reading. Raises LeaseLost."""
        with self._database.write() as session:
            lock_held(session, batch)
            numbers = [line.n for line in lines]
            session.execute(delete(BatchLine).where(col(BatchLine.batch_id) == batch.id, col(BatchLine.n).in_(numbers)))
            session.add_all(lines)

    def forget(self, batch: Batch) -> None:
        """The rows of a batch whose input cannot be read go."""
        with self._database.write() as session:
            session.execute(delete(BatchLine).where(col(BatchLine.batch_id) == batch.id))

    def next_waiting(self, batch: Batch, most: int) -> list[BatchLine]:
        """Lines that may become jobs now: those that come next, as long as fewer than `most` of all the account's batches are
        under way, or fewer than FEW of this one. Of recordings of the same bytes the first alone: the others will be heard then."""
        mine = select(col(Batch.id)).where(col(Batch.account_id) == batch.account_id, col(Batch.status).in_(UNFINISHED))
        running = (col(BatchLine.batch_id).in_(mine), col(BatchLine.state) == RUNNING)
        waiting = select(BatchLine).where(*which(batch, WAITING), ~_heard_for_another()).order_by(col(BatchLine.n))
        with self._database.read() as session:
            own = _count(session, *which(batch, RUNNING))
            room = max(FEW - own, most - _count(session, *running), 0)
            return list(session.scalars(waiting.limit(min(room, most))))

    def within(self, batch: Batch, line: BatchLine) -> Within:
        """What goes with the creation of the line's job, in its transaction: that no other one is ever made of it."""
        return partial(_becomes_job, batch=batch, n=line.n)

    def failed(self, batch: Batch, line: BatchLine, error: dict[str, Any]) -> None:
        """The line could not become a job, or what it brought is lost. Raises LeaseLost."""
        with self._database.write() as session:
            held = lock_held(session, batch)
            row = session.get_one(BatchLine, (batch.id, line.n), with_for_update=True)
            if row.state in (WAITING, HEARD):
                row.state, row.error, row.request, row.file_id = BROKEN, error, None, None
                held.failed += 1

    def ended(self, batch: Batch, *, over: bool) -> int:
        """Lines whose jobs have ended end, and count with what they cost; how many. `over`: jobs that were cancelled were so
        because the batch ends. Raises LeaseLost."""
        running = (
            select(BatchLine, Job)
            .join(Job, col(Job.id) == col(BatchLine.job_id), isouter=True)
            .where(*which(batch, RUNNING))
            .where(func.coalesce(col(Job.status), "").notin_(LIVE))
            .order_by(col(BatchLine.n))
            .limit(AT_ONCE)
        )
        with self._database.write() as session:
            held = lock_held(session, batch)
            found = session.execute(running).all()
            for line, job in found:
                _end(held, line, job, over=over)
            return len(found)

    def jobs_under_way(self, batch: Batch) -> list[str]:
        """Ids of the jobs of lines that have not ended."""
        ids = select(col(BatchLine.job_id)).where(*which(batch, RUNNING))
        with self._database.read() as session:
            return [job_id for job_id in session.scalars(ids) if job_id]

    def leave_rest(self, batch: Batch, error: dict[str, Any] | None = None) -> None:
        """What waits never runs. Raises LeaseLost."""
        with self._database.write() as session:
            lock_held(session, batch)
            rest = update(BatchLine).where(*which(batch, WAITING))
            session.execute(rest.values(state=LEFT, request=None, file_id=None, error=error))

    def remaining(self, batch: Batch) -> bool:
        """Whether a line waits or runs."""
        open_ = select(col(BatchLine.n)).where(col(BatchLine.batch_id) == batch.id, col(BatchLine.state).in_(OPEN))
        with self._database.read() as session:
            return session.execute(open_.limit(1)).first() is not None

    def written(self, batch: Batch) -> Iterator[tuple[BatchLine, Job | None]]:
        """Every line in order, with its job where it has one; a page in memory."""
        after = 0
        while True:
            some = (
                select(BatchLine, Job)
                .join(Job, col(Job.id) == col(BatchLine.job_id), isouter=True)
                .where(col(BatchLine.batch_id) == batch.id, col(BatchLine.n) > after)
                .order_by(col(BatchLine.n))
                .limit(AT_ONCE)
            )
            with self._database.read() as session:
                page = [(line, job) for line, job in session.execute(some)]
            yield from page
            if len(page) < AT_ONCE:
                return
            after = page[-1][0].n


def which(batch: Batch, state: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The batch's lines in this state."""
    return (col(BatchLine.batch_id) == batch.id, col(BatchLine.state) == state)


def _count(session: Session, *where: ColumnElement[bool]) -> int:
    return int(session.execute(select(func.count()).select_from(BatchLine).where(*where)).scalar_one())


def _becomes_job(session: Session, job: Job, *, batch: Batch, n: int) -> None:
    """Raises LeaseLost where the line is no longer ours to run: then there is no job either."""
    line = session.get(BatchLine, (batch.id, n), with_for_update=True, populate_existing=True)
    held = session.get(Batch, batch.id, populate_existing=True)
    if line is None or line.state != WAITING or held is None or held.lease_token != batch.lease_token:
        raise LeaseLost("Another process runs this batch.")
    line.state, line.job_id, line.started_at = RUNNING, job.id, read_clock(session)
    line.request = line.file_id = None
    if line.facts is not None:
        line.facts = {**line.facts, "attempts": line.facts.get("attempts", 0) + 1}


def _heard_for_another() -> ColumnElement[bool]:
    first = aliased(BatchLine)
    return exists().where(
        col(first.batch_id) == col(BatchLine.batch_id),
        col(first.fingerprint) == col(BatchLine.fingerprint),
        col(first.n) < col(BatchLine.n),
        col(first.state).in_((WAITING, RUNNING)),
    )


def _end(batch: Batch, line: BatchLine, job: Job | None, *, over: bool) -> None:
    if job is None:
        line.state, line.error = BROKEN, GONE
        batch.failed += 1
        return
    batch.captured_micro += job.captured_micro
    if line.facts is not None:
        line.facts = {**line.facts, **_learned(line.facts, job)}
    if job.status == JobStatus.COMPLETED:
        line.state = DONE if line.facts is None else HEARD
        batch.completed += line.facts is None
        if job.task != "speech":
            batch.audio_ms += job_usage(job).audio_ms
    elif job.status == JobStatus.CANCELLED and over:
        line.state = LEFT
    else:
        line.state, line.error = (
            BROKEN,
            job.error or {"code": f"job_{job.status}", "message": f"The job was {job.status}."},
        )
        batch.failed += 1


def _learned(facts: dict[str, Any], job: Job) -> dict[str, Any]:
    """Of a recording in a bucket: what its job tells of it. What an attempt before this one has cost stays."""
    cost = int(facts.get("cost_micro") or 0) + job.captured_micro
    seconds = None if job.ended_at is None else round(job.ended_at - job.created_at, 3)
    told = {name: value for name in ("sha256", "duration") if (value := job.input.get(name)) is not None}
    return {**told, "cost_micro": cost, "seconds": seconds}
