"""The rows of /v1/batches, and what happens to a batch as a whole. What is counted is counted as lines move, never by a sum.

    validating → in_progress → finalizing → completed
    validating → failed: a line cannot be read, and nothing ran
    in_progress → cancelling → finalizing → cancelled
    in_progress → finalizing → expired: its window closed, and what had not run does not run

Whoever moves a batch on holds a lease of it, so that two never do; one who died is followed, and does again only what writes
the same as before.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.batches.events import announce
from infra.database.clock import now, read_clock
from infra.database.ids import new_id, new_token
from infra.database.session import Database
from infra.database.tables.accounts import Account, ApiKey
from infra.database.tables.batches import Batch, BatchLine
from infra.database.tables.uploads import File, Media
from infra.files.file_store import BATCH_SECONDS, UNFINISHED, insert_file
from infra.idempotency import Idempotency, create_once
from pipeline.errors import InvalidRequest, LeaseLost, NotFound, WrongState

VALIDATING, IN_PROGRESS, CANCELLING, FINALIZING = "validating", "in_progress", "cancelling", "finalizing"
COMPLETED, FAILED, CANCELLED, EXPIRED = "completed", "failed", "cancelled", "expired"
BATCH = "batch"
LATE_PART, EARLY_PART, HASTE = 0.25, 0.1, 1.5  # see `rises`
OUTPUT = "batch_output"  # the purpose of what a batch brings
_NO_COLUMNS = ("window_seconds", "metadata")
LEASE = 60.0  # seconds without a sign of life after which whoever moved it on is thought dead


@dataclass(frozen=True)
class NewBatch:
    """What was asked for."""

    account_id: str
    key_id: str | None
    endpoint: str
    input_file_id: str
    completion_window: str
    window_seconds: int
    keep_seconds: int | None  # of its output, from the end on
    metadata: dict[str, str] | None
    request_id: str | None
    complete_by: float | None = None
    kind: str = BATCH
    plan: dict[str, Any] | None = None  # of a bulk run, which has no file
    webhook_url: str | None = None
    webhook_events: list[str] | None = None
    webhook_secret: str | None = None  # sealed


class BatchStore:
    """create, get, list, cancel; claim, standing, rises, release, and the moves validated, refused, finalizing, finished."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, new: NewBatch, idempotency: Idempotency | None = None) -> tuple[Batch, dict[str, Any] | None]:
        """(batch, None), or (the first batch, its first answer). Raises InvalidRequest for what is no file of the account."""
        return create_once(self._database, new.account_id, idempotency, Batch, partial(_insert, new))

    def get(self, account_id: str, batch_id: str, kind: str = BATCH) -> Batch:
        """Raises NotFound."""
        with self._database.read() as session:
            return own_batch(session, account_id, batch_id, kind)

    def list(
        self, account_id: str, *, kind: str = BATCH, limit: int = 20, after: str | None = None
    ) -> tuple[builtins.list[Batch], bool]:
        """A page, the newest first, and whether more follows. Raises InvalidRequest for an unknown cursor."""
        columns = (col(Batch.created_at), col(Batch.id))
        page = select(Batch).where(col(Batch.account_id) == account_id, col(Batch.kind) == kind)
        with self._database.read() as session:
            if after is not None:
                last = session.get(Batch, after)
                if last is None or last.account_id != account_id:
                    raise InvalidRequest(f"No such batch: after={after}", param="after")
                page = page.where(tuple_(*columns) < (last.created_at, last.id))
            rows = builtins.list(session.scalars(page.order_by(*(one.desc() for one in columns)).limit(limit + 1)))
        return rows[:limit], len(rows) > limit

    def cancel(self, account_id: str, batch_id: str, kind: str = BATCH) -> Batch:
        """Nothing more of it begins. Once more: nothing happens. Raises WrongState for one that has ended."""
        with self._database.write() as session:
            batch = own_batch(session, account_id, batch_id, kind, lock=True)
            if batch.status in (VALIDATING, IN_PROGRESS):
                batch.status, batch.cancelling_at = CANCELLING, read_clock(session)
                batch.next_at = 0.0
            elif batch.status not in (CANCELLING, CANCELLED):
                raise WrongState(
                    f"A batch that is {batch.status} cannot be cancelled.",
                    current_status=batch.status,
                    allowed_statuses=[VALIDATING, IN_PROGRESS],
                )
        return batch

    def claim(self, after_id: str = "") -> Batch | None:
        """The next batch that is due, ours for LEASE seconds."""
        due = select(Batch).where(
            col(Batch.status).in_(UNFINISHED),
            col(Batch.next_at) <= now(),
            col(Batch.id) > after_id,
            func.coalesce(col(Batch.lease_until), 0.0) <= now(),
        )
        due = due.order_by(col(Batch.id)).limit(1)
        with self._database.read() as session:  # there is none, mostly, and nobody need wait for us to see that
            if session.scalars(due).first() is None:
                return None
        with self._database.write() as session:
            batch = session.scalars(due.with_for_update(skip_locked=True)).first()
            if batch is not None:
                batch.lease_token, batch.lease_until = new_token(), read_clock(session) + LEASE
            return batch

    def standing(self, batch: Batch) -> str:
        """A sign of life; how it stands by now: its status, or EXPIRED once its window has closed. Raises LeaseLost."""
        with self._database.write() as session:
            held, time = lock_held(session, batch), read_clock(session)
            held.lease_until = time + LEASE
            closed = held.kind == BATCH and held.expires_at <= time  # a bulk run has no window
            return EXPIRED if held.status == IN_PROGRESS and closed else held.status

    def rises(self, batch: Batch) -> bool:
        """Whether it leaves the archive lane now: at its pace so far it would be late, or the last quarter of its time has come."""
        if batch.complete_by is None or batch.raised_at is not None:
            return False
        with self._database.write() as session:
            held, time = lock_held(session, batch), read_clock(session)
            if _would_be_late(held, time):
                held.raised_at = batch.raised_at = time
            return held.raised_at is not None

    def spent_before(self, batch: Batch, micro: int) -> None:
        """What earlier runs with the same output have cost. Raises LeaseLost."""
        with self._database.write() as session:
            held = lock_held(session, batch)
            held.plan = batch.plan = {**(held.plan or {}), "spent_micro": micro}

    def release(self, batch: Batch, *, pause: float = 0.0, waiting: dict[str, Any] | None = None) -> None:
        """It is somebody else's turn, after a pause in seconds; `waiting` is what it waits for."""
        with self._database.write() as session:
            mine = (col(Batch.id) == batch.id, col(Batch.lease_token) == batch.lease_token)
            free = {
                "lease_token": None,
                "lease_until": None,
                "next_at": read_clock(session) + pause,
                "waiting": waiting,
            }
            session.execute(update(Batch).where(*mine).values(free))

    def validated(self, batch: Batch, total: int, failed: int = 0) -> None:
        """All its lines are rows and can be read: they may run, but for so many that failed before. Raises LeaseLost."""
        with self._database.write() as session:
            held = lock_held(session, batch)
            held.total, held.failed = total, failed
            if held.status == VALIDATING:
                held.status, held.in_progress_at = IN_PROGRESS, read_clock(session)

    def refused(self, batch: Batch, errors: Sequence[dict[str, Any]]) -> None:
        """Its input cannot be read; nothing ran. Raises LeaseLost."""
        with self._database.write() as session:
            held = lock_held(session, batch)
            time = read_clock(session)
            held.status, held.failed_at, held.errors = FAILED, time, builtins.list(errors)
            held.total = 0
            announce(session, held, time)

    def finalizing(self, batch: Batch, ending: str) -> None:
        """No line is going to run any more; its output is about to be written. Raises LeaseLost."""
        with self._database.write() as session:
            held = lock_held(session, batch)
            held.status, held.ending, held.finalizing_at = FINALIZING, ending, read_clock(session)
            held.waiting = None

    def finished(self, batch: Batch, output: Media | None, error: Media | None) -> None:
        """Its output is in storage: files, the end and the news of it are there together. Raises LeaseLost."""
        keep = partial(insert_file, purpose=OUTPUT, keep_seconds=batch.keep_seconds or BATCH_SECONDS)
        with self._database.write() as session:
            held = lock_held(session, batch)
            held.output_file_id = keep(session, media=output).id if output is not None else None
            held.error_file_id = keep(session, media=error).id if error is not None else None
            time = read_clock(session)
            held.status = held.ending or COMPLETED
            setattr(held, f"{held.status}_at", time)
            if held.kind == BATCH:  # what came of a bulk run's recordings can be asked for
                session.execute(delete(BatchLine).where(col(BatchLine.batch_id) == batch.id))
            announce(session, held, time)

    def may_run(self, batch: Batch) -> bool:
        """Whether its account is active and its key not revoked."""
        with self._database.read() as session:
            account = session.get(Account, batch.account_id)
            key = session.get(ApiKey, batch.key_id) if batch.key_id else None
            return account is not None and account.status == "active" and (key is None or key.revoked_at is None)


def lock_held(session: Session, batch: Batch) -> Batch:
    """The batch's row, locked, of which we hold the lease. Raises LeaseLost."""
    held = session.get(Batch, batch.id, with_for_update=True, populate_existing=True)
    if held is None or held.lease_token != batch.lease_token:
        raise LeaseLost("Another process moves this batch on.")
    return held


def own_batch(session: Session, account_id: str, batch_id: str, kind: str, *, lock: bool = False) -> Batch:
    """The account's batch or bulk run. Raises NotFound."""
    batch = session.get(Batch, batch_id, with_for_update=lock or None)
    if batch is None or (batch.account_id, batch.kind) != (account_id, kind):
        raise NotFound(f"No such {'batch' if kind == BATCH else 'bulk run'}.")
    return batch


def _insert(new: NewBatch, session: Session) -> Batch:
    _want_input(session, new)
    time = read_clock(session)
    given = {name: getattr(new, name) for name in NewBatch.__dataclass_fields__ if name not in _NO_COLUMNS}
    batch = Batch(
        id=new_id(new.kind),
        **given,
        meta=new.metadata,
        created_at=time,
        expires_at=time + new.window_seconds,
    )
    session.add(batch)
    session.flush()
    return batch


def _want_input(session: Session, new: NewBatch) -> None:
    """Raises InvalidRequest where there is no such file; WrongState where a bulk run to the same place is under way."""
    if new.plan is None:
        file = session.get(File, new.input_file_id, with_for_update=True)
        if file is None or file.account_id != new.account_id:
            raise InvalidRequest("No such file. Send the id of one of /v1/files.", param="input_file_id")
        return
    session.get(Account, new.account_id, with_for_update=True)  # one at a time
    live = (col(Batch.account_id) == new.account_id, col(Batch.kind) == new.kind, col(Batch.status).in_(UNFINISHED))
    for other in session.scalars(select(Batch).where(*live)):
        if (other.plan or {}).get("output") == new.plan["output"]:
            told = f"{other.id} writes to the same output.uri. Wait for its end, or cancel it."
            raise WrongState(told, current_status=other.status, allowed_statuses=[])


def _would_be_late(batch: Batch, time: float) -> bool:
    began = batch.in_progress_at or batch.created_at
    window, left = (batch.complete_by or 0.0) - began, (batch.complete_by or 0.0) - time
    if left <= LATE_PART * window:
        return True
    done, passed = batch.completed + batch.failed, time - began
    return passed >= EARLY_PART * window and left <= HASTE * (batch.total - done) * passed / max(1, done)
