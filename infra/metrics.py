"""Counters and timings of one process, and the gauges of the installation, as Prometheus text."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from infra.broker import JobQueue
from infra.database.tables.jobs import Job
from infra.jobs.store import JobStore
from infra.telemetry.gauges import ALIVE_SECONDS as ALIVE_SECONDS
from infra.telemetry.gauges import installation_gauges
from infra.webhooks.store import WebhookStore
from infra.worker_heartbeats import WorkerStore
from pipeline.lifecycle import JobStatus
from pipeline.measurement.process_counters import BOUNDS, FFMPEG_RUNS, PROVIDER_CALLS, Spread

MEDIA_TYPE = CONTENT_TYPE_LATEST
RATIOS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)  # seconds of sound a second
API, CPU, IO, SCHEDULER = "api", "cpu", "io", "scheduler"
WORKERS = frozenset({CPU, IO})
# Who can count it at all. Elsewhere it is not there: a zero would say that nothing has happened.
COUNTED_BY = {
    "http_server_request_duration_seconds": {API},
    "rate_limited": {API},
    "provider_request_duration_seconds": WORKERS | {API},
    "ffmpeg_runs": WORKERS | {API},
    "job_duration_seconds": WORKERS,
    "job_realtime_ratio": WORKERS,
    "job_attempts": WORKERS,
    "job_retries": WORKERS,
    "lease_fenced": WORKERS,
    "leases_lost": WORKERS,
    "audio_seconds": WORKERS,
    "webhook_attempts": {IO},
    "jobs_rescued": {SCHEDULER},
    "wake_ups": {SCHEDULER},
    "sweeper_failures": {SCHEDULER},
    "sweeper_last_run_timestamp_seconds": {SCHEDULER},
    "storage_orphans": {SCHEDULER},
}


class Metrics:
    """One registry per Services, so that two of them in one process never share a number that is counted for one of them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_ProcessCounters())
        self.http = self._histogram("http_server_request_duration_seconds", "Requests", "method", "route", "status")
        self.job_duration = self._histogram("job_duration_seconds", "From queued to completed or failed", "status")
        self.job_realtime_ratio = Histogram(
            "job_realtime_ratio",
            "Seconds of sound a second, from a job's first claim to its completion",
            registry=self.registry,
            buckets=RATIOS,
        )
        self.attempts = self._counter("job_attempts", "Work on jobs and chunks that did not end well", "reason")
        self.retries = self._counter("job_retries", "Work on jobs and chunks put back to be tried again", "reason")
        self.rescued = self._counter("jobs_rescued", "Jobs and chunks taken from dead workers")
        self.fenced = self._counter("lease_fenced", "Results thrown away because another worker owns the work")
        self.leases_lost = self._counter("leases_lost", "Leases found gone: taken by a rescue, or with a cancelled job")
        self.wake_ups = self._counter("wake_ups", "Messages sent by the sweep")
        self.rate_limited = self._counter("rate_limited", "Requests refused because of a rate", "window")
        self.audio = self._counter("audio_seconds", "Seconds of sound decoded")
        self.webhooks = self._counter("webhook_attempts", "Deliveries tried", "outcome")
        self.duty_failures = self._counter("sweeper_failures", "Duties of the sweep that failed", "duty")
        self.swept = self._gauge("sweeper_last_run_timestamp_seconds", "When the sweep last came through")
        self.orphans = self._counter("storage_orphans", "Objects deleted because nothing refers to them")

    def job_ended(self, job: Job) -> None:
        """It has been completed, or has failed, in this process."""
        if job.queued_at is None or job.ended_at is None:
            return
        self.job_duration.labels(job.status).observe(job.ended_at - job.queued_at)
        sound = (job.sound or {}).get("duration") if job.task == "speech" else job.size_ms / 1000
        worked = job.ended_at - (job.processing_at or job.queued_at)
        if job.status == JobStatus.COMPLETED and sound and worked > 0:
            self.job_realtime_ratio.observe(float(sound) / worked)

    def render(
        self,
        jobs: JobStore,
        queue: JobQueue,
        webhooks: WebhookStore,
        workers: WorkerStore,
        role: str | None = None,
    ) -> bytes:
        """The exposition, with the gauges as they are now: of a `role`, without what it cannot count."""
        return counted_by(role, self.registry) + generate_latest(installation_gauges(jobs, queue, webhooks, workers))

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=BOUNDS)


def counted_by(role: str | None, counters: Collector) -> bytes:
    """Of these, as Prometheus text, what a process of this role can count; None: all of it."""
    shown = CollectorRegistry()
    shown.register(_Chosen(role, counters))
    return generate_latest(shown)


class _Chosen(Collector):
    def __init__(self, role: str | None, counters: Collector) -> None:
        self._role, self._counters = role, counters

    def collect(self) -> Iterator[Metric]:
        for family in self._counters.collect():
            if self._role is None or self._role in COUNTED_BY[family.name]:
                yield family


class _ProcessCounters(Collector):
    """What `pipeline` counts for the process as a whole."""

    def collect(self) -> Iterator[Metric]:
        runs = CounterMetricFamily("ffmpeg_runs", "ffmpeg's processes that have ended", labels=("outcome",))
        for labels, count in FFMPEG_RUNS.read().items():
            runs.add_metric(labels, count)
        calls = HistogramMetricFamily(
            "provider_request_duration_seconds", "Calls to providers", labels=("provider", "outcome")
        )
        for labels, spread in PROVIDER_CALLS.read().items():
            calls.add_metric(labels, _buckets(spread), spread.seconds)
        yield from (runs, calls)


def _buckets(spread: Spread) -> list[tuple[str, float]]:
    """As Prometheus has them: each with all that are smaller."""
    names, counted, found = [*(str(float(bound)) for bound in BOUNDS), "+Inf"], 0, []
    for name, count in zip(names, spread.buckets, strict=True):
        counted += count
        found.append((name, float(counted)))
    return found
