"""The outbox: what callers are to be told, written in the transaction that makes it true.

A message's bytes are fixed when it is written, and its id is the webhook-id of every attempt. (subject, type, target) is
unique: one message per run of a job and target, whatever happens, and one for each time that it begins to wait for something.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.ids import new_id
from infra.database.session import PUBLIC_URL
from infra.database.tables import Batch, Job, WebhookEndpoint, WebhookMessage
from infra.links.new_link import AUDIO, add_link
from infra.money.job_money import cost_facts
from infra.webhooks.receivers import receiver_of
from pipeline.lifecycle import JobStatus
from pipeline.quality.omissions import findings_from_dict, is_incomplete

JOB_TARGET = "job"  # the webhook that came with the job, as opposed to one of the account's endpoints
JOB_EVENTS = tuple(
    f"audio.job.{status}" for status in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED)
)
WAITING_EVENT = "audio.job.waiting"
BALANCE_LOW = "balance.low"
BATCH_TARGET = "batch"  # the webhook that came with a bulk run
BATCH_EVENTS = ("batch.completed", "batch.failed", "batch.cancelled", "batch.expired")
BULK_EVENTS = ("audio.bulk.completed", "audio.bulk.failed", "audio.bulk.cancelled")
TEST_EVENT = "webhook.test"
EVENT_TYPES = (*JOB_EVENTS, WAITING_EVENT, *BATCH_EVENTS, *BULK_EVENTS, BALANCE_LOW, TEST_EVENT)


def announce(session: Session, job: Job, now: float) -> None:
    """Tell the job's webhook and the account's active endpoints that this run of the job has ended."""
    data = job_facts(job, base_url(session))
    _tell(session, job, f"audio.job.{job.status}", f"{job.id}/{job.run}", now=now, data=data)


def announce_wait(session: Session, job: Job, now: float) -> None:
    """Tell those who have asked for it by name that the job waits for something that is away."""
    data = job_facts(job, base_url(session)) | {"waiting": {"stage": str(job.stage), **(job.waiting or {})}}
    _tell(session, job, WAITING_EVENT, f"{job.id}/{job.run}/{job.version}", now=now, data=data)


def _tell(session: Session, job: Job, kind: str, subject: str, *, now: float, data: dict[str, Any]) -> None:
    for target, url in _policy(session, job, kind):
        message = WebhookMessage(
            id=new_id("evt"),
            account_id=job.account_id,
            job_id=job.id,
            subject=subject,
            target=target,
            endpoint_id=None if target == JOB_TARGET else target,
            receiver=receiver_of(job.account_id, None if target == JOB_TARGET else target, url),
            type=kind,
            url=url,
            body=b"",
            next_attempt_at=now,
            created_at=now,
        )
        told = data | _linked(session, job, now) if target == JOB_TARGET else data
        message.body = event_body(message.id, kind, now, told)
        session.add(message)


def _linked(session: Session, job: Job, now: float) -> dict[str, str]:
    """In place of an address that wants a key, where the job's own webhook has asked for that."""
    if job.webhook_link is None or job.status != JobStatus.COMPLETED:
        return {}
    link = add_link(job, job.webhook_link["format"], job.webhook_link["expires_in"], now)
    return {"audio_url" if link.format == AUDIO else "transcript_url": base_url(session) + link.path}


def _policy(session: Session, job: Job, kind: str) -> list[tuple[str, str]]:
    targets = []
    if job.webhook_url and wants(job.webhook_events, kind):
        targets.append((JOB_TARGET, job.webhook_url))
    if job.batch_id is not None:  # its endpoints hear of the batch, and not fifty thousand times
        return targets
    return targets + [(endpoint.id, endpoint.url) for endpoint in subscribers(session, job.account_id, kind)]


def subscribers(session: Session, account_id: str, kind: str) -> list[WebhookEndpoint]:
    """The account's active endpoints that want to hear of such an event."""
    active = session.scalars(_ACTIVE, {"account": account_id})
    return [endpoint for endpoint in active if wants(endpoint.event_types, kind)]


def wants(types: list[str] | None, kind: str) -> bool:
    """Whether a subscription covers an event type; none given means every type but that of a job that only waits."""
    return kind in (types or ()) or (kind != WAITING_EVENT and (not types or "*" in types))


def endpoint_message(
    endpoint: WebhookEndpoint, kind: str, now: float, data: dict[str, Any], *, subject: str | None = None
) -> WebhookMessage:
    """An event of no job, for one of the account's endpoints; due at once. `subject`: what it is about, if that has an id."""
    message_id = new_id("evt")
    return WebhookMessage(
        id=message_id,
        account_id=endpoint.account_id,
        subject=subject or message_id,
        target=endpoint.id,
        endpoint_id=endpoint.id,
        receiver=endpoint.id,
        type=kind,
        url=endpoint.url,
        body=event_body(message_id, kind, now, data),
        next_attempt_at=now,
        created_at=now,
    )


def own_message(batch: Batch, kind: str, now: float, data: dict[str, Any]) -> WebhookMessage:
    """An event for the webhook that came with a bulk run; its secret is in that one's row."""
    message_id, url = new_id("evt"), batch.webhook_url or ""
    return WebhookMessage(
        id=message_id,
        account_id=batch.account_id,
        subject=f"{batch.id}/{message_id}",
        target=BATCH_TARGET,
        receiver=receiver_of(batch.account_id, None, url),
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


# Built once: every job that ends asks.
_ACTIVE = select(WebhookEndpoint).where(
    col(WebhookEndpoint.account_id) == bindparam("account"), col(WebhookEndpoint.status) == "active"
)
