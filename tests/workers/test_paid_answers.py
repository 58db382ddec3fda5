"""A process dies after the answer has come, in whichever moment: nobody is asked again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col

from infra.database.tables.jobs import Chunk, Job
from infra.database.tables.shares import Outage
from infra.storage.answer_spool import AnswerSpool
from pipeline.lifecycle import JobStatus
from tests.support.recordings import Recording, long, short
from tests.workers.conftest import WorkerHarness
from workers.job_context import JobContext
from workers.paid_answers import mark_of, paid_once
from workers.steps.turn import take_turn

pytestmark = pytest.mark.processes

LONG = long(12, seed=3)


class Killed(BaseException):
    """As far as the code goes that a killed process would still have performed."""


class DiesKeeping(AnswerSpool):
    """The process is killed when the answer is on the disk."""

    def keep(self, name: str, data: bytes) -> None:
        super().keep(name, data)
        raise Killed


@pytest.fixture
def kept(harness: WorkerHarness) -> Path:
    return harness.services.settings.home / "answers"


def dies_keeping(harness: WorkerHarness) -> Callable[[], None]:
    """The next answer is the process' last deed; returns how to start another process."""
    whole = harness.services.answers
    harness.services.answers = DiesKeeping(harness.services.settings.home / "answers")
    return lambda: setattr(harness.services, "answers", whole)


def let_another_take_over(harness: WorkerHarness) -> None:
    """The dead one's lease has run out."""
    with harness.services.database.write() as session:
        session.execute(update(Job).where(col(Job.lease_token).is_not(None)).values(lease_until=1.0))
        session.execute(update(Chunk).where(col(Chunk.lease_token).is_not(None)).values(lease_until=1.0))
    assert harness.services.jobs.rescue() == 1


def assert_done(harness: WorkerHarness, job_id: str, recording: Recording) -> None:
    assert harness.job(job_id).status == JobStatus.COMPLETED
    assert harness.text(job_id).split() == list(recording.words)


@pytest.mark.parametrize("recording", [short(1), LONG], ids=["the whole recording", "a chunk"])
def test_an_answer_that_was_not_stored_is_found_on_the_disk(
    harness: WorkerHarness, kept: Path, recording: Recording
) -> None:
    job_id = harness.submit(recording)
    if recording is LONG:
        harness.work(most=1)
    start_another = dies_keeping(harness)
    with pytest.raises(Killed):
        harness.work(most=1)
    start_another()
    let_another_take_over(harness)
    assert len(list(kept.iterdir())) == 1
    harness.work()
    assert_done(harness, job_id, recording)
    assert harness.calls() == max(1, len(harness.services.jobs.chunks(job_id)))
    assert list(kept.iterdir()) == []


def test_an_answer_that_was_stored_is_found_in_the_store(
    harness: WorkerHarness, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a worker of any machine."""
    job_id = harness.submit(LONG)
    harness.work(most=1)

    def die(*_: object, **__: object) -> bool:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(harness.services.jobs, "complete_chunk", die)  # its row is not told
        harness.work(most=1)
    let_another_take_over(harness)
    for path in kept.iterdir():
        path.unlink()
    harness.work()
    assert_done(harness, job_id, LONG)
    chunks = harness.services.jobs.chunks(job_id)
    assert harness.calls() == len(chunks)
    keys = [str(chunk.result_key) for chunk in chunks]
    assert all(f"/{chunk.idx}-1-" in key for chunk, key in zip(chunks, keys, strict=True)), "of the first attempt"


def test_a_spoken_passage_is_found_as_well(harness: WorkerHarness) -> None:
    services = harness.services
    media = services.media.begin(harness.account, "text.txt")
    services.storage.put(media.storage_key, b"one two three")
    media = services.media.stored(media.id, 13, "ab" * 32)
    job_id = harness.create(
        model="oracle", media=media, task="speech", request={"voice": "alloy", "response_format": "wav"}
    )
    harness.work(most=1)
    start_another = dies_keeping(harness)
    with pytest.raises(Killed):
        harness.work(most=1)
    start_another()
    let_another_take_over(harness)
    harness.work()
    assert harness.job(job_id).status == JobStatus.COMPLETED
    assert harness.calls() == 1


def test_an_answer_that_was_found_says_nothing_of_the_provider(harness: WorkerHarness) -> None:
    """Whoever waits for it goes on to wait."""
    job_id = harness.submit(LONG, model="far")
    harness.work(most=1)
    start_another = dies_keeping(harness)
    with pytest.raises(Killed):
        take_turn(harness.worker("io"))
    start_another()
    let_another_take_over(harness)
    place = "provider far/oracle"
    with harness.services.database.write() as session:
        session.add(Outage(place=place, since=1.0, pause=1.0, probe_at=9e9))
    take_turn(harness.worker("io"))
    assert harness.job(job_id).chunks_completed == 1
    assert place in harness.services.jobs.away()
    take_turn(harness.worker("io"))
    assert place not in harness.services.jobs.away(), "this one was asked for"


def test_work_that_is_given_back_leaves_its_answer(harness: WorkerHarness) -> None:
    harness.submit(short(1))
    worker = harness.worker()
    claimed = harness.services.jobs.claim_next("cpu", worker.name)
    assert claimed
    with worker.leases.holding(claimed.lease) as held:
        context = JobContext(harness.services, held, claimed.job)
        with paid_once(context, "question", lambda: b"answer") as answer:
            held.is_given_back = True
        assert (answer.data, answer.is_new) == (b"answer", True)
        held.is_given_back, held.lease = False, replace(held.lease, attempt=2)
        with paid_once(context, "another question", lambda: b"another answer") as answer:
            assert answer.data == b"another answer"
        with paid_once(context, "question", lambda: b"") as answer:
            assert (answer.data, answer.is_new) == (b"answer", False)
        with paid_once(context, "question", lambda: b"asked again") as answer:
            assert answer.data == b"asked again", "it was used, and is gone"


def test_marks_tell_questions_apart() -> None:
    assert mark_of("t/a/sound/1-0.pcm") != mark_of("t/a/sound/2-0.pcm")
