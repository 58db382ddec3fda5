"""The job object of the API, made from a job's row."""

from __future__ import annotations

from typing import Any

from infra.database.tables import Job, JobEvent, WebhookAttempt, WebhookMessage
from infra.jobs.queue.queue_position import ARCHIVE
from infra.jobs.request_blobs import shown_request
from infra.jobs.store import QueuePlace
from infra.jobs.transitions import try_number
from infra.keys.tiers import LOW
from infra.money.job_money import cost_facts, job_usage
from infra.requests.usage_object import tokens
from pipeline.lifecycle import TERMINAL, JobStatus, Stage
from pipeline.pricing import tokens_from_dict
from pipeline.quality.omissions import caution_as_dict, findings_from_dict, gaps_of, is_incomplete
from pipeline.transcript import SAMPLE_RATE

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
HEARD_PERCENT = 99.0  # with the last chunk heard: the rest is for stitching and publishing
SECONDS_PER_CHUNK = (
    0.02  # to read its result, stitch and write it again: 233 chunks of 103 minutes take some 4 s from S3
)
ENCODING_SPEED = 50  # seconds of sound a second


def epoch(value: float | None) -> int | None:
    """Whole epoch seconds."""
    return None if value is None else int(value)


def terminal(job: Job) -> bool:
    """Whether nothing will happen to it any more by itself."""
    return JobStatus(job.status) in TERMINAL


def job_object(
    job: Job, *, now: float, message: WebhookMessage | None = None, place: QueuePlace | None = None
) -> dict[str, Any]:
    """All keys, always. `now` in epoch seconds; `message` is the job's own webhook message, where one was made; `place` is where
    it stands, where something of it waits.
    """
    findings, quality = findings_from_dict(job.input.get("findings")), dict(job.quality or {})
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
        "model": job.model,
        "model_used": job.model_used,
        "language": job.language,
        "queue": _queue(job, place),
        "progress": progress(job, now=now),
        "waiting": _waiting(job, now),
        "partial": job.partial,
        "incomplete": is_incomplete(findings),
        "gaps": gaps_of(findings, job.gaps or ()),
        "warnings": warnings,
        "quality": quality or None,
        "usage": _usage(job),
        "sound": None if job.sound is None else {name: job.sound[name] for name in SOUND},
        "cost": cost_facts(job),
        "receipt_url": f"/v1/receipts?job_id={job.id}",
        "error": _error(job),
        "webhook": _webhook(job, message),
        "attempt": try_number(job),
        "expires_at": epoch(job.expires_at),
    }


def _queue(job: Job, place: QueuePlace | None) -> dict[str, Any] | None:
    """Null unless something waits. A job that was queued this very moment has not been counted yet."""
    if place is None and job.status != JobStatus.QUEUED:
        return None
    place = place or QueuePlace(ARCHIVE if job.priority <= LOW else job.queue)
    ahead = None if place.ahead_ms is None else round(place.ahead_ms / 1000, 1)
    eta = epoch(place.eta) if Stage(job.stage).dependency is None else None  # nobody knows when that comes back
    return {"lane": place.lane, "ahead_audio_seconds": ahead, "eta": eta}


def progress(job: Job, *, now: float) -> dict[str, Any]:
    """How far it is; what is not known yet is null."""
    total = _total_samples(job)
    done = job.status == JobStatus.COMPLETED
    expected = _expected_samples(job) if total is None else total
    share = 1.0 if done else min(1.0, job.samples_done / expected) if expected else 0.0
    return {
        "stage": job.stage,
        "percent": 100.0 if done else min(HEARD_PERCENT, round(100 * share, 1)),
        **_counted(job, total, done=done),
        "chunks": {
            "total": job.chunks_total if job.cut_done else None,
            "completed": job.chunks_completed,
            "failed": job.chunks_failed,
            "retried": job.chunks_retried,
        },
        "eta_seconds": _eta(job, share, now),
    }


def _counted(job: Job, total: int | None, *, done: bool) -> dict[str, Any]:
    """A recording in seconds, a text in characters: what its chunks count."""
    reached = (total or 0) if done else job.samples_done
    if job.task == "speech":
        return {"characters_done": reached, "characters_total": job.input.get("characters")}
    return {
        "audio_seconds_done": round(reached / SAMPLE_RATE, 3),
        "audio_seconds_total": None if total is None else round(total / SAMPLE_RATE, 3),
    }


def _total_samples(job: Job) -> int | None:
    """Of sound to be heard, which is less than the clock shows where that has holes."""
    return job.audio_samples if job.cut_done or job.input.get("duration") else None


def _expected_samples(job: Job) -> int:
    """What the recording says that it lasts, until it is decoded to its end: for percent and ETA only."""
    expected = int(job.input.get("expected_ms") or 0) * _times_heard(job) * SAMPLE_RATE // 1000
    return max(expected, job.audio_samples) if expected else 0


def _times_heard(job: Job) -> int:
    """How often its recording is heard: once for each track and channel that is heard by itself."""
    tracks, channels = job.input.get("audio_tracks") or [], int(job.input.get("channels") or 1)
    apart = job.request.get("channels") == "separate"
    if job.request.get("audio_track") == "all" and tracks:
        return sum(track["channels"] or 1 if apart else 1 for track in tracks)
    return channels if apart else 1


def _eta(job: Job, share: float, now: float) -> int | None:
    """The rest at the speed so far, and the steps after the last chunk; unknown before the first chunk is done."""
    if terminal(job):
        return 0
    if Stage(job.stage).dependency is not None:
        return None
    if not share or job.processing_at is None:
        return None
    hearing = 0.0 if _is_heard(job) else (now - job.processing_at) * (1 - share) / share
    return max(1, round(hearing + _finishing_seconds(job)))


def _is_heard(job: Job) -> bool:
    return job.cut_done and job.chunks_completed + job.chunks_failed >= job.chunks_total


def _finishing_seconds(job: Job) -> float:
    """What reading the chunks' results, stitching and publishing take; a spoken text is encoded as well."""
    encoding = job.size_ms / 1000 / ENCODING_SPEED if job.task == "speech" else 0.0
    return job.chunks_total * SECONDS_PER_CHUNK + encoding


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
    if job.webhook_url is None:
        return None
    return {
        "url": job.webhook_url,
        "last_status": message.last_status if message else None,
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
        "body": message.body.decode("utf-8", "replace"),
        "attempts": [_attempt(attempt) for attempt in attempts],
    }


def _attempt(attempt: WebhookAttempt) -> dict[str, Any]:
    return {
        "n": attempt.n,
        "started_at": round(attempt.started_at, 3),
        "duration_ms": attempt.duration_ms,
        "status_code": attempt.status_code,
        "error": attempt.error,
        "response_excerpt": attempt.response_excerpt,
    }
