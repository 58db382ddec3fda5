"""Outages: what work needs, and is away. That is weather, and no attempt: the work is given back, and waits.

An outage is a row, one for each `place` that may be away. Whatever fails for it waits without a time of its own. For all of them
one piece of work at a time is due again, after pauses that grow up to PAUSES[-1] seconds, whether or not anybody took the one
before; the first that gets through, or any other work that does, ends the outage, and everything that waited is due at once.
Whoever waits ends at its job's deadline, for want of what it waited for.

A provider that answers others and never this piece of work is not away: then the piece has failed.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.session import run
from infra.database.tables.jobs import Chunk, Job
from infra.database.tables.shares import Outage
from infra.jobs.job_walk import JobWalk
from infra.jobs.transitions import Lease, all_heard, held_chunk, held_job, note, put_back, put_chunk_back
from infra.webhooks.outbox import announce_wait
from pipeline.errors import DeadlineExceeded
from pipeline.lifecycle import LIVE, ChunkStatus, Dependency, JobStatus, Stage

PAUSES = (1.0, 2.0, 4.0, 8.0, 10.0)  # seconds before the first try, the second …
AT_LAST = 600.0  # seconds until work is due once more of itself, should nobody end the outage
_CANDIDATES = 5
_TOLD = ("code", "message", "param", "provider")


class Outages(JobWalk):
    """wait, hold_on, answered, away, probe_outages, end_waits."""

    def wait(
        self,
        lease: Lease,
        kind: Dependency,
        place: str,
        error: dict[str, Any],
        *,
        suspect: bool = False,
        retry_after: float = 0.0,
    ) -> bool:
        """Give the work back, to be tried again when `place` is no longer away. Raises LeaseLost when fenced.

        `suspect`: the failure may be the work's own. False: it is, because the place answers others; nothing has happened.
        """
        with self._database.write() as session:
            job, chunk = _held(session, lease)
            time, piece = read_clock(session), chunk or job
            outage = _lock_outage(session, place)
            if suspect and _answers_others(outage, piece):
                return False
            if outage.since is None:
                outage.since, outage.pause, outage.probe_at = time, PAUSES[0], time + PAUSES[0]
            outage.probe_at = max(outage.probe_at or 0, time + retry_after)
            again = piece.waits_for == place and (piece.waits_since or 0) >= outage.since
            piece.waits_for, piece.waits_since = place, time
            if chunk is not None:
                put_chunk_back(chunk, time + AT_LAST)
            else:
                put_back(job, time + AT_LAST)
            tell_wait(session, job, kind, error, time, quiet=again)
        return True

    def hold_on(self, lease: Lease, kind: Dependency, error: dict[str, Any]) -> None:
        """The work waits with its lease in hand, because what it has would be lost otherwise. Raises LeaseLost when fenced."""
        with self._database.write() as session:
            job, _ = _held(session, lease)
            tell_wait(session, job, kind, error, read_clock(session))

    def answered(self, places: Collection[str]) -> bool:
        """Work has got through: these are not away. True: one of them was thought to be."""
        with self._database.read() as session:
            away = {place for (place,) in run(session, _PLACES_AWAY, {})} & set(places)
        if not away:
            return False
        with self._database.write() as session:
            ending = update(Outage).where(col(Outage.place).in_(away), _AWAY).values(since=None, worked_at=now())
            session.execute(ending)
        return True

    def away(self) -> dict[str, float]:
        """What work waits for, and for how many seconds it has been away."""
        outages = select(col(Outage.place), now() - col(Outage.since)).where(_AWAY).order_by(col(Outage.place))
        with self._database.read() as session:
            return {place: round(max(0.0, seconds), 1) for place, seconds in session.execute(outages)}

    def probe_outages(self) -> int:
        """For each place that is away and whose next try is due: one piece of work that waits for it is due. Returns how many."""
        with self._database.read() as session:
            due = list(session.scalars(select(col(Outage.place)).where(_AWAY, col(Outage.probe_at) <= now())))
        return sum(self._probe(place) for place in due)

    def end_waits(self, limit: int = 100) -> int:
        """What waits for a place that is no longer away is due. Returns how many jobs go on."""
        with self._database.read() as session:
            over = [_over(row) for row in (Job, Chunk)]
            if not any(session.execute(select(exists().where(one))).scalar_one() for one in over):
                return 0
        jobs = select(col(Job.id)).where(_over(Job))
        with_chunks = select(col(Job.id)).where(col(Job.id).in_(select(col(Chunk.job_id)).where(_over(Chunk))))
        return sum(sum(self._each(ids, limit, _go_on).values()) for ids in (jobs, with_chunks))

    def _probe(self, place: str) -> int:
        with self._database.write() as session:
            outage = _lock_outage(session, place)
            time = read_clock(session)
            if outage.since is None or (outage.probe_at or 0) > time:
                return 0
            outage.pause = next((pause for pause in PAUSES if pause > outage.pause), PAUSES[-1])
            outage.probe_at = time + outage.pause
            candidates = _waiting(session, place, time)
            if not candidates and not _anybody_waits(session, place):
                outage.since = None  # the row stays: others may be about to lock it
        return next((1 for job_id in candidates if self._try(job_id, partial(_ask, place))), 0)


def tell_wait(
    session: Session, job: Job, kind: Dependency, error: dict[str, Any], now: float, *, quiet: bool = False
) -> None:
    """Whoever looks at the job sees what it waits for. `quiet`: that was told when it began to."""
    stage = Stage.waiting_for(kind)
    job.waiting = {name: error.get(name) for name in _TOLD}
    if job.stage != stage:
        job.stage = stage
        job.version += 1
        if not quiet:
            note(session, job, stage, now, error=error)
            announce_wait(session, job, now)


def told_to_go_on(job: Job) -> bool:
    """It waits no longer. False: it did not."""
    if Stage(job.stage).dependency is None:
        return False
    job.waiting = None
    job.version += 1
    if job.status == JobStatus.QUEUED:
        job.stage = Stage.WAITING
    elif all_heard(job):
        job.stage = Stage.STITCHING
    else:
        job.stage = Stage.TRANSCRIBING if job.cut_done else Stage.PREPARING
    return True


def overdue_error(job: Job) -> dict[str, Any]:
    """Why its time was over before it was done: what it waited for, where it did."""
    waits = Stage(job.stage).dependency is not None or job.waits_for is not None  # one that asks at this moment, too
    if not waits or not job.waiting:
        return DeadlineExceeded(stage=job.stage).as_dict()
    known = {name: value for name, value in job.waiting.items() if value is not None}
    kind = Stage(job.stage).dependency or Dependency(str(job.waits_for).split(maxsplit=1)[0])
    return {**known, "retryable": True, "stage": Stage.waiting_for(kind)}


def _held(session: Session, lease: Lease) -> tuple[Job, Chunk | None]:
    return (held_job(session, lease), None) if lease.idx is None else held_chunk(session, lease)


def _lock_outage(session: Session, place: str) -> Outage:
    """The last row that a transaction locks."""
    kind = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    session.execute(kind.insert(Outage).values(place=place, pause=0.0).on_conflict_do_nothing())
    return session.scalars(select(Outage).where(col(Outage.place) == place).with_for_update()).one()


def _answers_others(outage: Outage, piece: Job | Chunk) -> bool:
    """Whether it has come back since this work failed for it, and is not away again."""
    known = outage.since is None and outage.worked_at is not None and piece.waits_since is not None
    return known and (outage.worked_at or 0) > (piece.waits_since or 0)


def _over(row: type[Job | Chunk]) -> ColumnElement[bool]:
    """Waits for something that is not away."""
    away = exists().where(col(Outage.place) == col(row.waits_for), _AWAY)
    waits = (col(row.waits_for).is_not(None), col(row.run_at) > now(), col(row.lease_token).is_(None))
    return and_(*waits, col(row.status).in_((ChunkStatus.PENDING, *LIVE)), ~away)


def _waiting(session: Session, place: str, time: float) -> list[str]:
    """Jobs of which something waits for it, by when that was last tried; a few of them.

    What is due already is none of them: it was asked before, and nobody has taken it. Its role may have no worker, or its lane no
    turn, and the others are not to wait for that.
    """
    found: list[tuple[float, str]] = []
    for row, job_id, alive in (
        (Job, col(Job.id), col(Job.status).in_(LIVE)),
        (Chunk, col(Chunk.job_id), col(Chunk.status) == ChunkStatus.PENDING),
    ):
        these = select(col(row.waits_since), job_id).where(col(row.waits_for) == place, alive)
        idle = (
            these.where(col(row.lease_token).is_(None), col(row.run_at) > time)
            .order_by(col(row.waits_since))
            .limit(_CANDIDATES)
        )
        found += [(since or 0.0, found_id) for since, found_id in session.execute(idle)]
    return [job_id for _, job_id in sorted(found)]


def _anybody_waits(session: Session, place: str) -> bool:
    """Those that try at this moment among them."""
    jobs = exists().where(col(Job.waits_for) == place, col(Job.status).in_(LIVE))
    trying = (ChunkStatus.PENDING, ChunkStatus.RUNNING)
    chunks = exists().where(col(Chunk.waits_for) == place, col(Chunk.status).in_(trying))
    return bool(session.execute(select(jobs | chunks)).scalar_one())


def _ask(place: str, session: Session, job: Job, time: float) -> int:
    """Let one piece of the job's work be due."""
    if job.waits_for == place and job.lease_token is None and job.status in LIVE and job.run_at > time:
        job.run_at = time
        return 1
    pending = (col(Chunk.job_id) == job.id, col(Chunk.status) == ChunkStatus.PENDING, col(Chunk.run_at) > time)
    waiting = select(Chunk).where(*pending, col(Chunk.waits_for) == place)
    longest = waiting.order_by(col(Chunk.waits_since), col(Chunk.idx)).limit(1)
    chunk = session.scalars(longest.with_for_update()).one_or_none()
    if chunk is None:
        return 0
    chunk.run_at = time
    return 1


def _go_on(session: Session, job: Job, time: float) -> int:
    """Everything of the job that waits for nothing any more is due."""
    if session.execute(select(exists().where(col(Job.id) == job.id, _over(Job)))).scalar_one():
        job.run_at = time
    mine = col(Chunk.job_id) == job.id
    for chunk in session.scalars(select(Chunk).where(mine, _over(Chunk)).order_by(col(Chunk.idx)).with_for_update()):
        chunk.run_at = time
    session.flush()
    pending = col(Chunk.status) == ChunkStatus.PENDING
    waits = exists().where(mine, pending, col(Chunk.waits_for).is_not(None), col(Chunk.run_at) > time)
    if job.run_at > time or session.execute(select(waits)).scalar_one():
        return 1
    if told_to_go_on(job):
        note(session, job, "resumed", time)
    return 1


_AWAY: ColumnElement[bool] = col(Outage.since).is_not(None)
_PLACES_AWAY = select(col(Outage.place)).where(_AWAY)  # built once: all work that is done asks
