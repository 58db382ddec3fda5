"""The links of jobs: made for the account, revoked by it, opened by anybody who holds one."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from sqlalchemy.orm import Session

from infra.database.clock import read_clock
from infra.database.session import Database
from infra.database.tables.accounts import Account
from infra.database.tables.jobs import Job
from infra.keys.accounts import ACTIVE
from infra.links.new_link import NewLink, add_link, hashed, live_links
from pipeline.errors import Expired, LimitExceeded, NotFound

MOST_LINKS = 100  # of one job that have not expired
UNKNOWN = "There is no such link."
OVER = "The link has expired. Ask whoever gave it to you for a new one."
TOO_MANY = f"The job has {MOST_LINKS} links that have not expired. Revoke some, or wait."


@dataclass(frozen=True)
class Opened:
    """What a link shows; `tier` is that of the job's account."""

    job: Job
    tier: str
    format: str


class JobLinks:
    """create, revoke, open."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, account_id: str, job_id: str, shape: str | None, seconds: float) -> NewLink:
        """Raises NotFound, Expired where there is nothing left to show, LimitExceeded."""
        with self._database.write() as session:
            job, now = _own_job(session, account_id, job_id), read_clock(session)
            if job.purged_at is not None:
                raise Expired("The job's results have been deleted.")
            if (used := len(live_links(job, now))) >= MOST_LINKS:
                raise LimitExceeded(TOO_MANY, param="links", used=used, limit=MOST_LINKS)
            return add_link(job, shape, seconds, now)

    def revoke(self, account_id: str, job_id: str, link_id: str) -> None:
        """From now on nobody knows it. Raises NotFound."""
        with self._database.write() as session:
            job = _own_job(session, account_id, job_id)
            left = [link for link in job.links or () if link["id"] != link_id]
            if len(left) == len(job.links or ()):
                raise NotFound(UNKNOWN)
            job.links = left or None

    def open(self, job_id: str, link_id: str, signature: str) -> Opened:
        """Raises NotFound for anything but a link as it was given out, Expired for one whose time is over."""
        with self._database.read() as session:
            job = session.get(Job, job_id)
            account = session.get(Account, job.account_id) if job is not None else None
            now = read_clock(session)
        if job is None or account is None or account.status != ACTIVE:
            raise NotFound(UNKNOWN)
        link = next((one for one in job.links or () if one["id"] == link_id), None)
        if link is None or not hmac.compare_digest(hashed(signature), str(link["hash"])):
            raise NotFound(UNKNOWN)
        if link["expires_at"] <= now:
            raise Expired(OVER)
        return Opened(job, account.tier, link["format"])


def _own_job(session: Session, account_id: str, job_id: str) -> Job:
    """Locked until the transaction ends. Raises NotFound: unknown and foreign look the same."""
    job = session.get(Job, job_id, with_for_update=True)
    if job is None or job.account_id != account_id:
        raise NotFound("No such job.")
    return job
