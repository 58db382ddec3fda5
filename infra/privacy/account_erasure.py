"""Erase an account: recordings, transcripts, prompts, metadata, endpoints, the log of deliveries, names. Numbers of money stay.

It is asked for once, in one transaction that closes the account; then rows go in steps, each a transaction of its own, until
nothing is left. Whoever dies in between leaves the rest to the sweep. That one looks again for a day: a request that was
under way when its account was erased may still have stored something.

What stays: the ledger and the receipts, whose notes say that the account was erased, its keys' ids, revoked, and counters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session
from sqlmodel import SQLModel, col

from infra.audit.audit_log import record
from infra.database.clock import now, read_clock
from infra.database.erasures import erase
from infra.database.session import Database
from infra.database.tables.accounts import Account, AccountErasure, ApiKey
from infra.database.tables.batches import Batch, BatchLine
from infra.database.tables.console import ConsoleLink, ConsoleSession
from infra.database.tables.idempotency import IdempotencyKey
from infra.database.tables.jobs import Job
from infra.database.tables.money import LedgerEntry, Receipt
from infra.database.tables.uploads import File, Media, Upload, UploadPart
from infra.database.tables.webhooks import WebhookAttempt, WebhookEndpoint, WebhookMessage, WebhookReceiver
from infra.jobs.store import JobStore
from infra.keys.accounts import CLOSED, Accounts
from infra.media import USABLE, let_go
from infra.money.ledger import ADJUST, add
from pipeline.errors import NotFound

PAGE = 50  # rows in one step
LATE_WRITES = 60.0  # seconds in which a worker or a request that was under way may still write an object
WATCHED = 24 * 3600.0  # seconds from when it was asked for
NOTE = "the account was erased"
_NO_HASH = "0" * 64  # of no key


class AccountEraser:
    """begin, step, erase, look_again, find, receipt."""

    def __init__(self, database: Database, jobs: JobStore, accounts: Accounts) -> None:
        self._database = database
        self._jobs = jobs
        self._accounts = accounts

    def begin(self, account_id: str) -> AccountErasure:
        """Close the account for good: in force at once here, within 5 s in other processes. Raises NotFound."""
        with self._database.write() as session:
            _revoke(session, account_id)
            account = session.get(Account, account_id, with_for_update=True)
            if account is None:
                raise NotFound("No such account.")
            account.status, account.name, account.plan, account.limits = CLOSED, "", "", None
            time = read_clock(session)
            erasure = session.get(AccountErasure, account_id)
            if erasure is None:
                erasure = AccountErasure(account_id=account_id, asked_at=time, removed=_counted(session, account_id))
                session.add(erasure)
                record(session, "account.erase", account_id=account_id, subject=account_id)
            erase(session, folder_of(account_id), time)
            _note_in_ledger(session, account_id)
        self._accounts.forget(account_id)
        return erasure

    def step(self, account_id: str) -> bool:
        """Remove some rows; False when none are left, which is then written down. Objects: delete `folder_of` then; what is
        written late, the sweep erases."""
        for job_id in self._some(Job, account_id):
            self._delete_job(account_id, job_id)
        if self._some(Job, account_id):
            return True
        with self._database.write() as session:
            if any([_let_media_go(session, account_id), _delete_webhooks(session, account_id)]):
                return True
            erasure = session.get_one(AccountErasure, account_id)
            time = read_clock(session)
            erasure.done_at = erasure.done_at or time
            erase(session, folder_of(account_id), time + LATE_WRITES)
        return False

    def erase(self, account_id: str) -> AccountErasure:
        """All of it, however long it takes; storage is left to the sweep, or to the caller. Raises NotFound."""
        self.begin(account_id)
        while self.step(account_id):
            pass
        return self.find(account_id)

    def look_again(self) -> Iterator[str]:
        """Accounts of which something is left, or has come since and is counted now: to be erased on."""
        recent = or_(col(AccountErasure.done_at).is_(None), col(AccountErasure.asked_at) > now() - WATCHED)
        with self._database.read() as session:
            found = [(row.account_id, row.done_at) for row in session.scalars(select(AccountErasure).where(recent))]
        for account_id, done_at in found:
            if done_at is None or self._something_came(account_id):
                yield account_id

    def find(self, account_id: str) -> AccountErasure:
        """Raises NotFound for an account that nobody has erased."""
        with self._database.read() as session:
            erasure = session.get(AccountErasure, account_id)
        if erasure is None:
            raise NotFound("This account has not been erased.")
        return erasure

    def receipt(self, account_id: str) -> dict[str, Any]:
        """What was removed, and what is kept of its money. `erased_at` is null while something is left. Raises NotFound."""
        erasure = self.find(account_id)
        with self._database.read() as session:
            kept = {
                "ledger_entries": _count(session, LedgerEntry, account_id),
                "receipts": _count(session, Receipt, account_id),
            }
        return {
            "account_id": account_id,
            "object": "account.erasure",
            "asked_at": int(erasure.asked_at),
            "erased_at": None if erasure.done_at is None else int(erasure.done_at),
            "removed": erasure.removed,
            "kept": kept,
        }

    def _some(self, table: type[Job], account_id: str) -> list[str]:
        some = select(col(table.id)).where(col(table.account_id) == account_id).order_by(col(table.id)).limit(PAGE)
        with self._database.read() as session:
            return list(session.scalars(some))

    def _delete_job(self, account_id: str, job_id: str) -> None:
        try:
            self._jobs.delete(account_id, job_id, force=True)
        except NotFound:  # somebody else was faster
            return

    def _something_came(self, account_id: str) -> bool:
        with self._database.read() as session:
            more = _counted(session, account_id) | {"api_keys": 0}
        if not any(more.values()):
            return False
        with self._database.write() as session:
            erasure = session.get_one(AccountErasure, account_id, with_for_update=True)
            erasure.removed = {name: erasure.removed.get(name, 0) + count for name, count in more.items()}
            erasure.done_at = None
            _revoke(session, account_id)
        return True


def folder_of(account_id: str) -> str:
    """Everything of the account in storage."""
    return f"t/{account_id}/"


def _revoke(session: Session, account_id: str) -> None:
    gone = {"revoked_at": func.coalesce(col(ApiKey.revoked_at), now()), "name": "", "secret_hash": _NO_HASH}
    session.execute(update(ApiKey).where(col(ApiKey.account_id) == account_id).values(gone))


def _note_in_ledger(session: Session, account_id: str) -> None:
    """Rows keep their numbers; what people wrote beside them goes. A row of 0 says why."""
    mine = (col(LedgerEntry.account_id) == account_id, col(LedgerEntry.note).is_not(None))
    session.execute(update(LedgerEntry).where(*mine).values(note=NOTE))
    add(session, account_id, f"erasure_{account_id}", ADJUST, 0, note=NOTE)


def _counted(session: Session, account_id: str) -> dict[str, int]:
    """What there is of it now."""
    sent = select(col(WebhookMessage.id)).where(col(WebhookMessage.account_id) == account_id)
    attempts = select(func.count()).select_from(WebhookAttempt).where(col(WebhookAttempt.message_id).in_(sent))
    heard = select(func.count()).where(col(Job.account_id) == account_id, col(Job.result_key).is_not(None))
    recordings = select(func.count()).where(col(Media.account_id) == account_id, col(Media.state).in_(USABLE))
    return {
        "jobs": _count(session, Job, account_id),
        "batches": _count(session, Batch, account_id),
        "files": _count(session, File, account_id),
        "uploads": _count(session, Upload, account_id),
        "recordings": session.execute(recordings).scalar_one(),
        "transcripts": session.execute(heard).scalar_one(),
        "webhook_endpoints": _count(session, WebhookEndpoint, account_id),
        "deliveries": _count(session, WebhookMessage, account_id),
        "delivery_attempts": session.execute(attempts).scalar_one(),
        "idempotency_keys": _count(session, IdempotencyKey, account_id),
        "api_keys": _count(session, ApiKey, account_id),
    }


def _count(session: Session, table: type[SQLModel], account_id: str) -> int:
    return int(session.execute(select(func.count()).select_from(table).where(_of(table, account_id))).scalar_one())


def _of(table: type[SQLModel], account_id: str) -> ColumnElement[bool]:
    return SQLModel.metadata.tables[str(table.__tablename__)].c.account_id == account_id


def _let_media_go(session: Session, account_id: str) -> bool:
    """Files and uploads first, which name media, and before them batches, whose lines name files."""
    mine = select(col(Batch.id)).where(col(Batch.account_id) == account_id)
    session.execute(delete(BatchLine).where(col(BatchLine.batch_id).in_(mine)))
    for table in (Batch, UploadPart, Upload, File):
        session.execute(delete(table).where(_of(table, account_id)))
    some = select(Media).where(col(Media.account_id) == account_id).order_by(col(Media.id)).limit(PAGE)
    found = session.scalars(some.with_for_update()).all()
    for media in found:
        let_go(session, media)
    return bool(found)


def _delete_webhooks(session: Session, account_id: str) -> bool:
    """Endpoints before messages, as everywhere; and the first answers to creating requests."""
    session.execute(delete(WebhookEndpoint).where(col(WebhookEndpoint.account_id) == account_id))
    some = select(col(WebhookMessage.id)).where(col(WebhookMessage.account_id) == account_id)
    found = session.scalars(some.order_by(col(WebhookMessage.id)).limit(PAGE * PAGE).with_for_update()).all()
    session.execute(delete(WebhookAttempt).where(col(WebhookAttempt.message_id).in_(found)))
    session.execute(delete(WebhookMessage).where(col(WebhookMessage.id).in_(found)))
    for table in (WebhookReceiver, IdempotencyKey, ConsoleSession, ConsoleLink):
        session.execute(delete(table).where(_of(table, account_id)))
    return bool(found)
