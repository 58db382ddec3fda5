"""The job object of the API, made from a job's row."""

from __future__ import annotations

from typing import Any

from infra.database.tables.jobs import Job, JobEvent
from infra.database.tables.webhooks import WebhookAttempt, WebhookMessage
from infra.jobs.queue.queue_position import ARCHIVE
from infra.jobs.request_blobs import shown_request
from infra.jobs.store import QueuePlace
from infra.jobs.timing.phases import timing_of
from infra.jobs.transitions import try_number
from infra.keys.tiers import LOW
from infra.money.job_money import cost_facts, job_usage
from infra.outbound.failures import told_failure
from infra.requests.progress.figures import progress
from infra.requests.progress.message import message_of, retry_after
from infra.requests.usage_object import tokens
from pipeline.lifecycle import TERMINAL, JobStatus, Stage
from pipeline.pricing import tokens_from_dict
from pipeline.quality.omissions import caution_as_dict, findings_from_dict, gaps_of, is_incomplete

MOVES = (
    "created_at",
    "queued_at",
    "processing_at",
    "cancelling_at",
    "completed_at",
    "failed_at",
    "cancelled_at",
    "expired_at",
)
INPUT = ("type", "filename", "bytes", "sha256", "duration", "channels", "codec", "characters", "audio_tracks")
SOUND = ("format", "bytes", "duration")
WAITING = ("code", "message", "param")
ERROR = ("code", "message", "stage", "retryable", "retry_at", "chunk", "provider")
CURRENCY = "usd"


def epoch(value: float | None) -> int | None:
    """Whole epoch seconds."""
    return None if value is None else int(value)


def terminal(job: Job) -> bool:
    """Whether nothing will happen to it any more by itself."""
    return JobStatus(job.status) in TERMINAL


def job_object(
    job: Job, *, now: float, message: WebhookMessage | None = None, place: QueuePlace | None = None, base: str = ""
) -> dict[str, Any]:
    """All keys, always. `now` in epoch seconds; `message` is the job's own webhook message, where one was made; `place` is where
    it stands, where something of it waits; `base` is what its URLs begin with.
    """
    findings, quality = findings_from_dict(job.input.get("findings")), dict(job.quality or {})
    standing = standing_of(job, now=now, place=place)
    warnings = [*map(caution_as_dict, findings.warnings), *quality.pop("warnings", ())]
    return {
        "id": job.id,
        "object": "audio.job",
        "task": job.task,
        "status": job.status,
        **{name: epoch(getattr(job, name)) for name in MOVES},
        **({} if job.complete_by is None else {"complete_by": epoch(job.complete_by)}),
        "client_reference_id": job.client_reference_id,
        **({} if job.batch_id is None else {"batch_id": job.batch_id}),
        "metadata": job.meta or {},
        "input": {name: job.input.get(name) for name in INPUT} | _elsewhere(job),
        "request": shown_request(job),
        "ignored": job.ignored or [],
        "model": job.model,
        "model_used": job.model_used,
        "language": job.language,
        "queue": standing["queue"],
        "progress": standing["progress"],
        "waiting": standing["waiting"],
        "timing": timing_of(job),
        "partial": job.partial,
        "incomplete": is_incomplete(findings),
        "gaps": gaps_of(findings, job.gaps or ()),
        "warnings": warnings,
        "quality": quality or None,
        "usage": _usage(job),
        "sound": None if job.sound is None else {name: job.sound[name] for name in SOUND},
        "cost": cost_facts(job),
        "receipt_url": f"{base}/v1/receipts?job_id={job.id}",
        "error": _error(job),
        "webhook": _webhook(job, message),
        "attempt": try_number(job),
        "expires_at": epoch(job.expires_at),
    }


def standing_of(job: Job, *, now: float, place: QueuePlace | None = None) -> dict[str, Any]:
    """Where it stands, why it waits, in words, too, and when to ask again: `status`, `queue`, `progress`, `waiting`."""
    told: dict[str, Any] = {
        "status": job.status,
        "queue": _queue(job, place),
        "progress": progress(job, now=now),
        "waiting": _waiting(job, now),
    }
    told["progress"] |= {"message": message_of(job, told, now=now), "retry_after": retry_after(told, now=now)}
    return told


def _queue(job: Job, place: QueuePlace | None) -> dict[str, Any] | None:
    """Null unless something waits. A job that was queued this very moment has not been counted yet."""
    if place is None and job.status != JobStatus.QUEUED:
        return None
    place = place or QueuePlace(ARCHIVE if job.priority <= LOW else job.queue)
    ahead = None if place.ahead_ms is None else round(place.ahead_ms / 1000, 1)
    eta = epoch(place.eta) if Stage(job.stage).dependency is None else None  # nobody knows when that comes back
    return {"lane": place.lane, "ahead_audio_seconds": ahead, "eta": eta}


def _usage(job: Job) -> dict[str, Any] | None:
    if job.status != JobStatus.COMPLETED:
        return None
    counted = tokens_from_dict(job.tokens)
    if counted is not None:
        return tokens(counted)
    if job.task == "speech":
        return {"type": "characters", "characters": job.input.get("characters")}
    return {"type": "duration", "seconds": job_usage(job).audio_ms / 1000}


def _elsewhere(job: Job) -> dict[str, Any]:
    return {name: job.input[name] for name in ("url", "file_id", "s3_uri") if name in job.input}


def _error(job: Job) -> dict[str, Any] | None:
    return None if job.error is None else {name: job.error.get(name) for name in ERROR}


def _waiting(job: Job, now: float) -> dict[str, Any] | None:
    """Why nobody works on it until when; null: until something that is away is back."""
    if job.waiting is None or terminal(job):
        return None
    told = {name: job.waiting.get(name) for name in WAITING}
    if Stage(job.stage).dependency is not None:
        return {**told, "until": None}
    return {**told, "until": epoch(job.run_at)} if job.run_at > now else None


def _webhook(job: Job, message: WebhookMessage | None) -> dict[str, Any] | None:
    """Its own, and how far the news of its end got. `status` is null where nobody wanted to know that it ended so."""
    if job.webhook_url is None:
        return None
    return {
        "url": job.webhook_url,
        "status": message.status if message else None if terminal(job) else "pending",
        "delivery_id": message.id if message else None,
        "attempts": message.attempts if message else 0,
        "last_status": message.last_status if message else None,
        "error": told_failure(message.last_error, message.last_status) if message else None,
        "delivered_at": epoch(message.delivered_at) if message else None,
        "next_attempt_at": epoch(message.next_attempt_at) if message else None,
    }


def event_object(event: JobEvent) -> dict[str, Any]:
    """One line of the timeline. `at` keeps its fraction: events of one second have an order."""
    return {
        "id": event.id,
        "object": "audio.job.event",
        "type": event.type,
        "created_at": epoch(event.at),
        "at": round(event.at, 3),
        "data": event.data or {},
    }


def delivery_object(message: WebhookMessage, attempts: list[WebhookAttempt]) -> dict[str, Any]:
    """One webhook message with what it says, and every attempt to send it."""
    return {
        "id": message.id,
        "object": "webhook.delivery",
        "type": message.type,
        "job_id": message.job_id,
        "webhook_endpoint_id": message.endpoint_id,
        "url": message.url,
        "status": message.status,
        "created_at": epoch(message.created_at),
        "delivered_at": epoch(message.delivered_at),
        "next_attempt_at": epoch(message.next_attempt_at),
        "last_status": message.last_status,
        "error": told_failure(message.last_error, message.last_status),
        "body": message.body.decode("utf-8", "replace"),
        "attempts": [_attempt(attempt) for attempt in attempts],
    }


def _attempt(attempt: WebhookAttempt) -> dict[str, Any]:
    return {
        "n": attempt.n,
        "started_at": round(attempt.started_at, 3),
        "duration_ms": attempt.duration_ms,
        "status_code": attempt.status_code,
        "error": told_failure(attempt.error, attempt.status_code),
        "response_excerpt": attempt.response_excerpt,
    }
