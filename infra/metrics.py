"""Counters and timings of one process, and the gauges that the database and the broker know, as Prometheus text."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from infra.broker import JobQueue
from infra.jobs.store import JobStore
from infra.webhooks.store import WebhookStore
from infra.worker_heartbeats import WorkerStore
from pipeline.errors import StenopoolError

MEDIA_TYPE = CONTENT_TYPE_LATEST
ALIVE_SECONDS = 30.0
ROLES = ("cpu", "io", "scheduler")
SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class Metrics:
    """One registry per Services, so that two of them in one process never share a number."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.http = self._histogram("http_server_request_duration_seconds", "Requests", "method", "route", "status")
        self.job_duration = self._histogram("job_duration_seconds", "From queued to its end", "status")
        self.provider = self._histogram("provider_request_duration_seconds", "Provider calls", "provider", "outcome")
        self.attempts = self._counter("job_attempts", "Work on jobs and chunks that did not end well", "reason")
        self.rescued = self._counter("jobs_rescued", "Jobs and chunks taken from dead workers")
        self.fenced = self._counter("lease_fenced", "Results thrown away because another worker owns the work")
        self.wake_ups = self._counter("wake_ups", "Messages sent by the sweep")
        self.rate_limited = self._counter("rate_limited", "Requests refused because of a rate", "window")
        self.audio = self._counter("audio_seconds", "Seconds of sound decoded")
        self.ffmpeg = self._counter("ffmpeg_runs", "Decoded recordings", "outcome")
        self.webhooks = self._counter("webhook_attempts", "Deliveries tried", "outcome")
        self.duty_failures = self._counter("sweeper_failures", "Duties of the sweep that failed", "duty")
        self.swept = self._gauge("sweeper_last_run_timestamp_seconds", "When the sweep last came through")
        self.orphans = self._counter("storage_orphans", "Objects deleted because nothing refers to them")

    def render(self, jobs: JobStore, queue: JobQueue, webhooks: WebhookStore, workers: WorkerStore) -> bytes:
        """The exposition, with the gauges as they are now; what cannot be asked is left out."""
        asked = CollectorRegistry()
        questions = (
            partial(_job_gauges, jobs),
            partial(_queue_gauges, queue),
            partial(_webhook_gauges, webhooks),
            partial(_worker_gauges, workers),
        )
        for question in questions:
            with contextlib.suppress(StenopoolError):
                question(asked)
        return generate_latest(self.registry) + generate_latest(asked)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=SECONDS)


def _job_gauges(jobs: JobStore, registry: CollectorRegistry) -> None:
    counts = jobs.counts()
    _by_label(registry, "jobs_total", "Jobs in the database", "state", counts["jobs"])
    _by_label(registry, "chunks_live", "Chunks that wait or are being heard", "state", counts["chunks"])
    _by_label(registry, "work_waiting", "Pieces of work that nobody has claimed", "role", counts["waiting"])
    age = Gauge("job_queue_age_seconds", "How long the oldest piece of work that is due has waited", registry=registry)
    age.set(counts["oldest_queued_seconds"])


def _webhook_gauges(webhooks: WebhookStore, registry: CollectorRegistry) -> None:
    counts = webhooks.counts()
    Gauge("outbox_pending", "Webhook messages still to be delivered", registry=registry).set(counts["pending"])
    exhausted = Gauge("webhooks_exhausted", "Webhook messages that were given up", registry=registry)
    exhausted.set(counts["exhausted"])
    disabled = Gauge("webhook_endpoints_disabled", "Endpoints that nothing is sent to", registry=registry)
    disabled.set(counts["endpoints_disabled"])


def _worker_gauges(workers: WorkerStore, registry: CollectorRegistry) -> None:
    """Who lives, and what the scheduler's last nightly comparison has found; nothing of that before there was one."""
    alive = workers.alive(ALIVE_SECONDS)
    living = {role: sum(worker.role == role for worker in alive) for role in ROLES}
    _by_label(registry, "workers_live", "Processes that have lately said that they live", "role", living)
    found = [(worker.facts or {}).get("ledger_differences") for worker in alive]
    known = [number for number in found if number is not None]
    if known:
        gauge = Gauge("ledger_imbalance", "Differences between balances, ledger and jobs", registry=registry)
        gauge.set(max(known))


def _queue_gauges(queue: JobQueue, registry: CollectorRegistry) -> None:
    up = Gauge("broker_up", "Whether Redis answers", registry=registry)
    up.set(0)
    _by_label(registry, "celery_queue_length", "Messages that no worker has taken", "queue", queue.lengths())
    up.set(1)


def _by_label(registry: CollectorRegistry, name: str, text: str, label: str, values: Mapping[str, float]) -> None:
    gauge = Gauge(name, text, (label,), registry=registry)
    for value, number in values.items():
        gauge.labels(value).set(number)
