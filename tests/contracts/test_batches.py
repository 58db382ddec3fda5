"""Batches over both databases: one moves them on at a time, a line becomes a job once, and counts follow the lines."""

from dataclasses import replace

import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from infra.batches.batch_store import BatchStore, NewBatch
from infra.batches.line_store import LineStore
from infra.database.tables.batches import Batch, BatchLine
from infra.database.tables.jobs import Job
from infra.database.tables.uploads import File
from infra.files.file_store import FileStore
from infra.jobs.store import NewJob
from infra.keys.accounts import Accounts
from pipeline.errors import InvalidRequest, LeaseLost, LimitExceeded, NotFound, WrongState
from tests.contracts.job_store_harness import ERROR, JobStoreHarness


@pytest.fixture
def batches(harness: JobStoreHarness) -> BatchStore:
    return BatchStore(harness.database)


@pytest.fixture
def lines(harness: JobStoreHarness) -> LineStore:
    return LineStore(harness.database)


def keep(harness: JobStoreHarness) -> File:
    return FileStore(harness.database).create(harness.upload("in.jsonl"), purpose="batch", keep_seconds=None)[0]


def asked(harness: JobStoreHarness, window: int = 3600) -> NewBatch:
    file = keep(harness).id
    return NewBatch(harness.account, None, "/v1/audio/transcriptions", file, "24h", window, None, {"a": "b"}, "req_1")


def claimed(harness: JobStoreHarness, count: int = 3, **given: int) -> Batch:
    """A batch with so many lines that wait, which we hold."""
    store, rows = BatchStore(harness.database), LineStore(harness.database)
    made = store.create(asked(harness, **given))[0]
    batch = store.claim()
    assert batch is not None and batch.id == made.id
    rows.add(batch, [row(batch, n) for n in range(1, count + 1)])
    store.validated(batch, count)
    return batch


def row(batch: Batch, n: int) -> BatchLine:
    return BatchLine(batch_id=batch.id, n=n, custom_id=f"c{n}", request="{}", state="waiting")


def start(harness: JobStoreHarness, batch: Batch, line: BatchLine) -> Job:
    new = NewJob(account_id=harness.account, task="transcription", model="oracle", batch_id=batch.id)
    return harness.jobs.create(new, within=LineStore(harness.database).within(batch, line))[0]


def shown(harness: JobStoreHarness, batch: Batch) -> Batch:
    return BatchStore(harness.database).get(harness.account, batch.id)


def steal(harness: JobStoreHarness) -> None:
    with harness.database.write() as session:
        session.execute(update(Batch).values(lease_until=1.0, next_at=0.0))


def test_a_batch_belongs_to_its_account(harness: JobStoreHarness, batches: BatchStore) -> None:
    made = [batches.create(asked(harness))[0] for _ in range(3)]
    stranger = Accounts(harness.database).create_account("other").id
    for call in (batches.get, batches.cancel):
        with pytest.raises(NotFound):
            call(stranger, made[0].id)
    with pytest.raises(InvalidRequest):
        batches.create(replace(asked(harness), account_id=stranger))
    first, more = batches.list(harness.account, limit=2)
    assert ([one.id for one in first], more) == ([made[2].id, made[1].id], True)
    assert [one.id for one in batches.list(harness.account, after=first[-1].id)[0]] == [made[0].id]
    with pytest.raises(InvalidRequest):
        batches.list(stranger, after=made[0].id)


def test_one_moves_it_on_at_a_time(harness: JobStoreHarness, batches: BatchStore, lines: LineStore) -> None:
    first = claimed(harness)
    assert batches.claim() is None
    steal(harness)
    second = batches.claim()
    assert second is not None and second.lease_token != first.lease_token
    for late in (
        lambda: batches.standing(first),
        lambda: batches.finalizing(first, "completed"),
        lambda: batches.finished(first, None, None),
        lambda: batches.refused(first, []),
        lambda: lines.leave_rest(first),
        lambda: lines.ended(first, over=False),
        lambda: lines.add(first, []),
    ):
        with pytest.raises(LeaseLost):
            late()
    batches.release(first)
    assert batches.claim() is None, "what is not ours we cannot release"
    batches.release(second, pause=100)
    assert batches.claim() is None, "not before its time"


def test_a_line_becomes_a_job_once(harness: JobStoreHarness, batches: BatchStore, lines: LineStore) -> None:
    batch = claimed(harness)
    first, second, _ = lines.next_waiting(batch, 10)
    job = start(harness, batch, first)
    with pytest.raises(LeaseLost):
        start(harness, batch, first)
    steal(harness)
    heir = batches.claim()
    assert heir is not None
    with pytest.raises(LeaseLost):
        start(harness, batch, second)
    with harness.database.read() as session:
        assert session.execute(select(func.count()).select_from(Job)).scalar_one() == 1
    assert lines.jobs_under_way(heir) == [job.id]
    assert [line.n for line in lines.next_waiting(heir, 10)] == [2, 3]


def test_batches_of_an_account_share_what_runs_and_each_has_a_few(harness: JobStoreHarness, lines: LineStore) -> None:
    first = claimed(harness, 8)
    for line in lines.next_waiting(first, 6):
        start(harness, first, line)
    assert lines.next_waiting(first, 6) == []
    assert len(lines.next_waiting(first, 7)) == 1
    second = claimed(harness, 8)
    assert [line.n for line in lines.next_waiting(second, 6)] == [1, 2, 3, 4]
    start(harness, second, lines.next_waiting(second, 6)[0])
    assert len(lines.next_waiting(second, 6)) == 3


def test_counts_follow_the_lines(harness: JobStoreHarness, lines: LineStore) -> None:
    batch = claimed(harness, 4)
    well, ill, gone, bad = lines.next_waiting(batch, 10)
    jobs = [start(harness, batch, line) for line in (well, ill, gone)]
    assert lines.ended(batch, over=False) == 0
    harness.jobs.fail(harness.claim(jobs[1]), ERROR)
    harness.jobs.delete(harness.account, jobs[2].id, force=True)
    lines.failed(batch, bad, {"code": "model_not_found", "message": "no"})
    lines.failed(batch, bad, {"code": "model_not_found", "message": "no"})
    assert lines.ended(batch, over=False) == 2
    assert lines.ended(batch, over=False) == 0
    now = shown(harness, batch)
    assert (now.total, now.completed, now.failed) == (4, 0, 3)
    assert lines.remaining(batch)
    harness.jobs.cancel(harness.account, jobs[0].id)
    assert lines.ended(batch, over=True) == 1
    assert not lines.remaining(batch)
    assert [(line.n, line.state) for line, _ in lines.written(batch)] == [
        (1, "left"), (2, "failed"), (3, "failed"), (4, "failed"),
    ]  # fmt: skip


def test_its_jobs_are_no_live_jobs(harness: JobStoreHarness, lines: LineStore) -> None:
    Accounts(harness.database).update(harness.account, limits={"concurrent_jobs": 1})
    batch = claimed(harness)
    inside = [start(harness, batch, line).id for line in lines.next_waiting(batch, 10)]
    outside = harness.submit()
    with pytest.raises(LimitExceeded):
        harness.submit()
    assert [job.id for job in harness.jobs.list(harness.account)[0]] == [outside.id]
    assert [job.id for job in harness.jobs.list(harness.account, batch_id=batch.id, order="asc")[0]] == inside


def test_a_live_batch_keeps_its_files(harness: JobStoreHarness, batches: BatchStore, lines: LineStore) -> None:
    files, sound = FileStore(harness.database), keep(harness)
    batch = claimed(harness, 0)
    line = row(batch, 1)
    line.file_id = sound.id
    lines.add(batch, [line])
    for name in (batch.input_file_id, sound.id):
        with pytest.raises(WrongState):
            files.delete(harness.account, name)
    start(harness, batch, lines.next_waiting(batch, 1)[0])
    files.delete(harness.account, sound.id)
    batches.refused(batch, [{"code": "invalid_line", "line": 1, "message": "no", "param": None}])
    files.delete(harness.account, batch.input_file_id)


def test_a_window_closes_only_while_it_runs(harness: JobStoreHarness, batches: BatchStore) -> None:
    batch = claimed(harness)
    assert batches.standing(batch) == "in_progress"
    with harness.database.write() as session:
        session.execute(update(Batch).values(expires_at=1.0))
    assert batches.standing(batch) == "expired"
    assert batches.cancel(harness.account, batch.id).status == "cancelling"
    assert batches.standing(batch) == "cancelling"
    batches.finalizing(batch, "cancelled")
    batches.finished(batch, None, None)
    ended = shown(harness, batch)
    assert ended.status == "cancelled" and ended.cancelled_at is not None
    assert batches.cancel(harness.account, batch.id).status == "cancelled"
    with harness.database.read() as session:
        left = select(func.count()).select_from(BatchLine).where(col(BatchLine.batch_id) == batch.id)
        assert session.execute(left).scalar_one() == 0
    other = claimed(harness)
    batches.refused(other, [])
    with pytest.raises(WrongState):
        batches.cancel(harness.account, other.id)
