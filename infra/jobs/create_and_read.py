"""Create jobs and read them."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Select, String, case, cast, delete, or_, select, tuple_
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import read_clock
from infra.database.ids import new_id
from infra.database.tables.jobs import Chunk, Job, JobEvent
from infra.database.tables.storage import Erasure
from infra.database.tables.uploads import Media
from infra.database.tables.webhooks import WebhookMessage
from infra.encryption.secret_box import SecretBox
from infra.idempotency import Idempotency, create_once
from infra.jobs.stored_bytes import count_new
from infra.jobs.transitions import Store, note, size_ms
from infra.keys.tiers import NORMAL
from infra.media import want_stored
from infra.money.job_minutes import admit
from infra.money.job_money import Terms, hold
from infra.tracing.spans import traceparent
from infra.webhooks.outbox import JOB_TARGET
from pipeline.errors import InvalidRequest, NotFound
from pipeline.lifecycle import TERMINAL, JobStatus, Stage

MARKS_AT_ONCE = 500  # jobs in one statement
UNDER_WAY = "+"


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """What a door knows about a job it wants made. Times in seconds."""

    account_id: str
    task: str
    model: str
    key_id: str | None = None
    request: dict[str, Any] = field(default_factory=dict)  # the caller's options, verbatim
    media: Media | None = None
    input: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] | None = None  # url and headers to fetch; its row seals them, and the webhook's secret
    client_reference_id: str | None = None
    meta: dict[str, str] | None = None
    priority: int = NORMAL
    complete_by: float | None = None  # epoch seconds
    queue: str = "cpu"
    webhook_url: str | None = None
    webhook_events: list[str] | None = None  # None: every type
    webhook_secret: str | None = None
    webhook_link: dict[str, Any] | None = None  # its result is named by a link like this
    ignored: list[str] | None = None  # names in the request that nobody reads
    timeout_seconds: float | None = None
    retention_seconds: float | None = None
    request_id: str | None = None
    terms: Terms | None = None  # None: it costs nothing
    known_ms: int = 0  # of sound to be heard, as far as anybody knows
    blobs: dict[str, Any] | None = None  # where large values of `request` are: key, bytes, shown
    job_id: str | None = None  # where blobs are stored under it already
    batch_id: str | None = None  # whose line it is
    trace: str | None = field(default_factory=traceparent)  # of the request that is being answered


_NO_COLUMNS = ("media", "terms", "known_ms", "job_id")


class JobMark(NamedTuple):
    """By what one sees that a job has changed; `told` is how far its own webhook got, as `told_mark` says it, once it has ended."""

    version: int
    status: str
    told: str | None


Within = Callable[[Session, Job], None]  # something of somebody else's that belongs into the same transaction


class JobRows(Store):
    """Create, get, find, list, events, chunks."""

    def create(
        self, new: NewJob, idempotency: Idempotency | None = None, *, within: Within | None = None
    ) -> tuple[Job, dict[str, Any] | None]:
        """(job, None), or (the first job, its first answer) when the key was used with the same fingerprint.

        The job and the money held for it are there together, or neither is. Raises IdempotencyConflict for another
        fingerprint, InputMissing when the media is not (or no longer) stored, InsufficientBalance, LimitExceeded,
        what `within` raises.
        """
        insert = partial(_insert, new=_sealed(new, self._secrets))
        pay = partial(_pay, known_ms=new.known_ms, within=within)
        return create_once(
            self._database, new.account_id, idempotency, Job, insert, afterwards=pay, secrets=self._secrets
        )

    def get(self, account_id: str, job_id: str) -> Job:
        """Raises NotFound: unknown and foreign look the same."""
        with self._database.read() as session:
            return _own(session, account_id, job_id)

    def marks(self, job_ids: Collection[str]) -> dict[str, JobMark]:
        """Of any accounts' jobs, for those who wait for them; a deleted job has none. One small query for all of them."""
        wanted, found = builtins.list(job_ids), dict[str, JobMark]()
        with self._database.read() as session:
            for start in range(0, len(wanted), MARKS_AT_ONCE):
                some = col(Job.id).in_(wanted[start : start + MARKS_AT_ONCE])
                found |= {
                    row.id: JobMark(row.version, row.status, row.told) for row in session.execute(_MARKS.where(some))
                }
        return found

    def find(self, job_id: str) -> Job | None:
        """Any account's job, for workers; None when it was deleted."""
        with self._database.read() as session:
            return session.get(Job, job_id)

    def list(
        self,
        account_id: str,
        *,
        limit: int = 20,
        after: str | None = None,
        before: str | None = None,
        order: Literal["asc", "desc"] = "desc",
        status: str | None = None,
        task: str | None = None,
        model: str | None = None,
        client_reference_id: str | None = None,
        batch_id: str | None = None,
        ids: Collection[str] | None = None,
        references: Collection[str] | None = None,
        search: str | None = None,
        created_after: float | None = None,
        created_before: float | None = None,
    ) -> tuple[builtins.list[Job], bool]:
        """A page by creation time, and whether more follows it (with `before`: precedes it); of a batch only where it, or the job,
        is named.

        Raises InvalidRequest for a cursor that is not one of the account's jobs.
        """
        wanted = {"status": status, "task": task, "model": model, "client_reference_id": client_reference_id}
        statement = select(Job).where(
            col(Job.account_id) == account_id,
            *_of_batch(batch_id, ids),
            *(getattr(Job, name) == value for name, value in wanted.items() if value is not None),
            *((_holds(search),) if search else ()),
        )
        if references is not None:
            statement = statement.where(col(Job.client_reference_id).in_(references))
        if created_after is not None:
            statement = statement.where(col(Job.created_at) > created_after)
        if created_before is not None:
            statement = statement.where(col(Job.created_at) < created_before)
        with self._database.read() as session:
            for name, cursor, forwards in (("after", after, True), ("before", before, False)):
                if cursor is not None:
                    statement = statement.where(
                        _beyond(session, account_id, name, cursor, forwards == (order == "asc"))
                    )
            # The page next to `before` is read backwards from it.
            backwards = before is not None and after is None
            page = _ordered(statement, (order == "desc") != backwards).limit(limit + 1)
            rows = session.scalars(page).all()
        jobs = builtins.list(rows[:limit])
        return jobs[::-1] if backwards else jobs, len(rows) > limit

    def events(self, account_id: str, job_id: str, after_id: int = 0, limit: int = 1000) -> builtins.list[JobEvent]:
        """The audit timeline. Raises NotFound."""
        timeline = select(JobEvent).where(col(JobEvent.job_id) == job_id, col(JobEvent.id) > after_id)
        with self._database.read() as session:
            _own(session, account_id, job_id)
            return builtins.list(session.scalars(timeline.order_by(col(JobEvent.id)).limit(limit)))

    def chunks(self, job_id: str) -> builtins.list[Chunk]:
        """All chunk rows in index order."""
        rows = select(Chunk).where(col(Chunk.job_id) == job_id).order_by(col(Chunk.idx))
        with self._database.read() as session:
            return builtins.list(session.scalars(rows))


def _of_batch(batch_id: str | None, ids: Collection[str] | None) -> Iterator[ColumnElement[bool]]:
    if ids is not None:
        yield col(Job.id).in_(ids)
    if batch_id is not None:
        yield col(Job.batch_id) == batch_id
    elif ids is None:
        yield col(Job.batch_id).is_(None)


def told_mark(message: WebhookMessage) -> str:
    """How far it got: "attempts.status", and whether it is being sent, so that every attempt changes it twice."""
    return f"{message.attempts}.{message.status}{UNDER_WAY if message.lease_token is not None else ''}"


def _holds(text: str) -> ColumnElement[bool]:
    """Whether that stands in one of the names by which people know the job, in capitals or not."""
    given = col(Job.input)
    names = (
        col(Job.id),
        col(Job.client_reference_id),
        given["filename"].as_string(),
        given["url"].as_string(),
    )
    return or_(*(name.icontains(text, autoescape=True) for name in names))


def _told() -> ColumnElement[str | None]:
    """As the API's `_message` chooses it: the newest message to the job's own webhook."""
    newest = (col(WebhookMessage.created_at).desc(), col(WebhookMessage.id).desc())
    being_sent = case((col(WebhookMessage.lease_token).is_not(None), UNDER_WAY), else_="")
    sent = cast(col(WebhookMessage.attempts), String) + "." + col(WebhookMessage.status) + being_sent
    own = (col(WebhookMessage.job_id) == col(Job.id), col(WebhookMessage.target) == JOB_TARGET)
    message = select(sent).where(*own).order_by(*newest).limit(1).scalar_subquery()
    return case((col(Job.webhook_url).is_not(None) & col(Job.status).in_(TERMINAL), message))


_MARKS = select(col(Job.id), col(Job.version), col(Job.status), _told().label("told"))


def _own(session: Session, account_id: str, job_id: str) -> Job:
    job = session.get(Job, job_id)
    if job is None or job.account_id != account_id:
        raise NotFound("No such job.")
    return job


def _sealed(new: NewJob, secrets: SecretBox) -> NewJob:
    """As the row keeps what is secret of it."""
    return replace(
        new,
        source=new.source and secrets.seal_object(new.source),
        webhook_secret=new.webhook_secret and secrets.seal(new.webhook_secret),
    )


def _insert(session: Session, new: NewJob) -> Job:
    time = read_clock(session)
    want_stored(session, new.media)
    given = {name: getattr(new, name) for name in NewJob.__dataclass_fields__ if name not in _NO_COLUMNS}
    job = Job(
        id=new.job_id or new_id("job"),
        **given,
        **(new.terms.columns() if new.terms else {}),
        media_id=new.media.id if new.media else None,
        kept=True,  # as count_new counts it
        status=JobStatus.QUEUED,
        stage=Stage.WAITING,
        run_at=time,
        created_at=time,
        queued_at=time,
        size_ms=size_ms(new.task, new.input, new.terms.audio_ms if new.terms else None),
        deadline_at=None if new.timeout_seconds is None else time + new.timeout_seconds,
    )
    session.add(job)
    session.flush()
    note(session, job, "created", time)
    return job


def _pay(session: Session, job: Job, known_ms: int, within: Within | None) -> None:
    """After the idempotency key is ours: of many creations with one key only one asks for room, minutes and money."""
    admit(session, job, known_ms)
    count_new(session, job)
    if job.blobs:
        session.execute(delete(Erasure).where(col(Erasure.place) == job.blobs["key"]))
    if within is not None:
        within(session, job)
    hold(session, job)


def _beyond(session: Session, account_id: str, name: str, cursor: str, later: bool) -> ColumnElement[bool]:
    try:
        job = _own(session, account_id, cursor)
    except NotFound as error:
        raise InvalidRequest(f"No such job: {name}={cursor}", param=name) from error
    key = tuple_(col(Job.created_at), col(Job.id))
    return key > (job.created_at, job.id) if later else key < (job.created_at, job.id)


def _ordered(statement: Select[Job], descending: bool) -> Select[Job]:
    keys = (col(Job.created_at), col(Job.id))
    return statement.order_by(*(key.desc() if descending else key.asc() for key in keys))
