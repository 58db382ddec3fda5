"""What happens to a job whose account has used up what it may have."""

from collections.abc import Iterator

import pytest

from infra.database.days import DAY_SECONDS
from infra.database.tables.jobs import Job
from infra.database.tables.uploads import Media
from infra.money import quota
from pipeline.lifecycle import JobStatus
from tests.support.receiver import Receiver, receiving
from tests.support.recordings import Recording, long, short
from tests.workers.conftest import WorkerHarness
from workers.sweep import CLEANING, EVERY_MINUTE, EVERY_SWEEP, Sweeper

pytestmark = pytest.mark.processes

LONG = long(50, seed=4)  # 0.83 minutes


@pytest.fixture
def site() -> Iterator[Receiver]:
    with receiving() as made:
        made.files = {"/long.wav": LONG.wav, "/longer.wav": long(70, seed=5).wav}
        yield made


def limit(harness: WorkerHarness, **own: int) -> None:
    harness.services.accounts.update(harness.account, limits=own)


def used(harness: WorkerHarness, name: str) -> float | None:
    return harness.services.quota.limits(harness.account)[name].used


def fetch(harness: WorkerHarness, url: str, **more: float) -> Job:
    """The job after all that can be done for it now."""
    job_id = harness.create(source={"url": url, "headers": {}}, input={"type": "url"}, queue="io", priority=1, **more)
    harness.work("io", most=1)
    harness.work("cpu", most=1)
    return harness.job(job_id)


def hears_nothing_more_today(harness: WorkerHarness) -> None:
    """Half of the day's only minute is used."""
    limit(harness, transcription_minutes_per_day=1)
    harness.submit(Recording(short(1).wav, ()), known_ms=30_000)


def test_a_url_with_more_than_there_is_room_for_is_not_fetched_to_its_end(
    harness: WorkerHarness, site: Receiver
) -> None:
    limit(harness, stored_bytes=1_000_000)
    job = fetch(harness, f"{site.url}/long.wav")
    assert job.status == JobStatus.FAILED
    assert job.error
    assert (job.error["code"], job.error["param"], job.error["stage"]) == ("limit_exceeded", "stored_bytes", "fetching")
    assert (job.error["limit"], job.failures) == (1_000_000, 0), "told once: only the account can make room"
    assert used(harness, "stored_bytes") == 0
    assert not harness.stored("media")
    Sweeper(harness.services).perform((*CLEANING, *EVERY_MINUTE))
    assert harness.services.jobs.to_erase() == []


@pytest.mark.parametrize("noticed_by", ["the next write", "a beat"])
def test_a_job_that_is_cancelled_while_it_is_fetched_leaves_nothing(
    harness: WorkerHarness, site: Receiver, monkeypatch: pytest.MonkeyPatch, noticed_by: str
) -> None:
    grow = harness.services.media.grow
    sizes: list[int] = []

    def and_cancel(media: Media, size: int) -> Media:
        sizes.append(size)
        if len(sizes) == 2:
            harness.services.jobs.cancel(harness.account, harness.services.jobs.list(harness.account)[0][0].id)
            if noticed_by == "a beat":
                harness.beat()
        return grow(media, size)

    monkeypatch.setattr(harness.services.media, "grow", and_cancel)
    job = fetch(harness, f"{site.url}/long.wav")
    assert (used(harness, "stored_bytes"), used(harness, "stored_results")) == (0, 0)
    Sweeper(harness.services).perform((*EVERY_SWEEP, *CLEANING, *EVERY_MINUTE))
    assert harness.job(job.id).status == JobStatus.CANCELLED
    assert not harness.stored("media")


def test_a_fetched_recording_beyond_the_days_rest_waits_for_the_next_day(
    harness: WorkerHarness, site: Receiver
) -> None:
    hears_nothing_more_today(harness)
    job = fetch(harness, f"{site.url}/long.wav")
    assert (job.status, job.error, job.failures) == (JobStatus.QUEUED, None, 0)
    assert job.waiting
    assert "takes 0.83 minutes" in job.waiting["message"], "the whole length, and before anything is heard"
    assert harness.calls() == 0
    events = [event.type for event in harness.services.jobs.events(harness.account, job.id)]
    assert events[-1] == "put_off"


def test_where_the_deadline_is_today_it_fails_and_says_from_when_a_retry_helps(
    harness: WorkerHarness, site: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hears_nothing_more_today(harness)
    tomorrow = quota._refusal
    monkeypatch.setattr(
        quota, "_refusal", lambda ms, minutes, used, clock: tomorrow(ms, minutes, used, clock - clock % DAY_SECONDS)
    )
    job = fetch(harness, f"{site.url}/long.wav", timeout_seconds=300)
    assert job.status == JobStatus.FAILED
    assert job.error
    assert (job.error["retryable"], job.error["retry_at"] % DAY_SECONDS) == (True, 0)
    assert "takes 0.83 minutes" in job.error["message"]
    assert job.waiting is None


def test_a_recording_longer_than_any_day_fails_at_once(harness: WorkerHarness, site: Receiver) -> None:
    limit(harness, transcription_minutes_per_day=1)
    job = fetch(harness, f"{site.url}/longer.wav")
    assert job.status == JobStatus.FAILED
    assert job.error
    assert not job.error["retryable"]
    assert "takes 1.17 minutes" in job.error["message"]
    assert harness.calls() == 0


def test_a_recording_that_lasts_longer_than_it_says_is_told_with_its_whole_length(harness: WorkerHarness) -> None:
    hears_nothing_more_today(harness)
    job_id = harness.submit(LONG, known_ms=1000, input={"expected_ms": 1000}, priority=1)
    harness.work(most=1)
    job = harness.job(job_id)
    assert job.waiting
    assert "takes 0.83 minutes" in job.waiting["message"]


def test_a_recording_of_unknown_length_is_measured_before_it_is_heard(harness: WorkerHarness) -> None:
    hears_nothing_more_today(harness)
    job_id = harness.submit(LONG, priority=1)
    harness.work(most=1)
    assert "takes 0.83 minutes" in (harness.job(job_id).waiting or {})["message"]
    assert harness.job(job_id).chunks_total == 0
