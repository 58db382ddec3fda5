"""The outbox: what callers are to be told, written in the transaction that makes it true.

A message's bytes are fixed when it is written, and its id is the webhook-id of every attempt. (subject, type, target) is
unique: one message per run of a job and target, whatever happens, and one for each time that it begins to wait for something.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import and_, bindparam, or_, select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.ids import new_id
from infra.database.session import PUBLIC_URL
from infra.database.tables.batches import Batch
from infra.database.tables.jobs import Job
from infra.database.tables.webhooks import WebhookEndpoint, WebhookMessage
from infra.links.new_link import AUDIO, add_link
from infra.money.job_money import cost_facts
from infra.webhooks.receivers import receiver_of
from pipeline.lifecycle import JobStatus
from pipeline.quality.omissions import findings_from_dict, is_incomplete

JOB_TARGET = "job"  # the webhook that came with the job, as opposed to one of the account's endpoints
JOB_EVENTS = tuple(
    f"audio.job.{status}" for status in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED)
)
PROCESSING_EVENT = "audio.job.processing"
WAITING_EVENT = "audio.job.waiting"
ON_REQUEST = (PROCESSING_EVENT, WAITING_EVENT)  # for those alone who ask for them by name
BALANCE_LOW = "balance.low"
BATCH_TARGET = "batch"  # the webhook that came with a bulk run
BATCH_EVENTS = ("batch.completed", "batch.failed", "batch.cancelled", "batch.expired")
BULK_EVENTS = ("audio.bulk.completed", "audio.bulk.failed", "audio.bulk.cancelled")
FAILING_EVENT, DISABLED_EVENT = "webhook_endpoint.failing", "webhook_endpoint.disabled"
TEST_EVENT = "webhook.test"
EVENT_TYPES = (
    *JOB_EVENTS, *ON_REQUEST, *BATCH_EVENTS, *BULK_EVENTS, BALANCE_LOW, FAILING_EVENT, DISABLED_EVENT, TEST_EVENT,
)  # fmt: skip
FAILING = "failing"  # why an endpoint is disabled whose events are kept
LISTENING = "listening"  # the status of who follows the event stream, and of what waits to be read there


def announce(session: Session, job: Job, now: float) -> None:
    """Tell the job's webhook and the account's active endpoints that this run of the job has ended."""
    session.add_all(_messages(session, job, f"audio.job.{job.status}", f"{job.id}/{job.run}", now=now))


def announce_begin(session: Session, job: Job, now: float) -> None:
    """Tell those who have asked for it by name that this run of the job is being worked on; once, however often it is claimed."""
    subject = f"{job.id}/{job.run}"
    told = (col(WebhookMessage.subject) == subject, col(WebhookMessage.type) == PROCESSING_EVENT)
    messages = _messages(session, job, PROCESSING_EVENT, subject, now=now)
    if messages and session.execute(select(col(WebhookMessage.id)).where(*told).limit(1)).first() is None:
        session.add_all(messages)


def announce_wait(session: Session, job: Job, now: float) -> None:
    """Tell those who have asked for it by name that the job waits for something that is away."""
    waiting = {"waiting": {"stage": str(job.stage), **(job.waiting or {})}}
    subject = f"{job.id}/{job.run}/{job.version}"
    session.add_all(_messages(session, job, WAITING_EVENT, subject, now=now, more=waiting))


def _messages(
    session: Session, job: Job, kind: str, subject: str, *, now: float, more: dict[str, Any] | None = None
) -> list[WebhookMessage]:
    """For the job's own webhook, and for the account's endpoints: those hear of a batch, and not fifty thousand times of its
    jobs."""
    own = job.webhook_url is not None and wants(job.webhook_events, kind)
    wanting = subscribers(session, job.account_id, kind) if job.batch_id is None else []
    if not own and not wanting:
        return []
    data = job_facts(job, base_url(session)) | (more or {})
    to_endpoints = [endpoint_message(one, kind, now, data, subject=subject, job_id=job.id) for one in wanting]
    if not own:
        return to_endpoints
    told = data | _linked(session, job, now)
    return [_to_url(job, kind, now, told, target=JOB_TARGET, subject=subject), *to_endpoints]


def _linked(session: Session, job: Job, now: float) -> dict[str, str]:
    """In place of an address that wants a key, where the job's own webhook has asked for that."""
    if job.webhook_link is None or job.status != JobStatus.COMPLETED:
        return {}
    link = add_link(job, job.webhook_link["format"], job.webhook_link["expires_in"], now)
    return {"audio_url" if link.format == AUDIO else "transcript_url": base_url(session) + link.path}


def subscribers(session: Session, account_id: str, kind: str) -> list[WebhookEndpoint]:
    """Of the account's endpoints those that want to hear of such an event: active ones, ones that were disabled because they
    failed, and those of `stenopool listen`."""
    active = session.scalars(_ACTIVE, {"account": account_id})
    return [endpoint for endpoint in active if wants(endpoint.event_types, kind)]


def wants(types: list[str] | None, kind: str) -> bool:
    """Whether a subscription covers an event type; none given means every type but those that are for who asks by name."""
    return kind in (types or ()) or (kind not in ON_REQUEST and (not types or "*" in types))


def endpoint_message(
    endpoint: WebhookEndpoint,
    kind: str,
    now: float,
    data: dict[str, Any],
    *,
    subject: str | None = None,
    job_id: str | None = None,
    once: bool = False,
) -> WebhookMessage:
    """An event for one of the account's endpoints; due at once, or kept for a replay where the endpoint is disabled.

    `subject`: what it is about, if that has an id. `once`: a test, which is sent to a disabled endpoint, too, and not again.
    """
    message_id = new_id("evt")
    status = "pending" if once else _STATUS_FOR.get(endpoint.status, "dropped")
    return WebhookMessage(
        id=message_id,
        account_id=endpoint.account_id,
        job_id=job_id,
        subject=subject or message_id,
        target=endpoint.id,
        endpoint_id=endpoint.id,
        receiver=endpoint.id,
        type=kind,
        url=endpoint.url,
        body=event_body(message_id, kind, now, data),
        status=status,
        once=once,
        next_attempt_at=now if status == "pending" else None,
        last_error="endpoint_disabled" if status == "dropped" else None,
        created_at=now,
    )


def own_message(batch: Batch, kind: str, now: float, data: dict[str, Any]) -> WebhookMessage:
    """An event for the webhook that came with a bulk run; its secret is in that one's row."""
    return _to_url(batch, kind, now, data, target=BATCH_TARGET)


def _to_url(
    owner: Job | Batch, kind: str, now: float, data: dict[str, Any], *, target: str, subject: str | None = None
) -> WebhookMessage:
    """An event for the webhook that came with a job or a bulk run."""
    message_id, url = new_id("evt"), owner.webhook_url or ""
    return WebhookMessage(
        id=message_id,
        account_id=owner.account_id,
        job_id=owner.id if isinstance(owner, Job) else None,
        subject=subject or f"{owner.id}/{message_id}",
        target=target,
        receiver=receiver_of(owner.account_id, None, url),
        type=kind,
        url=url,
        body=event_body(message_id, kind, now, data),
        next_attempt_at=now,
        created_at=now,
    )


def event_body(message_id: str, kind: str, now: float, data: dict[str, Any]) -> bytes:
    """The exact bytes to send and to sign."""
    event = {"id": message_id, "object": "event", "type": kind, "created_at": int(now), "data": data}
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def base_url(session: Session) -> str:
    """What URLs on this server begin with; empty where nobody has said where it is reached."""
    return str(session.info.get(PUBLIC_URL, ""))


def job_facts(job: Job, base: str) -> dict[str, Any]:
    """A thin payload: where things stand and where to read more. `gaps` and `warnings` are how many there are, `transcript_url`
    is absolute where the server's own address is known, else a path on it."""
    done = job.status == JobStatus.COMPLETED
    findings = findings_from_dict(job.input.get("findings"))
    result = "audio_url" if job.task == "speech" else "transcript_url"
    kind = "audio" if job.task == "speech" else "transcript"
    return {
        "id": job.id,
        "object": "audio.job",
        "task": job.task,
        "model": job.model,
        "status": str(job.status),
        "client_reference_id": job.client_reference_id,
        "metadata": job.meta or {},
        "partial": job.partial,
        "incomplete": is_incomplete(findings),
        "gaps": len(findings.gaps) + len(job.gaps or ()),
        "warnings": len(findings.warnings),
        "cost": cost_facts(job),
        "error": job.error,
        result: f"{base}/v1/audio/jobs/{job.id}/{kind}" if done else None,
    }


_STATUS_FOR = {"active": "pending", LISTENING: LISTENING}
# Built once: every job that begins or ends asks.
_ACTIVE = select(WebhookEndpoint).where(
    col(WebhookEndpoint.account_id) == bindparam("account"),
    or_(
        col(WebhookEndpoint.status).in_(("active", LISTENING)),
        and_(col(WebhookEndpoint.status) == "disabled", col(WebhookEndpoint.disabled_reason) == FAILING),
    ),
)
