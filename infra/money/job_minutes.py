"""A job's share of the day's transcription minutes, and of the jobs that an account may have at once.

It goes with the job's money, in the same transactions: minutes are taken when a job is accepted, as far as its length is sure,
and for the rest before a chunk is heard; what was heard counts when it ends, and when it fails what was handed out of that.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.session import run_beside
from infra.database.tables.accounts import Account
from infra.database.tables.jobs import Job
from infra.database.tables.money import OpenMinutes
from infra.keys.account_limits import live_jobs, want_room
from infra.keys.tiers import limits_of
from infra.money import quota
from pipeline.transcript import samples_to_ms

RETRY_AFTER = 10  # seconds; nobody knows when a job ends


def admit(session: Session, job: Job, known_ms: int) -> None:
    """A new job of about `known_ms` (0: nobody knows), whose row is in this transaction. Raises LimitExceeded, QuotaExceeded,
    BeyondLimit.
    """
    _take(session, job, max(1, known_ms))
    _want_room(session, job)


def admit_again(session: Session, job: Job) -> None:
    """A new run, which hears only what an earlier one has not. Raises as `admit`."""
    _take(session, job, 1)
    before = samples_to_ms(job.samples_done)
    session.execute(update(OpenMinutes).where(col(OpenMinutes.subject) == job.id).values(before=before))
    _want_room(session, job)


def cover(session: Session, job: Job, ms: int) -> None:
    """The job's first `ms` are about to be heard. Raises QuotaExceeded, BeyondLimit."""
    row = _open(session, job.id)
    if row is not None:
        _take(session, job, ms - row.before - row.taken)


def counts(session: Session, job_id: str) -> bool:
    """Whether what the job hears counts among the minutes of a day."""
    return _open(session, job_id) is not None


def put_off(session: Session, job: Job) -> None:
    """The job goes on tomorrow: what it hears from now on counts then."""
    row = _open(session, job.id)
    if row is not None:
        so_far = samples_to_ms(job.samples_done)
        quota.put_off(session, job.account_id, job.id, max(0, so_far - row.before), so_far)


def settle(session: Session, job: Job, heard_ms: int) -> None:
    """The run ends, or will not go on: `heard_ms` in all have been used. Once more: nothing happens."""
    row = _open(session, job.id)
    if row is not None:
        quota.settle(session, job.id, max(0, heard_ms - row.before))


def count_late(session: Session, job: Job, ms: int) -> None:
    """So much more of a job that has failed is handed out after all. Raises QuotaExceeded."""
    _take(session, job, ms)
    quota.settle(session, job.id, ms)


def _want_room(session: Session, job: Job) -> None:
    """Among the account's live jobs, with which a batch's are not counted. It locks the account's row, which is always the last."""
    if job.batch_id is not None:
        return
    others = live_jobs(job.account_id).where(col(Job.id) != job.id)
    want_room(session, job.account_id, "concurrent_jobs", others, retry_after=RETRY_AFTER)


def _open(session: Session, job_id: str) -> Any:
    return run_beside(session, _OPEN, {"name": job_id}).one_or_none()


def _take(session: Session, job: Job, ms: int) -> None:
    if job.task == "speech":
        return
    account = run_beside(session, _LIMITS, {"account": job.account_id}).one_or_none()
    if account is not None:
        minutes = limits_of(account.tier, account.limits).transcription_minutes_per_day
        quota.take(session, job.account_id, job.id, ms, minutes)


_OPEN = select(col(OpenMinutes.taken), col(OpenMinutes.before)).where(col(OpenMinutes.subject) == bindparam("name"))
_LIMITS = select(col(Account.tier), col(Account.limits)).where(col(Account.id) == bindparam("account"))
