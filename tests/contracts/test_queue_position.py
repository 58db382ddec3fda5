"""Where a job stands in the queue is where it is served."""

import random
from dataclasses import replace

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from infra.database.tables.jobs import Job
from infra.database.tables.shares import Lane
from infra.jobs.store import QueuePlace
from infra.keys.accounts import Accounts
from tests.contracts.job_store_harness import JobStoreHarness


def recording(harness: JobStoreHarness, seconds: float) -> Job:
    return harness.submit(input={"expected_ms": int(seconds * 1000)})


def place(harness: JobStoreHarness, job: Job) -> QueuePlace | None:
    return harness.jobs.places(job.account_id, [harness.now(job)]).get(job.id)


def tenant(harness: JobStoreHarness) -> JobStoreHarness:
    return replace(harness, account=Accounts(harness.database).create_account("t", "enterprise").id)


def cost(seconds: float) -> int:
    """Of preparing a recording so long."""
    ms = int(seconds * 1000)
    return 1000 + min(ms, 60_000) + ms // 20


def test_a_clip_has_nothing_of_its_owners_archive_before_it(harness: JobStoreHarness) -> None:
    archive, clip = recording(harness, 400), recording(harness, 11)
    assert place(harness, clip) == QueuePlace("cpu", 0, None)
    assert place(harness, archive) == QueuePlace("cpu", cost(11), None)
    both = harness.jobs.places(harness.account, [harness.now(archive), harness.now(clip)])
    assert {job_id: found.ahead_ms for job_id, found in both.items()} == {clip.id: 0, archive.id: cost(11)}
    harness.claim(clip)
    assert place(harness, clip) is None
    assert place(harness, archive) == QueuePlace("cpu", 0, None)


def test_others_stand_before_it_by_their_share_alone(harness: JobStoreHarness) -> None:
    one, two = tenant(harness), tenant(harness)
    for _ in range(20):
        recording(one, 60)
    mine = [recording(two, 60) for _ in range(3)]
    found = [place(two, job) for job in mine]
    assert [at.ahead_ms for at in found if at] == [0, 2 * cost(60), 4 * cost(60)]


@pytest.mark.parametrize("seed", range(2))
def test_what_is_said_to_be_ahead_is_served_before(harness: JobStoreHarness, seed: int) -> None:
    """Up to one piece of each account, and the turns that go to the oldest."""
    dice = random.Random(seed)
    accounts = [tenant(harness) for _ in range(3)]
    jobs = [recording(dice.choice(accounts), dice.choice((30, 60))) for _ in range(24)]
    for _ in range(4):
        harness.jobs.claim_next("cpu", "w")
    waiting = [job for job in jobs if harness.now(job).status == "queued"]
    said = {job.id: place(harness, job) for job in waiting}
    served, before = {}, 0
    while turn := harness.jobs.claim_next("cpu", "w"):
        served[turn.job.id] = before
        before += cost(turn.job.size_ms / 1000)
    for job_id, at in said.items():
        assert at is not None and at.ahead_ms is not None
        assert abs(at.ahead_ms - served[job_id]) <= 5 * cost(60)
    assert len(served) == len(waiting)


def test_the_eta_goes_by_the_speed_of_late(harness: JobStoreHarness) -> None:
    for _ in range(3):
        recording(harness, 60)
    last = recording(harness, 90)

    def turn_back(seconds: float) -> None:
        with harness.database.write() as session:
            session.execute(update(Lane).values(looked_at=col(Lane.looked_at) - seconds))

    harness.jobs.measure_speed()
    harness.jobs.claim_next("cpu", "w")
    turn_back(15)
    harness.jobs.measure_speed()
    with harness.database.read() as session:
        speed = dict(session.execute(select(col(Lane.role), col(Lane.ms_per_second))).all())
    assert speed["io"] is None
    assert speed["cpu"] == pytest.approx(cost(60) / 15, rel=0.3)
    at = place(harness, last)
    assert at is not None and at.eta is not None and at.ahead_ms == 2 * cost(60)
    turn_back(3600)
    harness.jobs.measure_speed()  # nobody looked for an hour: that tells nothing
    with harness.database.read() as session:
        assert dict(session.execute(select(col(Lane.role), col(Lane.ms_per_second))).all()) == speed
