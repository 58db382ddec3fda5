"""The lines of bulk runs, which are recordings in buckets: named apart, heard once for the same bytes, written, tried again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import CursorResult, Update, delete, exists, func, insert, select, update
from sqlalchemy.orm import Session, aliased
from sqlmodel import col

from infra.batches.batch_store import COMPLETED, IN_PROGRESS, lock_held, own_batch
from infra.batches.bulk_plan import BULK
from infra.batches.line_store import BROKEN, DONE, HEARD, LEFT, RUNNING, WAITING, which
from infra.database.clock import now, read_clock
from infra.database.session import Database
from infra.database.tables.batches import Batch, BatchLine
from infra.database.tables.jobs import Job
from pipeline.errors import WrongState

KEPT = "kept"  # the state of what an earlier run did and this one was not asked for: it stays in the report
FORGOTTEN = 30 * 24 * 3600.0  # seconds after a run's end until only its report knows of its recordings
Line = tuple[BatchLine, Job | None]


class SourceStore:
    """add, first_twice, equal_stem, rename_equals, twins, heard_as, to_write, written, hear_again, reserved_micro, duplicates,
    estimated, page, retry, report_due, forget."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, batch: Batch, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows of recordings that were listed. Raises LeaseLost."""
        if rows:
            with self._database.write() as session:
                lock_held(session, batch)
                session.execute(insert(BatchLine), [{"batch_id": batch.id, **row} for row in rows])

    def first_twice(self, batch: Batch) -> str | None:
        """A recording that was listed twice."""
        mine = (col(BatchLine.batch_id) == batch.id, col(BatchLine.stem).is_not(None))
        twice = select(col(BatchLine.custom_id)).where(*mine).group_by(col(BatchLine.custom_id))
        with self._database.read() as session:
            return session.scalar(twice.having(func.count() > 1).limit(1))

    def equal_stem(self, batch: Batch) -> str | None:
        """A stem that several recordings have."""
        with self._database.read() as session:
            found: str | None = session.scalar(_equal_stems(batch).limit(1))
        return found

    def rename_equals(self, batch: Batch) -> None:
        """Recordings whose outputs would be one another's have outputs called after all of their name; again, until no two are
        called alike: whole names are different."""
        whole = col(BatchLine.stem) != col(BatchLine.custom_id)
        equal = col(BatchLine.stem).in_(_equal_stems(batch))
        with self._database.write() as session:
            lock_held(session, batch)
            rename = update(BatchLine).where(col(BatchLine.batch_id) == batch.id, whole, equal)
            rename = rename.values(stem=col(BatchLine.custom_id)).execution_options(synchronize_session=False)
            while _changed(session, rename):
                pass

    def twins(self, batch: Batch, prints: Collection[str]) -> dict[str, BatchLine]:
        """Recordings of the same bytes that are heard already, by fingerprint."""
        heard = select(BatchLine).where(
            col(BatchLine.batch_id) == batch.id,
            col(BatchLine.fingerprint).in_(prints),
            col(BatchLine.state).in_((HEARD, DONE)),
        )
        with self._database.read() as session:
            return {line.fingerprint or "": line for line in session.scalars(heard)}

    def heard_as(self, batch: Batch, line: BatchLine, twin: BatchLine) -> None:
        """What was heard of the same bytes is this one's, too, for nothing. Raises LeaseLost."""
        told = {name: (twin.facts or {}).get(name) for name in ("sha256", "duration")}
        with self._database.write() as session:
            lock_held(session, batch)
            row = session.get_one(BatchLine, (batch.id, line.n), with_for_update=True)
            if row.state == WAITING:
                row.state, row.job_id = HEARD, twin.job_id
                row.facts = {**(row.facts or {}), **told, "duplicate_of": twin.custom_id}

    def to_write(self, batch: Batch, most: int) -> list[Line]:
        """Those that were heard and whose outputs are not there yet."""
        heard = (
            select(BatchLine, Job)
            .join(Job, col(Job.id) == col(BatchLine.job_id), isouter=True)
            .where(*which(batch, HEARD))
            .order_by(col(BatchLine.n))
            .limit(most)
        )
        with self._database.read() as session:
            return [(line, job) for line, job in session.execute(heard)]

    def written(self, batch: Batch, line: BatchLine, outputs: list[dict[str, Any]], *, skipped: bool) -> None:
        """Its outputs are in the bucket. Raises LeaseLost."""
        with self._database.write() as session:
            held = lock_held(session, batch)
            row = session.get_one(BatchLine, (batch.id, line.n), with_for_update=True)
            if row.state == HEARD:
                row.state, row.error, row.facts = DONE, None, {**(row.facts or {}), "outputs": outputs}
                held.completed += 1
                held.skipped += skipped

    def hear_again(self, batch: Batch, line: BatchLine) -> None:
        """What an earlier run heard of it is not there any more. Raises LeaseLost."""
        with self._database.write() as session:
            lock_held(session, batch)
            row = session.get_one(BatchLine, (batch.id, line.n), with_for_update=True)
            if row.state == HEARD:
                row.state, row.job_id, row.facts = WAITING, None, {**(row.facts or {}), "earlier": False}

    def reserved_micro(self, batch: Batch) -> int:
        """What its running jobs may cost at most."""
        running = select(col(BatchLine.job_id)).where(*which(batch, RUNNING))
        most = func.coalesce(col(Job.max_cost_micro), col(Job.held_micro) + col(Job.captured_micro))
        with self._database.read() as session:
            return int(session.scalar(select(func.sum(most)).where(col(Job.id).in_(running))) or 0)

    def duplicates(self, batch: Batch, numbers: Collection[int]) -> set[int]:
        """Those of these that wait for another one of the same bytes."""
        first = aliased(BatchLine)
        before = exists().where(
            col(first.batch_id) == batch.id,
            col(first.fingerprint) == col(BatchLine.fingerprint),
            col(first.n) < col(BatchLine.n),
        )
        these = (col(BatchLine.batch_id) == batch.id, col(BatchLine.n).in_(numbers), col(BatchLine.state) == WAITING)
        with self._database.read() as session:
            return set(session.scalars(select(col(BatchLine.n)).where(*these, before)))

    def estimated(self, batch: Batch, lines: Collection[int], sums: Mapping[str, float]) -> None:
        """A dry run has looked at these. Raises LeaseLost."""
        with self._database.write() as session:
            held = lock_held(session, batch)
            these = (
                col(BatchLine.batch_id) == batch.id,
                col(BatchLine.n).in_(lines),
                col(BatchLine.state).in_((WAITING, HEARD)),
            )
            session.execute(update(BatchLine).where(*these).values(state=LEFT))
            before = held.estimate or {}
            held.estimate = {name: before.get(name, 0) + value for name, value in sums.items()}

    def page(
        self, batch_id: str, *, after: int = 0, limit: int = 500, states: Collection[str] | None = None
    ) -> list[BatchLine]:
        """Lines in order, from behind a number on."""
        some = select(BatchLine).where(col(BatchLine.batch_id) == batch_id, col(BatchLine.n) > after)
        if states is not None:
            some = some.where(col(BatchLine.state).in_(states))
        with self._database.read() as session:
            return list(session.scalars(some.order_by(col(BatchLine.n)).limit(limit)))

    def retry(self, account_id: str, bulk_id: str) -> Batch:
        """What failed is tried again. Raises NotFound; WrongState for a run that has not ended, or in which nothing failed."""
        with self._database.write() as session:
            batch = own_batch(session, account_id, bulk_id, BULK, lock=True)
            failed = update(BatchLine).where(*which(batch, BROKEN)) if batch.status == COMPLETED else None
            count = _changed(session, failed.values(state=WAITING, error=None)) if failed is not None else 0
            if not count:
                raise WrongState(
                    f"Nothing can be tried again: the run is {batch.status}, and {batch.failed} of it have failed.",
                    current_status=batch.status,
                    allowed_statuses=[COMPLETED],
                )
            batch.failed = 0
            batch.status, batch.ending, batch.completed_at, batch.next_at = IN_PROGRESS, None, None, 0.0
        return batch

    def report_due(self, batch: Batch, every: float) -> bool:
        """Whether the report is that old; then it counts as written now. Raises LeaseLost."""
        with self._database.write() as session:
            held, time = lock_held(session, batch), read_clock(session)
            due = (held.reported_at or held.in_progress_at or time) + every <= time
            if due:
                held.reported_at = time
            return due

    def forget(self, limit: int = 10) -> None:
        """Rows of recordings whose run ended long ago go."""
        ended = func.coalesce(col(Batch.completed_at), col(Batch.cancelled_at), col(Batch.failed_at))
        old = select(col(Batch.id)).where(col(Batch.kind) == BULK, ended < now() - FORGOTTEN)
        has_rows = col(Batch.id).in_(select(col(BatchLine.batch_id)))
        with self._database.write() as session:
            ids = list(session.scalars(old.where(has_rows).limit(limit)))
            session.execute(delete(BatchLine).where(col(BatchLine.batch_id).in_(ids)))


def _changed(session: Session, statement: Update) -> int:
    return cast(CursorResult[Any], session.execute(statement)).rowcount


def _equal_stems(batch: Batch) -> Any:
    mine = (col(BatchLine.batch_id) == batch.id, col(BatchLine.stem).is_not(None))
    return select(col(BatchLine.stem)).where(*mine).group_by(col(BatchLine.stem)).having(func.count() > 1)
