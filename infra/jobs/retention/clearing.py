"""What a purged job's row still says: ids, times, numbers, choices from closed lists, and what its caller calls it.

Gone are prompts and other free text, voice samples, names of files, URLs with what is secret in them, and the webhook's secret.
That one stays, sealed, for as long as the news of the job's end is still to be delivered: it could not be signed otherwise.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.tables.idempotency import IdempotencyKey
from infra.database.tables.jobs import Job
from infra.database.tables.uploads import Media
from infra.database.tables.webhooks import WebhookMessage
from infra.jobs.transitions import Store, lock_job
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


class Clearing(Store):
    """to_clear, clear."""

    def to_clear(self, limit: int = 100, after_id: str = "") -> list[str]:
        """Ids of purged jobs that still say more: an older version purged them, or news of them was on its way until now."""
        left = select(col(Job.id)).where(
            col(Job.purged_at).is_not(None), ~col(Job.cleared), ~_news().exists(), col(Job.id) > after_id
        )
        with self._database.read() as session:
            return list(session.scalars(left.order_by(col(Job.id)).limit(limit)))

    def clear(self, job_id: str) -> None:
        """Let a purged job's row say no more than it may."""
        with self._database.write() as session:
            job = lock_job(session, job_id)
            if job is not None and job.purged_at is not None:
                clear(session, job)


def clear(session: Session, job: Job) -> None:
    """The job's lock is ours, and what it kept in storage is gone or going."""
    job.request = _kept(job.request)
    job.input = _without_names(job.input)
    job.source = job.blobs = job.links = job.ignored = None
    media = session.get(Media, job.media_id) if job.media_id else None
    if media is not None and media.state not in OWN:
        media.filename = media.sha256 = None
    _clear_answers(session, job)
    if session.execute(_news().where(col(Job.id) == job.id).limit(1)).first() is not None:
        return
    job.webhook_secret = None
    job.webhook_url = job.webhook_url and shown_url(job.webhook_url)
    sent = select(WebhookMessage).where(col(WebhookMessage.job_id) == job.id, col(WebhookMessage.status) != "pending")
    for message in session.scalars(sent.with_for_update()):
        message.url = shown_url(message.url)
    job.cleared = True


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
        col(WebhookMessage.job_id) == col(Job.id),
        col(WebhookMessage.target) == JOB_TARGET,
        col(WebhookMessage.status) == "pending",
    )


def _clear_answers(session: Session, job: Job) -> None:
    """The first answers that are kept for repetitions of its request: they go on showing that it is there."""
    answers = select(IdempotencyKey).where(
        col(IdempotencyKey.account_id) == job.account_id, col(IdempotencyKey.object_id) == job.id
    )
    for answer in session.scalars(answers).all():
        answer.response, answer.parts = _cleared_answer(answer.response), None


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
