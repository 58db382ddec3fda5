"""What a purged job's row still says: ids, times, numbers, choices from closed lists, and what its caller calls it.

Gone are prompts and other free text, voice samples, names of files, URLs with what is secret in them, and the webhook's secret.
That one stays, sealed, for as long as the news of the job's end is still to be delivered: it could not be signed otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.tables.idempotency import IdempotencyKey
from infra.database.tables.jobs import Job
from infra.database.tables.uploads import Media
from infra.database.tables.webhooks import WebhookMessage
from infra.jobs.transitions import Store
from infra.media import OWN
from infra.outbound.url_policy import shown_url
from infra.webhooks.outbox import JOB_TARGET

# Of a request; an option that is new is gone unless it is written here.
KEPT = frozenset(
    {
        "task", "model", "language", "languages", "response_format", "timestamp_granularities", "temperature", "stream",
        "channels", "audio_track", "range", "speech_gate", "speakers", "speed", "input_format", "input_sample_rate",
        "input_channels", "priority", "complete_by", "max_cost", "timeout_seconds", "retention_seconds", "on_chunk_failure",
        "on_provider_outage",
    }
)  # fmt: skip
GONE = frozenset({"filename", "url", "s3_uri", "sha256"})  # of its input
# What each row is to say is given by its key; what the session holds of it stays as it was read.
CHANGED_JOBS = update(Job).execution_options(synchronize_session=False)
_CHANGED_MESSAGES = update(WebhookMessage).execution_options(synchronize_session=False)
_CHANGED_ANSWERS = update(IdempotencyKey).execution_options(synchronize_session=False)
_UNCLEARED = (col(Job.purged_at).is_not(None), ~col(Job.cleared))


class Clearing(Store):
    """to_clear, cleared."""

    def to_clear(self, limit: int = 100, without: Collection[str] = ()) -> list[str]:
        """Ids of purged jobs that still say more: an older version purged them, or news of them was on its way until now."""
        unheard = _news().where(col(WebhookMessage.job_id) == col(Job.id)).exists()
        left = select(col(Job.id)).where(*_UNCLEARED, ~unheard, col(Job.id).not_in(without))
        with self._database.read() as session:
            return list(session.scalars(left.order_by(col(Job.id)).limit(limit)))

    def cleared(self, job_ids: Collection[str]) -> set[str]:
        """Let the rows of these purged jobs say no more than they may; which: not those that somebody else has at this moment."""
        these = select(Job).where(*_UNCLEARED, col(Job.id).in_(job_ids)).order_by(col(Job.id))
        with self._database.write() as session:
            jobs = session.scalars(these.with_for_update(skip_locked=True)).all()
            if jobs:
                session.execute(CHANGED_JOBS, clear(session, jobs))
        return {job.id for job in jobs}


def clear(session: Session, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """What their rows are to say from now on; what else speaks of them is cleared here.

    The jobs' locks are ours, and what they kept in storage is gone or going.
    """
    told = _news().where(col(WebhookMessage.job_id).in_([job.id for job in jobs]))
    unheard = set(session.scalars(told.with_only_columns(col(WebhookMessage.job_id))))
    _clear_media(session, [job.media_id for job in jobs if job.media_id])
    _clear_answers(session, jobs)
    _clear_messages(session, [job.id for job in jobs if job.id not in unheard])
    return [_row(job, is_heard=job.id not in unheard) for job in jobs]


def _row(job: Job, *, is_heard: bool) -> dict[str, Any]:
    url, secret = job.webhook_url, job.webhook_secret
    return {
        "id": job.id,
        "request": _kept(job.request),
        "input": _without_names(job.input),
        **dict.fromkeys(("source", "blobs", "links", "ignored")),
        "webhook_url": url and shown_url(url) if is_heard else url,
        "webhook_secret": None if is_heard else secret,
        "cleared": is_heard,
    }


def _kept(request: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name in KEPT}


def _without_names(facts: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in facts.items() if name not in GONE}
    if tracks := rest.get("audio_tracks"):
        rest["audio_tracks"] = [{**track, "title": None} for track in tracks]
    return rest


def _news() -> Select[Any]:
    """Messages to a job's own webhook that are still to be sent."""
    return select(col(WebhookMessage.id)).where(
        col(WebhookMessage.target) == JOB_TARGET, col(WebhookMessage.status) == "pending"
    )


def _clear_media(session: Session, ids: Sequence[str]) -> None:
    named = or_(col(Media.filename).is_not(None), col(Media.sha256).is_not(None))
    these = (col(Media.id).in_(ids), col(Media.state).not_in(OWN), named)
    session.execute(select(col(Media.id)).where(*these).order_by(col(Media.id)).with_for_update())
    session.execute(
        update(Media).where(*these).values(filename=None, sha256=None).execution_options(synchronize_session=False)
    )


def _clear_messages(session: Session, ids: Sequence[str]) -> None:
    """Those that were sent, or given up."""
    these = (col(WebhookMessage.job_id).in_(ids), col(WebhookMessage.status) != "pending")
    sent = select(col(WebhookMessage.id), col(WebhookMessage.url)).where(*these).order_by(col(WebhookMessage.id))
    shown = [{"id": name, "url": shown_url(url)} for name, url in session.execute(sent.with_for_update())]
    if shown:
        session.execute(_CHANGED_MESSAGES, shown)


def _clear_answers(session: Session, jobs: Sequence[Job]) -> None:
    """The first answers that are kept for repetitions of their requests: they go on showing that they are there."""
    accounts, ids = {job.account_id for job in jobs}, [job.id for job in jobs]
    these = (col(IdempotencyKey.account_id).in_(accounts), col(IdempotencyKey.object_id).in_(ids))
    answers = session.scalars(select(IdempotencyKey).where(*these).order_by(col(IdempotencyKey.key)).with_for_update())
    rows = [
        {
            **answer.model_dump(include={"account_id", "route", "key"}),
            "response": _cleared_answer(answer.response),
            "parts": None,
        }
        for answer in answers
    ]
    if rows:
        session.execute(_CHANGED_ANSWERS, rows)


def _cleared_answer(response: dict[str, Any]) -> dict[str, Any]:
    webhook = response.get("webhook")
    if webhook:
        webhook = {name: value for name, value in webhook.items() if name != "secret"}
        webhook["url"] = shown_url(str(webhook.get("url") or ""))
    return {
        **response,
        "request": _kept(response.get("request") or {}),
        "input": _without_names(response.get("input") or {}),
        "webhook": webhook,
    }
