"""What the database, the broker and the workers' signs of life say of the whole installation, at the moment it is asked for.

Every question is a look at counters, or at an index that holds only what is under way: a million finished jobs make none slower.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Gauge

from infra.broker import JobQueue
from infra.jobs.store import JobStore
from infra.webhooks.store import WebhookStore
from infra.worker_heartbeats import WorkerStore
from pipeline.errors import StenopoolError

ALIVE_SECONDS = 30.0
ROLES = ("cpu", "io", "scheduler")


def installation_gauges(
    jobs: JobStore, queue: JobQueue, webhooks: WebhookStore, workers: WorkerStore
) -> CollectorRegistry:
    """All of them; what cannot be asked is left out."""
    asked = CollectorRegistry()
    questions = (
        partial(_of_jobs, jobs),
        partial(_of_the_queue, jobs),
        partial(_of_the_broker, queue),
        partial(_of_webhooks, webhooks),
        partial(_of_workers, workers),
    )
    for question in questions:
        with contextlib.suppress(StenopoolError):
            question(asked)
    return asked


def _of_jobs(jobs: JobStore, registry: CollectorRegistry) -> None:
    counts = jobs.counts()
    _by_label(registry, "jobs_total", "Jobs in the database", "state", counts["jobs"])
    _by_label(registry, "chunks_live", "Chunks that wait or are being heard", "state", counts["chunks"])
    _by_label(registry, "work_waiting", "Pieces of work that nobody has claimed", "role", counts["waiting"])
    age = Gauge("job_queue_age_seconds", "How long the oldest piece of work that is due has waited", registry=registry)
    age.set(counts["oldest_queued_seconds"])


def _of_the_queue(jobs: JobStore, registry: CollectorRegistry) -> None:
    load = jobs.queue_load()
    sound = {lane: one.audio_seconds for lane, one in load.items()}
    oldest = {lane: one.oldest_seconds for lane, one in load.items()}
    speeds = {lane: one.speed for lane, one in load.items() if one.speed is not None}
    _by_label(registry, "queue_audio_seconds", "Sound that waits for workers, as the queue counts it", "lane", sound)
    _by_label(registry, "queue_oldest_seconds", "How long the oldest work that is due has waited", "lane", oldest)
    _by_label(registry, "queue_realtime_ratio", "Seconds of sound taken on a second, while work waited", "lane", speeds)


def _of_webhooks(webhooks: WebhookStore, registry: CollectorRegistry) -> None:
    waiting = webhooks.waiting()
    Gauge("outbox_pending", "Webhook messages still to be delivered", registry=registry).set(waiting["pending"])
    lag = Gauge("webhook_lag_seconds", "How long the oldest message that is due waits to be sent", registry=registry)
    lag.set(waiting["lag_seconds"])
    disabled = Gauge("webhook_endpoints_disabled", "Endpoints to which nothing is sent any more", registry=registry)
    disabled.set(waiting["endpoints_disabled"])


def _of_workers(workers: WorkerStore, registry: CollectorRegistry) -> None:
    """Who lives, and what the scheduler's last nightly comparison has found; nothing of that before there was one."""
    alive = workers.alive(ALIVE_SECONDS)
    living = {role: sum(worker.role == role for worker in alive) for role in ROLES}
    _by_label(registry, "workers_live", "Processes that have lately said that they live", "role", living)
    found = [(worker.facts or {}).get("ledger_differences") for worker in alive]
    known = [number for number in found if number is not None]
    if known:
        gauge = Gauge("ledger_imbalance", "Differences between balances, ledger and jobs", registry=registry)
        gauge.set(max(known))


def _of_the_broker(queue: JobQueue, registry: CollectorRegistry) -> None:
    up = Gauge("broker_up", "Whether Redis answers", registry=registry)
    up.set(0)
    _by_label(registry, "celery_queue_length", "Messages that no worker has taken", "queue", queue.lengths())
    up.set(1)


def _by_label(registry: CollectorRegistry, name: str, text: str, label: str, values: Mapping[str, float]) -> None:
    gauge = Gauge(name, text, (label,), registry=registry)
    for value, number in values.items():
        gauge.labels(value).set(number)
