"""The view by which installations of many machines are scaled: what waits and what is in work, in seconds of sound."""

from typing import NamedTuple

import pytest
from sqlalchemy import text

from infra.database.tables.jobs import Job
from tests.contracts.job_store_harness import JobStoreHarness

CHUNK_SECONDS = 2.0  # of one second, as it is priced


class Load(NamedTuple):
    """One row of it."""

    waiting: float
    running: float
    oldest: float


def load(harness: JobStoreHarness) -> dict[tuple[str, str], Load]:
    with harness.database.read() as session:
        rows = session.execute(text("SELECT * FROM stenopool_load")).all()
    return {(row.role, row.lane): Load(*map(float, row[2:])) for row in rows}


def amounts(harness: JobStoreHarness, role: str = "cpu", lane: str = "normal") -> tuple[float, float]:
    found = load(harness)[role, lane]
    return found.waiting, found.running


def recording(harness: JobStoreHarness, seconds: float, **given: object) -> Job:
    return harness.submit(input={"expected_ms": int(seconds * 1000)}, **given)


def test_every_lane_of_every_role_is_told_and_empty_at_first(harness: JobStoreHarness) -> None:
    nothing = Load(0.0, 0.0, 0.0)
    assert load(harness) == {(role, lane): nothing for role in ("cpu", "io") for lane in ("normal", "archive")}


def test_a_claim_moves_it_from_waiting_to_running_and_an_end_takes_it_away(harness: JobStoreHarness) -> None:
    job = recording(harness, 40)
    assert amounts(harness) == (43.0, 0.0)  # its preparation: a second, the first minute, a twentieth
    lease = harness.claim(job)
    assert amounts(harness) == (0.0, 43.0)
    harness.cut(job, 3, lease)
    assert amounts(harness) == (3 * CHUNK_SECONDS, 0.0)
    harness.claim_chunk(job, 0)
    assert amounts(harness) == (2 * CHUNK_SECONDS, CHUNK_SECONDS)
    harness.silence(job, 0)
    harness.jobs.rescue()
    assert amounts(harness) == (3 * CHUNK_SECONDS, 0.0)
    for idx in range(3):
        harness.hear(job, idx)
    harness.finish(job)
    assert set(load(harness).values()) == {Load(0.0, 0.0, 0.0)}


def test_archives_are_told_apart(harness: JobStoreHarness) -> None:
    low, high = recording(harness, 40, priority=-10), recording(harness, 20, priority=5)
    assert amounts(harness, lane="archive") == (43.0, 0.0)
    assert amounts(harness) == (22.0, 0.0)
    harness.claim(low)
    harness.claim(high)
    assert amounts(harness, lane="archive") == (0.0, 43.0)
    assert amounts(harness) == (0.0, 22.0)


def test_roles_are_told_apart(harness: JobStoreHarness) -> None:
    recording(harness, 40, queue="io")
    assert amounts(harness, "io") == (43.0, 0.0)
    assert amounts(harness, "cpu") == (0.0, 0.0)


def test_the_oldest_is_the_one_that_could_have_been_taken_longest(harness: JobStoreHarness) -> None:
    old, later = recording(harness, 1), recording(harness, 1)
    harness.shift(old, run_at=old.run_at - 1000)
    harness.shift(later, run_at=later.run_at + 1000)
    assert 1000 <= load(harness)["cpu", "normal"].oldest < 1900
    harness.claim(old)
    assert load(harness)["cpu", "normal"].oldest == 0.0  # the other's time has not come


@pytest.mark.parametrize("jobs", [3])
def test_what_is_finished_is_never_looked_at(harness: JobStoreHarness, jobs: int) -> None:
    """Each part has an index that holds no finished row; statistics of a small table would rather read all of it."""
    for _ in range(jobs):
        harness.finish_short(harness.submit())
    plan = _plan(harness)
    assert "ix_jobs_held" in plan
    assert "ix_chunks_live" in plan
    for table in ("jobs", "chunks"):
        assert f"Seq Scan on {table}" not in plan and f"SCAN {table}\n" not in plan


def _plan(harness: JobStoreHarness) -> str:
    ask = "EXPLAIN" if harness.database.kind == "postgresql" else "EXPLAIN QUERY PLAN"
    with harness.database.read() as session:
        if harness.database.kind == "postgresql":
            session.execute(text("SET LOCAL enable_seqscan = off"))
        rows = session.execute(text(f"{ask} SELECT * FROM stenopool_load")).all()
    return "".join(f"{row[-1]}\n" for row in rows)
