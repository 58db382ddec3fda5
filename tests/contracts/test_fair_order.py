"""Who is served before whom: between accounts, within one, and where slow work waits."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from infra.database.tables.jobs import Job
from infra.jobs.chunks import SAMPLE_RATE
from infra.jobs.claims import Claimed
from infra.jobs.store import Finished, HeardChunk
from infra.keys.accounts import Accounts
from infra.keys.tiers import WEIGHTS
from infra.worker_heartbeats import WorkerStore
from tests.contracts.job_store_harness import JobStoreHarness, span

UNLIMITED = {"transcription_minutes_per_day": None, "concurrent_jobs": None}
CHUNK_SECONDS = 30


def tenant(harness: JobStoreHarness, tier: str = "pro") -> JobStoreHarness:
    """The same store, used by another account of a tier, without its limits."""
    account = Accounts(harness.database).create_account(tier, tier, limits=UNLIMITED)
    return replace(harness, account=account.id)


def recording(harness: JobStoreHarness, seconds: float, **given: Any) -> Job:
    """A queued job whose recording says that it lasts so long."""
    return harness.submit(input={"expected_ms": int(seconds * 1000)}, **given)


def cut(
    harness: JobStoreHarness, job: Job, chunks: int, seconds: int = CHUNK_SECONDS, *, in_line: bool = False
) -> None:
    """Prepare it into chunks of so many seconds, for an engine of their own or one for which workers stand in line."""
    lease, length = harness.claim(job), seconds * SAMPLE_RATE
    for idx in range(chunks):
        at = {"audio_start": idx * length, "audio_end": (idx + 1) * length}
        own = {"own_start": idx * length, "own_end": (idx + 1) * length}
        harness.jobs.add_chunk(lease, idx, span(idx) | at | own, f"sound/{lease.attempt}-{idx}", in_line=in_line)
    harness.jobs.cut_done(lease, chunks * length, chunks)


def workers(harness: JobStoreHarness, role: str, *slots: int) -> None:
    """So many processes show themselves, with so many threads each."""
    for number, threads in enumerate(slots):
        WorkerStore(harness.database).beat(f"{role}{number}", role, "here", number, {"slots": threads})


def claimed(harness: JobStoreHarness, role: str = "cpu") -> Claimed:
    """What must be there."""
    found = harness.jobs.claim_next(role, "w")
    assert found is not None
    return found


def order(harness: JobStoreHarness, turns: int, role: str = "cpu") -> list[tuple[str, int | None]]:
    """What so many workers find, one after another, none of which ever ends."""
    return [(turn.lease.job_id, turn.lease.idx) for turn in (claimed(harness, role) for _ in range(turns))]


def test_a_clip_behind_three_long_recordings_of_another_account_is_claimed_next(harness: JobStoreHarness) -> None:
    workers(harness, "cpu", 1, 1, 1, 1)
    archive, other = tenant(harness, "enterprise"), tenant(harness, "free")
    long = [recording(archive, 7200) for _ in range(3)]
    cut(archive, long[0], 20)
    assert claimed(harness).job.account_id == archive.account
    clip = recording(other, 3)
    assert order(harness, 1) == [(clip.id, None)]


def test_a_clip_does_not_wait_behind_its_own_accounts_archive(harness: JobStoreHarness) -> None:
    archive = recording(harness, 2400)
    cut(harness, archive, 80)
    order(harness, 5)
    clip = recording(harness, 11)
    assert (clip.id, None) in order(harness, 2), "one turn in four is the oldest recording's"


def test_an_archive_does_not_starve_behind_its_own_accounts_clips(harness: JobStoreHarness) -> None:
    archive = recording(harness, 2400)
    cut(harness, archive, 10)
    clips = {recording(harness, 3).id for _ in range(30)}
    served = [job_id for job_id, _ in order(harness, 40)]
    assert [served[n : n + 4].count(archive.id) for n in range(0, 40, 4)] == [1] * 10
    assert clips | {archive.id} == set(served)


def test_an_account_that_was_away_has_saved_nothing_up(harness: JobStoreHarness) -> None:
    """It is next with one piece, and then they take turns."""
    one, late = tenant(harness), tenant(harness)
    cut(one, recording(one, 1200), 40)
    order(harness, 20)
    cut(late, recording(late, 600), 20)
    served = [claimed(harness).job.account_id for _ in range(10)]
    assert served[0] == late.account
    assert Counter(served) == {one.account: 5, late.account: 5}


@pytest.mark.parametrize("seed", range(3))
def test_served_seconds_differ_by_one_chunk_per_weight_at_most(harness: JobStoreHarness, seed: int) -> None:
    dice = random.Random(seed)
    accounts = [tenant(harness, tier) for tier in ("free", "pro", "pro", "enterprise")]
    weight = {
        one.account: WEIGHTS[tier] for one, tier in zip(accounts, ("free", "pro", "pro", "enterprise"), strict=True)
    }
    dice.shuffle(accounts)
    for one in accounts:
        for _ in range(2):
            cut(one, recording(one, 1800), 30, dice.choice((10, 20, 30)))
    served = dict.fromkeys(weight, 0.0)
    for _ in range(70):
        turn = claimed(harness)
        assert turn.chunk is not None
        served[turn.job.account_id] += (1000 + turn.chunk.cost_ms) / weight[turn.job.account_id]
        for one, two in combinations(served, 2):
            allowed = (CHUNK_SECONDS + 1) * 1000 * (1 / weight[one] + 1 / weight[two])
            assert abs(served[one] - served[two]) <= allowed
    harness.check_queue()


def test_priority_orders_within_an_account_alone(harness: JobStoreHarness) -> None:
    one, two = tenant(harness), tenant(harness)
    low, normal, urgent = (recording(one, 30, priority=priority) for priority in (-9, 0, 10))
    others = [recording(two, 30, priority=-9) for _ in range(3)]
    served = [job_id for job_id, _ in order(harness, 6)]
    assert [job_id for job_id in served if job_id in {low.id, normal.id, urgent.id}] == [urgent.id, normal.id, low.id]
    assert [others[0].account_id == harness.now(Job(id=job_id)).account_id for job_id in served[:4]].count(True) == 2


def test_stitching_and_preparing_and_hearing_stand_in_one_order(harness: JobStoreHarness) -> None:
    heard, cutting, new = recording(harness, 60), recording(harness, 120), recording(harness, 90)
    cut(harness, cutting, 4)
    cut(harness, heard, 1)
    harness.hear(heard, 0)
    assert order(harness, 3) == [(heard.id, None), (new.id, None), (cutting.id, 0)]


def test_long_preparations_leave_one_process_to_everybody_else(harness: JobStoreHarness) -> None:
    workers(harness, "cpu", 1, 1, 1, 1)
    one, two = tenant(harness), tenant(harness)
    long = [recording(one, 7200) for _ in range(4)] + [recording(two, 7200)]
    first = [turn.job.id for turn in (claimed(harness), claimed(harness))]
    assert harness.jobs.claim_next("cpu", "w") is None, "one process waits for short work, one for chunks in line"
    assert harness.jobs.due() == {"cpu": 0, "io": 0}
    clip = recording(two, 3)
    assert order(harness, 1) == [(clip.id, None)]
    for job in long:
        if job.id in first[:1]:
            harness.jobs.cancel(job.account_id, job.id)
            harness.silence(job)
    harness.jobs.close_cancelled()
    assert claimed(harness).slow


def test_chunks_in_an_engines_line_leave_one_process_to_everybody_else(harness: JobStoreHarness) -> None:
    """T11: an account's recordings at an engine that all share, and a clip of another account that needs none of it."""
    workers(harness, "cpu", 1, 1, 1)
    archive, other = tenant(harness), tenant(harness)
    heard = recording(archive, 660)
    cut(archive, heard, 22, in_line=True)
    first, second = claimed(harness), claimed(harness)
    assert [(turn.lease.job_id, turn.lease.idx) for turn in (first, second)] == [(heard.id, 0), (heard.id, 1)]
    assert harness.jobs.claim_next("cpu", "w") is None, "two wait for the engine already"
    assert harness.jobs.due() == {"cpu": 0, "io": 0}
    clip = recording(other, 3)
    assert order(harness, 1) == [(clip.id, None)]
    harness.jobs.complete_chunk(first.lease, "result", "whisper-base")
    assert order(harness, 1) == [(heard.id, 2)]
    harness.check_queue()


def test_chunks_in_line_and_preparations_leave_room_for_each_other(harness: JobStoreHarness) -> None:
    workers(harness, "cpu", 1, 1, 1)
    one, two = tenant(harness), tenant(harness)
    heard = recording(one, 660)
    cut(one, heard, 22, in_line=True)
    long = [recording(two, 7200) for _ in range(2)]
    begun = {(turn.lease.job_id, turn.lease.idx): turn.lease for turn in (claimed(harness), claimed(harness))}
    assert begun.keys() == {(heard.id, 0), (long[0].id, None)}
    assert harness.jobs.claim_next("cpu", "w") is None, "the third is for what is quick"
    harness.jobs.complete_chunk(begun[heard.id, 0], "result", "whisper-base")
    assert order(harness, 1) == [(heard.id, 1)], "no second preparation, though its owner was given less"


def test_of_two_processes_a_preparation_leaves_one_to_the_line(harness: JobStoreHarness) -> None:
    """Minutes of it hold up no engine, and chunks that come without end hold up no preparation."""
    workers(harness, "cpu", 1, 1)
    one, two = tenant(harness), tenant(harness)
    heard = recording(one, 660)
    cut(one, heard, 22, in_line=True)
    chunk = claimed(harness)
    long = [recording(two, 7200) for _ in range(2)]
    assert harness.jobs.claim_next("cpu", "w") is None, "one process is left to what is quick"
    harness.jobs.complete_chunk(chunk.lease, "result", "whisper-base")
    assert order(harness, 2) == [(long[0].id, None), (heard.id, 1)]
    assert harness.jobs.claim_next("cpu", "w") is None


def test_everybodys_chunks_take_turns_in_the_line(harness: JobStoreHarness) -> None:
    workers(harness, "cpu", 1, 1, 1)
    one, two = tenant(harness), tenant(harness)
    for account in (one, two):
        cut(account, recording(account, 660), 22, in_line=True)
    served = []
    for _ in range(10):
        turn = claimed(harness)
        served.append(turn.job.account_id)
        assert turn.chunk is not None and turn.slow
        harness.jobs.complete_chunk(turn.lease, "result", "whisper-base")
    assert Counter(served) == {one.account: 5, two.account: 5}


def test_one_process_prepares_what_there_is(harness: JobStoreHarness) -> None:
    workers(harness, "cpu", 1)
    job = recording(harness, 7200)
    assert order(harness, 1) == [(job.id, None)]


def test_downloads_leave_threads_for_everything_else(harness: JobStoreHarness) -> None:
    workers(harness, "io", 8, 8)
    one, others = tenant(harness), [tenant(harness) for _ in range(2)]
    for account in (one, *others):
        for _ in range(34):
            account.submit(source={"url": "https://example.com"}, queue="io", input={"type": "url"})
    alone = 4
    begun = Counter(claimed(harness, "io").job.account_id for _ in range(8))
    assert max(begun.values()) <= alone
    assert harness.jobs.claim_next("io", "w") is None, "half of sixteen threads"
    call = recording(one, 30)
    cut(one, call, 1)
    harness.shift_chunk(call, 0, queue="io")
    assert order(harness, 1, "io") == [(call.id, 0)]


def test_one_account_alone_downloads_with_a_quarter_of_the_threads(harness: JobStoreHarness) -> None:
    workers(harness, "io", 16)
    for _ in range(10):
        harness.submit(source={"url": "https://example.com"}, queue="io", input={"type": "url"})
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: harness.jobs.claim_next("io", "w"), range(16)))
    assert sum(turn is not None for turn in found) == 4
    assert harness.jobs.due() == {"cpu": 0, "io": 0}


def test_many_workers_at_once_find_many_pieces(harness: JobStoreHarness) -> None:
    accounts = [tenant(harness, "free") for _ in range(4)]
    for one in accounts:
        cut(one, recording(one, 300), 10)
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda _: harness.jobs.claim_next("cpu", "w"), range(40)))
    keys = {(turn.lease.job_id, turn.lease.idx) for turn in found if turn is not None}
    while late := harness.jobs.claim_next("cpu", "w"):  # whom another's lock made go home
        keys.add((late.lease.job_id, late.lease.idx))
    assert len(keys) == 40
    harness.check_queue()


def test_a_claim_takes_what_waits_for_its_role_alone(harness: JobStoreHarness) -> None:
    harness.submit(queue="io")
    assert harness.jobs.claim_next("cpu", "w") is None
    assert claimed(harness, "io").job.queue == "io"


def test_what_cannot_be_claimed_is_passed_over(harness: JobStoreHarness) -> None:
    late, good = recording(harness, 3, timeout_seconds=60), recording(harness, 30)
    harness.shift(late, deadline_at=1.0)
    assert order(harness, 1) == [(good.id, None)]


def test_a_short_recording_is_finished_by_who_prepared_it(harness: JobStoreHarness) -> None:
    turn = claimed(harness) if recording(harness, 3) else None
    assert turn is not None
    done = harness.jobs.finish(turn.lease, Finished(result_key="t"), HeardChunk(span=span(0)))
    assert done.status == "completed"
    harness.check_queue()
