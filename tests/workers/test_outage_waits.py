"""Work meets an outage: it is given back and waits, what was paid for is kept, and all go on once what was away is back."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from infra.database.tables.shares import Outage
from pipeline.cut.cutter import Chunk
from pipeline.errors import (
    DatabaseUnavailable,
    ProviderBusy,
    ProviderError,
    ProviderUnavailable,
    RoutesExhausted,
    StenopoolError,
    StorageFull,
    StorageUnavailable,
)
from pipeline.lifecycle import JobStatus
from pipeline.options import TranscriptionOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.resilience.probe import is_probe
from pipeline.run import hear_chunk
from pipeline.transcript import Heard
from tests.support.recordings import long, short
from tests.workers.conftest import WorkerHarness
from workers import outage_waits, sweep

pytestmark = pytest.mark.processes

LONG = long(12, seed=3)
TRIES = 3


class Away:
    """Around a store: what is named in `calls` raises `error`, for the next `times` times, or for as long as it is None."""

    def __init__(self, real: Any, error: StenopoolError, *calls: str, times: int | None = None) -> None:
        self._real, self._error, self._calls = real, error, calls
        self.left = times

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        return self._guarded(real) if name in self._calls else real

    def _guarded(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.left is None or self.left > 0:
                self.left = None if self.left is None else self.left - 1
                raise self._error
            return real(*args, **kwargs)

        return call


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage_waits, "PAUSES", (0.01,))


@contextmanager
def storage_away(harness: WorkerHarness, error: StenopoolError) -> Iterator[None]:
    real = harness.services.storage
    harness.services.storage = Away(real, error, "get", "put", "blocks", "recording", "writer", "size")
    try:
        yield
    finally:
        harness.services.storage = real


def ask_again(harness: WorkerHarness) -> None:
    """The sweep passes by when the next try of every outage is due."""
    with harness.services.database.write() as session:
        session.execute(update(Outage).where(col(Outage.since).is_not(None)).values(probe_at=1.0))
    sweep.ask_for_the_absent(harness.services)


def provider(monkeypatch: pytest.MonkeyPatch, errors: list[ProviderError | RoutesExhausted]) -> list[bool]:
    """A provider of chunks that fails with each of the errors first; returns whether each call was made as a probe."""
    calls: list[bool] = []

    def hear(chunk: Chunk, options: TranscriptionOptions, registry: ProviderRegistry) -> Heard:
        calls.append(is_probe())
        if errors:
            raise errors.pop(0)
        return hear_chunk(chunk, options, registry)

    monkeypatch.setattr("workers.steps.prepare.hear_chunk", hear)
    monkeypatch.setattr("workers.steps.transcribe.hear_chunk", hear)
    return calls


@pytest.mark.parametrize(
    ("error", "stage"),
    [(StorageUnavailable(), "waiting_for_storage"), (StorageFull(), "waiting_for_disk")],
)
def test_storage_that_is_away_costs_time_and_no_work(harness: WorkerHarness, error: StenopoolError, stage: str) -> None:
    jobs = {harness.submit(short(number)): short(number) for number in range(TRIES + 1)}
    with storage_away(harness, error):
        assert harness.work() == len(jobs)
        for _ in range(TRIES):
            ask_again(harness)
            assert harness.work() == 1, "one asks for all"
        for job_id in jobs:
            job = harness.job(job_id)
            assert (job.status, job.stage, job.failures) == (JobStatus.QUEUED, stage, 0)
    ask_again(harness)
    assert harness.work() == 1
    sweep.ask_for_the_absent(harness.services)
    assert harness.work() == len(jobs) - 1
    for job_id, recording in jobs.items():
        assert harness.text(job_id).split() == list(recording.words)
    assert harness.calls() == len(jobs)


def test_a_workers_full_disk_is_an_outage(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = harness.submit(short(1))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("workers.steps.prepare.sound_of", full)
        harness.work()
    job = harness.job(job_id)
    assert (job.stage, job.failures) == ("waiting_for_disk", 0)
    ask_again(harness)
    harness.work()
    assert harness.job(job_id).status == JobStatus.COMPLETED


def test_an_answer_is_held_until_it_can_be_stored(harness: WorkerHarness) -> None:
    """With as many failures as there are tries, and more."""
    job_id = harness.submit(LONG)
    harness.work(most=1)
    chunks = harness.job(job_id).chunks_total
    services = harness.services
    services.storage = Away(services.storage, StorageUnavailable(), "put", times=2 * TRIES)
    services.jobs = Away(services.jobs, DatabaseUnavailable(), "complete_chunk", "finish", times=2 * TRIES)
    harness.work()
    job = harness.job(job_id)
    assert harness.text(job_id).split() == list(LONG.words)
    assert harness.calls() == chunks, "nothing was heard twice"
    events = [event.type for event in services.jobs.events(harness.account, job_id)]
    assert events.count("waiting_for_storage") == 1
    assert sum(chunk.failures for chunk in services.jobs.chunks(job_id)) == job.failures == 0


def test_a_database_that_comes_back_finds_the_work_given_back(harness: WorkerHarness) -> None:
    job_id = harness.submit(short(1))
    services = harness.services
    for _ in range(TRIES + 1):
        services.media = Away(services.media, DatabaseUnavailable(), "get", times=1)
        services.jobs = Away(services.jobs, DatabaseUnavailable(), "wait", times=2)
        harness.work(most=1)
        job = harness.job(job_id)
        assert (job.stage, job.failures, job.lost) == ("waiting_for_database", 0, 0)
        ask_again(harness)
    harness.work()
    assert harness.job(job_id).status == JobStatus.COMPLETED


@pytest.mark.parametrize(
    "error",
    [
        ProviderUnavailable(provider="far"),
        ProviderBusy(provider="far"),
        RoutesExhausted(tried=[{"provider": "far", "code": "provider_unavailable"}, {"code": "provider_refused"}]),
    ],
    ids=lambda error: error.code,
)
def test_a_provider_is_waited_for(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch, error: ProviderError | RoutesExhausted
) -> None:
    calls = provider(monkeypatch, [error] * (2 + TRIES))
    jobs = {harness.submit(short(number), model="far"): short(number) for number in range(2)}
    harness.work("cpu", "io")
    assert len(calls) == 2
    for _ in range(TRIES):
        ask_again(harness)
        harness.work("io", "cpu")
    for job_id in jobs:
        job = harness.job(job_id)
        assert (job.stage, job.failures) == ("waiting_for_provider", 0)
        assert [chunk.failures for chunk in harness.services.jobs.chunks(job_id)] == [0]
    ask_again(harness)
    harness.work("io", "cpu")
    sweep.ask_for_the_absent(harness.services)
    harness.work("io", "cpu")
    for job_id, recording in jobs.items():
        assert harness.text(job_id).split() == list(recording.words)
    assert calls == [False, False] + [True] * (TRIES + 2), "an open circuit is no reason not to ask"


def test_who_does_not_want_to_wait_fails(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = provider(monkeypatch, [ProviderUnavailable(provider="far")] * TRIES)
    monkeypatch.setattr("workers.failure_policy.FIRST_RETRY", 0.0)
    job_id = harness.submit(short(1), model="far", request={"on_provider_outage": "fail"})
    harness.work("cpu", "io")
    job = harness.job(job_id)
    assert (job.status, (job.error or {})["code"]) == (JobStatus.FAILED, "provider_unavailable")
    assert calls == [False] * TRIES


def test_an_engine_of_this_machine_is_not_waited_for(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    provider(monkeypatch, [ProviderUnavailable(provider="oracle")])
    job_id = harness.submit(short(1))
    harness.work(most=1)
    assert (harness.job(job_id).stage, harness.job(job_id).failures) == ("waiting", 1)


def test_where_all_routes_have_gone_nobody_is_waited_for(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One call hears that the provider is away, while another one is told that it has the model no more."""

    def away(*_: object) -> Heard:
        monkeypatch.setattr(harness.services.catalog.gone, "left", lambda *_: [])
        raise ProviderUnavailable(provider="far")

    monkeypatch.setattr("workers.failure_policy.FIRST_RETRY", 0.0)
    for step in ("prepare", "transcribe"):
        monkeypatch.setattr(f"workers.steps.{step}.hear_chunk", away)
    job_id = harness.submit(short(1), model="far")
    harness.work("cpu", "io")
    assert harness.job(job_id).status == JobStatus.FAILED
    assert "could not be told" not in caplog.text


def test_sound_that_its_provider_cannot_hear_fails_while_others_are_heard(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.failure_policy.FIRST_RETRY", 0.0)
    poison = short(9)

    def hear(chunk: Chunk, options: TranscriptionOptions, registry: ProviderRegistry) -> Heard:
        if options.prompt == "oracle: poison":
            raise ProviderUnavailable(provider="far")
        return hear_chunk(chunk, options, registry)

    monkeypatch.setattr("workers.steps.transcribe.hear_chunk", hear)
    poisoned = harness.submit(poison, "poison", model="far")
    harness.work("cpu", "io")
    assert harness.job(poisoned).stage == "waiting_for_provider"
    good = harness.submit(short(1), model="far")
    harness.work("cpu", "io")
    assert harness.job(good).status == JobStatus.COMPLETED
    sweep.ask_for_the_absent(harness.services)
    harness.work("cpu", "io")
    job = harness.job(poisoned)
    assert (job.status, (job.error or {})["code"]) == (JobStatus.FAILED, "provider_unavailable")


def test_who_could_not_be_heard_is_not_thought_dead(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    rescues: list[str] = []
    monkeypatch.setattr(harness.services.jobs, "silent_workers", lambda: rescues.append("looked") or set())
    sweeper = sweep.Sweeper(harness.services)
    sweeper.perform((sweep.rescue,))
    assert rescues == [], "who has just begun to listen does not know what was before"
    monkeypatch.setattr(sweeper, "_unheard_until", 0.0)
    sweeper.perform((sweep.rescue,))
    assert len(rescues) == 1
    monkeypatch.setattr(sweeper, "_listened", 1.0)
    sweeper.perform((sweep.rescue,))
    assert len(rescues) == 1, "it has not listened for long: it stood still, and so may they have"
    monkeypatch.setattr(sweeper, "_unheard_until", 0.0)

    def away(*_: object) -> None:
        raise DatabaseUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(harness.services.jobs, "due", away)
        sweeper.perform((sweep.rescue, sweep.wake_workers))
    sweeper.perform((sweep.rescue,))
    assert len(rescues) == 2, "workers have the time of a lease to show that they live"
    monkeypatch.setattr(sweeper, "_unheard_until", 0.0)
    sweeper.perform((sweep.rescue,))
    assert len(rescues) == 3
