"""Deliver one webhook message: one attempt, logged, with what follows from its answer."""

from __future__ import annotations

import logging

from infra.logs import log_context
from infra.webhooks.retry_schedule import verdict
from infra.webhooks.signature import attempt
from infra.webhooks.store import Outcome
from workers.worker_context import WorkerContext

log = logging.getLogger(__name__)

EXCERPT = 4096  # bytes of the answer kept in the log of attempts


def deliver(worker: WorkerContext, message_id: str) -> None:
    """Claim the message and post it. Nothing when it is not due, or somebody else sends it."""
    services = worker.services
    delivery = services.webhooks.claim_due(message_id)
    if delivery is None:
        return
    message = delivery.message
    with log_context(message_id=message.id, job_id=message.job_id, attempt=delivery.n):
        answer = attempt(services.outbound, message.url, delivery.secrets, message.id, message.body)
        follows = verdict(answer, delivery.tries, services.settings.webhook_time_scale)
        outcome = Outcome(
            status_code=answer.status,
            error=answer.failure,
            response_excerpt=answer.body[:EXCERPT].decode("utf-8", errors="replace").replace("\0", "\ufffd"),
            duration_ms=answer.duration_ms,
        )
        services.webhooks.record(
            delivery, outcome, delivered=follows.delivered, retry_in=follows.retry_in, gone=follows.gone
        )
        services.metrics.webhooks.labels("delivered" if follows.delivered else "failed").inc()
        log.info("webhook answered %s, again in %s", answer.status or answer.failure, follows.retry_in)
