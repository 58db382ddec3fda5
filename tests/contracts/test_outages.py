"""What is away is weather: work waits for it without losing an attempt, one piece asks for all, and all go on once it is back."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from infra.database.tables.jobs import Job
from infra.database.tables.shares import Outage
from infra.jobs import outages
from infra.jobs.outages import PAUSES
from infra.jobs.store import Lease
from infra.jobs.transitions import try_number
from infra.webhooks.store import WebhookStore
from pipeline.errors import LeaseLost, ProviderUnavailable, StorageUnavailable
from pipeline.lifecycle import Dependency
from tests.contracts.job_store_harness import CHUNK, ERROR, JobStoreHarness, span

STORAGE, FAR = "storage", "provider far/oracle"
AWAY = ProviderUnavailable(provider="far").as_dict()


@pytest.fixture(autouse=True)
def long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes by itself, however slow the machine."""
    monkeypatch.setattr(outages, "PAUSES", tuple(100 * pause for pause in PAUSES))


def wait(harness: JobStoreHarness, lease: Lease, place: str = FAR, *, suspect: bool = False) -> bool:
    kind = Dependency(place.split(maxsplit=1)[0])
    error = AWAY if kind == Dependency.PROVIDER else StorageUnavailable().as_dict()
    return harness.jobs.wait(lease, kind, place, error, suspect=suspect)


def waiting(harness: JobStoreHarness, jobs: int, place: str = FAR) -> list[Job]:
    """So many jobs that wait for it."""
    made = [harness.submit() for _ in range(jobs)]
    for job in made:
        assert wait(harness, harness.claim(job), place)
    return made


def outage(harness: JobStoreHarness, place: str = FAR) -> Outage | None:
    with harness.database.read() as session:
        return session.get(Outage, place)


def pass_time(harness: JobStoreHarness) -> None:
    """The next try of every outage is due."""
    with harness.database.write() as session:
        session.execute(update(Outage).where(col(Outage.since).is_not(None)).values(probe_at=1.0))


def due(harness: JobStoreHarness) -> Sequence[str]:
    return sorted(job_id for job_id, _ in harness.due())


def test_waiting_is_no_attempt_and_is_told(harness: JobStoreHarness) -> None:
    (job,) = waiting(harness, 1, STORAGE)
    row = harness.now(job)
    assert (row.status, row.stage, row.failures, row.lost) == ("queued", "waiting_for_storage", 0, 0)
    assert row.waiting is not None
    assert (row.waiting["code"], row.lease_token, harness.due()) == ("storage_unavailable", None, [])
    assert harness.timeline(job) == ["created", "preparing", "waiting_for_storage"]
    harness.check_queue()


def test_one_asks_for_all_and_the_first_success_ends_the_wait(harness: JobStoreHarness) -> None:
    jobs = waiting(harness, 4)
    assert harness.jobs.probe_outages() == 0, "not before its time"
    for _ in range(3):
        pass_time(harness)
        assert harness.jobs.probe_outages() == 1
        assert harness.jobs.probe_outages() == 0
        ((probe, _),) = harness.due()
        assert wait(harness, harness.claim(harness.now(next(job for job in jobs if job.id == probe))))
        assert harness.jobs.end_waits() == 0
    assert harness.jobs.answered({STORAGE}) is False
    assert list(harness.jobs.away()) == [FAR]
    assert harness.jobs.answered({FAR, STORAGE}) is True
    assert harness.jobs.away() == {}
    assert harness.jobs.end_waits(limit=3) == 4
    assert due(harness) == sorted(job.id for job in jobs)
    assert harness.jobs.end_waits() == 0
    for job in jobs:
        row = harness.now(job)
        assert (row.stage, row.waiting, row.failures) == ("waiting", None, 0)
        assert harness.timeline(job) == ["created", "preparing", "waiting_for_provider", "resumed"]
        assert harness.finish_short(job).status == "completed"
    harness.check_queue()


def test_those_who_wait_take_turns_at_asking(harness: JobStoreHarness) -> None:
    jobs = waiting(harness, 3)
    asked = []
    for _ in jobs:
        pass_time(harness)
        harness.jobs.probe_outages()
        ((probe, _),) = harness.due()
        asked.append(probe)
        wait(harness, harness.claim(next(job for job in jobs if job.id == probe)))
    assert sorted(asked) == sorted(job.id for job in jobs)


def test_where_nobody_takes_the_one_that_asks_another_does(harness: JobStoreHarness) -> None:
    """Its role may have no worker. All others would wait for that."""
    nobodys, io = harness.submit(queue="gpu"), harness.submit(queue="io")
    whole = harness.submit(queue="io")
    harness.cut(whole, 2)
    for lease in (harness.claim(nobodys), harness.claim(io), *(harness.claim_chunk(whole, idx) for idx in range(2))):
        assert wait(harness, lease)
    expected: list[tuple[str, int | None]] = [(nobodys.id, None), (io.id, None), (whole.id, 0), (whole.id, 1)]
    for asked in range(1, 5):
        pass_time(harness)
        assert harness.jobs.probe_outages() == 1
        assert sorted(harness.due(), key=str) == sorted(expected[:asked], key=str)
    pass_time(harness)
    assert harness.jobs.probe_outages() == 0, "all of them have been asked"
    assert list(harness.jobs.away()) == [FAR], "and none has answered"


def test_pauses_grow_to_a_bound(harness: JobStoreHarness) -> None:
    (job,) = waiting(harness, 1)
    seen = []
    for _ in range(len(PAUSES) + 1):
        found = outage(harness)
        assert found is not None
        seen.append(found.pause)
        pass_time(harness)
        assert harness.jobs.probe_outages() == 1
        wait(harness, harness.claim(job))
    assert seen == [100 * pause for pause in (*PAUSES, PAUSES[-1])]
    assert PAUSES[-1] < 15, "work goes on within 15 s of the return"


def test_a_provider_that_asks_for_time_gets_it(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.jobs.wait(harness.claim(job), Dependency.PROVIDER, FAR, AWAY, retry_after=5000)
    found = outage(harness)
    assert found is not None and found.since is not None and found.probe_at is not None
    assert found.probe_at - found.since >= 4999


def test_two_sweeps_at_once_let_one_ask(harness: JobStoreHarness) -> None:
    waiting(harness, 4)
    pass_time(harness)
    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(lambda _: harness.jobs.probe_outages(), range(4))) == 1
    assert len(harness.due()) == 1


def test_chunks_wait_and_their_job_says_so(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job, 3)
    for idx in (0, 1):
        assert wait(harness, harness.claim_chunk(job, idx))
    row = harness.now(job)
    assert (row.status, row.stage) == ("processing", "waiting_for_provider")
    assert harness.due() == [(job.id, 2)]
    assert harness.hear(job, 2) is False
    assert harness.now(job).stage == "transcribing", "some of it goes on"
    assert harness.jobs.answered({FAR})
    harness.jobs.end_waits()
    assert [chunk.failures for chunk in harness.jobs.chunks(job.id)] == [0, 0, 0]
    harness.hear(job, 0)
    assert harness.hear(job, 1) is True
    assert harness.finish(job).status == "completed"
    assert harness.timeline(job).count("waiting_for_provider") == 1
    harness.check_counters(job)
    harness.check_queue()


def test_what_waits_while_the_rest_is_cut_waits_still_when_all_is_cut(harness: JobStoreHarness) -> None:
    job = harness.submit()
    cutting = harness.claim(job)
    harness.jobs.add_chunk(cutting, 0, span(0), "sound/0")
    wait(harness, harness.claim_chunk(job, 0))
    harness.jobs.add_chunk(cutting, 1, span(1), "sound/1")
    harness.jobs.cut_done(cutting, 2 * CHUNK, 2)
    assert harness.now(job).stage == "waiting_for_provider"
    assert harness.hear(job, 1) is False
    assert harness.now(job).stage == "transcribing", "some of it goes on"


def test_who_waits_for_something_else_as_well_goes_on_waiting(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job, 2)
    wait(harness, harness.claim_chunk(job, 0), STORAGE)
    wait(harness, harness.claim_chunk(job, 1), FAR)
    harness.jobs.answered({STORAGE})
    assert harness.jobs.end_waits() == 1
    assert harness.due() == [(job.id, 0)]
    assert harness.now(job).stage == "waiting_for_provider"


def test_at_its_deadline_it_expires_for_want_of_what_it_waited_for(harness: JobStoreHarness) -> None:
    plain, chunked = (harness.submit(timeout_seconds=60, webhook_url="https://example.com") for _ in range(2))
    wait(harness, harness.claim(plain), STORAGE)
    harness.cut(chunked, 2)
    wait(harness, harness.claim_chunk(chunked, 0))
    for job in (plain, chunked):
        harness.shift(job, deadline_at=1.0)
    assert set(harness.jobs.expire_overdue()) == {plain.id, chunked.id}
    errors = [harness.now(job).error or {} for job in (plain, chunked)]
    assert [error["code"] for error in errors] == ["storage_unavailable", "provider_unavailable"]
    assert [error["stage"] for error in errors] == ["waiting_for_storage", "waiting_for_provider"]
    assert errors[1]["provider"] == "far"
    assert [message.type for message in harness.messages(chunked)] == ["audio.job.expired"]
    harness.jobs.answered({STORAGE, FAR})
    assert (harness.jobs.end_waits(), harness.due()) == (0, [])


def test_who_asks_at_the_deadline_waited_all_the_same(harness: JobStoreHarness) -> None:
    job = harness.submit(timeout_seconds=60)
    wait(harness, harness.claim(job), STORAGE)
    pass_time(harness)
    harness.jobs.probe_outages()
    harness.claim(job)
    harness.shift(job, deadline_at=1.0)
    harness.jobs.expire_overdue()
    error = harness.now(job).error or {}
    assert (error["code"], error["stage"]) == ("storage_unavailable", "waiting_for_storage")


def test_it_can_be_cancelled_and_an_outage_nobody_waits_for_is_forgotten(harness: JobStoreHarness) -> None:
    (plain,) = waiting(harness, 1)
    chunked = harness.submit()
    harness.cut(chunked, 2)
    wait(harness, harness.claim_chunk(chunked, 0))
    for job in (plain, chunked):
        assert harness.jobs.cancel(harness.account, job.id).status == "cancelled"
    pass_time(harness)
    assert harness.jobs.probe_outages() == 0
    assert harness.jobs.away() == {}


def test_it_is_not_forgotten_while_somebody_asks(harness: JobStoreHarness) -> None:
    (job,) = waiting(harness, 1)
    pass_time(harness)
    harness.jobs.probe_outages()
    harness.claim(job)
    pass_time(harness)
    assert harness.jobs.probe_outages() == 0
    assert list(harness.jobs.away()) == [FAR]


def test_work_that_fails_while_others_are_answered_has_failed_itself(harness: JobStoreHarness) -> None:
    poison = harness.submit()
    assert wait(harness, harness.claim(poison), suspect=True), "the first to fail cannot know"
    harness.jobs.answered({FAR})
    harness.jobs.end_waits()
    lease = harness.claim(poison)
    assert wait(harness, lease, suspect=True) is False
    assert harness.now(poison).lease_token is not None, "nothing has happened"
    harness.jobs.fail(lease, ERROR, retry_in=0.0)
    waiting(harness, 1)
    assert wait(harness, harness.claim(poison), suspect=True), "others are not answered either"


def test_whoever_holds_on_to_what_it_has_says_what_it_waits_for(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job, 2)
    lease = harness.claim_chunk(job, 0)
    for _ in range(2):
        harness.jobs.hold_on(lease, Dependency.STORAGE, StorageUnavailable().as_dict())
    assert harness.now(job).stage == "waiting_for_storage"
    assert harness.timeline(job).count("waiting_for_storage") == 1
    harness.jobs.complete_chunk(lease, "heard/0")
    assert harness.now(job).stage == "transcribing"


def test_a_void_lease_waits_for_nothing(harness: JobStoreHarness) -> None:
    job = harness.submit()
    lease = harness.claim(job)
    harness.jobs.release(lease)
    with pytest.raises(LeaseLost):
        wait(harness, lease)
    with harness.database.read() as session:
        assert session.scalars(select(Outage)).all() == []


def test_only_who_asked_for_it_by_name_is_told_of_a_wait(harness: JobStoreHarness) -> None:
    hook, events = "https://example.com", ["audio.job.waiting", "audio.job.expired"]
    all_types, named = harness.submit(webhook_url=hook), harness.submit(webhook_url=hook, webhook_events=events)
    hooks = WebhookStore(harness.database)
    for name, types in (("every", ["*"]), ("named", ["audio.job.waiting"])):
        hooks.create_endpoint(harness.account, name=name, url=hook, event_types=types)
    wait(harness, harness.claim(named))
    for _ in range(2):  # who only asks again has nothing new to tell
        pass_time(harness)
        harness.jobs.probe_outages()
        wait(harness, harness.claim(named))
    wait(harness, harness.claim(all_types))
    assert [message.type for message in harness.messages(all_types)] == ["audio.job.waiting"]
    assert [message.type for message in harness.messages(named)] == ["audio.job.waiting"] * 2
    told = json.loads(harness.messages(named)[0].body)["data"]["waiting"]
    assert (told["stage"], told["code"]) == ("waiting_for_provider", "provider_unavailable")
    harness.jobs.answered({FAR})
    harness.jobs.end_waits()
    wait(harness, harness.claim(named))
    assert len(harness.messages(named)) == 4, "it waits once more"


def test_a_failure_of_its_own_ends_the_wait(harness: JobStoreHarness) -> None:
    """Its next try has a time of its own, which the end of an outage does not move."""
    (job,) = waiting(harness, 1)
    pass_time(harness)
    harness.jobs.probe_outages()
    harness.jobs.fail(harness.claim(job), ERROR, retry_in=100)
    harness.jobs.answered({FAR})
    assert harness.jobs.end_waits() == 0
    assert harness.due() == []


def test_only_failures_and_deaths_make_it_one_more_try(harness: JobStoreHarness) -> None:
    job = harness.submit()
    assert try_number(harness.now(job)) == 0
    wait(harness, harness.claim(job))
    pass_time(harness)
    harness.jobs.probe_outages()
    harness.jobs.release(harness.claim(job))
    assert try_number(harness.now(job)) == 1
    harness.jobs.fail(harness.claim(job), ERROR, retry_in=0.0)
    harness.claim(job)
    harness.silence(job)
    harness.jobs.rescue()
    assert try_number(harness.now(job)) == 3
    harness.cut(job, 1)
    harness.hear(job, 0)
    harness.finish(job)
    told = {(event.type, (event.data or {}).get("attempt")) for event in harness.jobs.events(harness.account, job.id)}
    assert told >= {
        ("preparing", 1),
        ("released", 1),
        ("preparing", 2),
        ("worker_lost", 2),
        ("preparing", 3),
        ("stitching", 1),
    }


def test_who_killed_all_its_workers_has_had_as_many_tries(harness: JobStoreHarness) -> None:
    job = harness.submit()
    for run in (1, 2, 3):
        harness.claim(job)
        assert try_number(harness.now(job)) == run
        harness.silence(job)
        harness.jobs.rescue()
    assert (harness.now(job).status, try_number(harness.now(job))) == ("failed", 3)
