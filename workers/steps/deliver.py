"""Deliver a webhook message: one attempt, logged, with what follows from its answer, and a wake-up for who is next."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from functools import partial

from infra.database.tables.webhooks import WebhookMessage
from infra.logs import log_context
from infra.outbound.client import Answer
from infra.outbound.failures import failure_of
from infra.tracing.spans import TRACING, span
from infra.webhooks.delivery_queue import LEASE_SECONDS
from infra.webhooks.retry_schedule import verdict
from infra.webhooks.signature import attempt
from infra.webhooks.store import Delivery, Outcome
from infra.wiring import Services
from pipeline.errors import DatabaseUnavailable, SecretUnreadable, StenopoolError
from workers.outage_waits import PAUSES
from workers.worker_context import WorkerContext

log = logging.getLogger(__name__)

EXCERPT = 4096  # bytes of the answer kept in the log of attempts
NEXT = 2  # wake-ups after an attempt: so that one sender becomes several where there is work for them


def deliver(worker: WorkerContext, message_id: str) -> None:
    """Claim whichever message is next and post it. `message_id` is a hint: the one that the wake-up was sent for."""
    hint = message_id if worker.senders.begin(message_id) else None
    while hint is not None:
        try:
            _deliver_next(worker.services, hint)
        except StenopoolError as error:
            log.warning("webhook %s could not be seen to now: %s", hint, error)
        except Exception:
            log.exception("webhook %s failed outside its row", hint)
        hint = worker.senders.next()  # what failed is rung for again by the sweep


def _deliver_next(services: Services, hint: str) -> None:
    delivery = services.webhooks.claim(hint)
    if delivery is not None:
        _send(services, delivery)
        ring(services, NEXT)


def ring(services: Services, limit: int) -> None:
    """Send wake-ups for messages whose time has come, and who have a sender to themselves; at most `limit`."""
    accepted = True
    for message_id in services.webhooks.due(limit):
        accepted = accepted and services.queue.send_delivery(message_id)
        if not accepted:
            services.webhooks.refuse(message_id)


def _attempt(services: Services, delivery: Delivery) -> Answer:
    """Signed, or not sent: a secret that no key opens is tried again like a receiver that is away."""
    message = delivery.message
    try:
        secrets = [services.secrets.open(secret) for secret in delivery.secrets]
        own = services.secrets.open_object(delivery.headers or {})
    except SecretUnreadable as error:
        return Answer(failure=error.code)
    return attempt(services.outbound, message.url, secrets, message.id, message.body, own=own)


def _send(services: Services, delivery: Delivery) -> None:
    message, began = delivery.message, time.monotonic()
    told = {"message_id": message.id, "job_id": message.job_id, "account_id": message.account_id, "attempt": delivery.n}
    with log_context(**told), span("webhook", parent=_trace_of(services, message.job_id), job_id=message.job_id):
        answer = _attempt(services, delivery)
        scale = services.settings.webhook_time_scale
        follows = verdict(answer, delivery.tries, scale, once=message.once)
        outcome = Outcome(
            status_code=answer.status,
            error=answer.failure,
            response_excerpt=answer.body[:EXCERPT].decode("utf-8", errors="replace").replace("\0", "\ufffd"),
            duration_ms=answer.duration_ms,
        )
        record = partial(services.webhooks.record, delivery, outcome, follows, scale=scale)
        recorded = _recorded(record, began + LEASE_SECONDS)
        counted_as = _tell(delivery, answer, follows.retry_in, recorded.status if recorded else None)
        services.metrics.webhooks.labels(counted_as).inc()


def _trace_of(services: Services, job_id: str | None) -> str | None:
    job = services.jobs.find(job_id) if job_id and TRACING.tracer is not None else None
    return None if job is None else job.trace


def _tell(delivery: Delivery, answer: Answer, retry_in: float | None, status: str | None) -> str:
    """The log, in the words of all who ask; what the attempt counts as. `status` is now the message's, where it is still ours."""
    why = failure_of(answer.failure, answer.status)
    if why is None:
        log.info("webhook delivered, answered %s", answer.status)
        return "delivered"
    if status == "exhausted":
        log.warning("webhook given up after %d attempts. %s", delivery.tries, why.message)
        return "exhausted"
    if status == "dropped":
        log.info("webhook not delivered, and not tried again. %s", why.message)
    else:
        log.info("webhook not delivered, again in %.1f s. %s", retry_in or 0, why.message)
    return "failed"


def _recorded(record: Callable[[], WebhookMessage | None], until: float) -> WebhookMessage | None:
    """What has been answered is not sent again because the database is restarted; for as long as the message is ours. Raises
    DatabaseUnavailable."""
    for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
        try:
            return record()
        except DatabaseUnavailable:
            if time.monotonic() + pause > until:
                raise
        time.sleep(pause)
    raise AssertionError("the pauses never end")
