"""Long texts while processes die: every word is said once, what is spoken stays spoken, and the money is exact."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path

import pytest

from infra.database.tables.jobs import Job
from infra.jobs.store import NewJob
from infra.money.job_money import Terms
from pipeline.lifecycle import ChunkStatus, JobStatus
from pipeline.oracle.words import VOCABULARY
from pipeline.text.text_splitter import PASSAGE, passages
from tests.e2e.scenarios import worker_of
from tests.e2e.stack import Stack
from tests.support.waiting import wait_until

MODEL = "voice"
MICRO_PER_CHARACTER = 15
RARE = VOCABULARY[300]  # in no short story; `marked` puts it in


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("stack"))
    try:
        made.start("cpu-1", "cpu-2", "scheduler")
        yield made
    finally:
        made.stop()


def story(length: int, *, seed: int) -> str:
    """So many passages, no two of them alike, in no other story either."""
    sentences = [
        f"{VOCABULARY[(seed + nth) % len(VOCABULARY)]} {VOCABULARY[nth % 7]} in sentence {seed} {nth} of the story."
        for nth in range(length * PASSAGE // 45)
    ]
    return " ".join(sentences)


def marked(text: str, *numbers: int) -> str:
    """With RARE in these passages."""
    for number in numbers:
        passage = list(passages(text, longest=PASSAGE))[number]
        first, end, rest = passage.partition(". ")
        text = text.replace(passage, f"{first} {RARE}{end}{rest}", 1)
    return text


def submit(stack: Stack, text: str, orders: str = "", *, messages: int = 1) -> str:
    services = stack.services
    media = services.media.begin(stack.account, "")
    services.storage.put(media.storage_key, text.encode())
    media = services.media.stored(media.id, len(text.encode()), sha1(text.encode(), usedforsecurity=False).hexdigest())
    request = {"model": MODEL, "voice": "nova", "response_format": "pcm", "speed": 4.0}
    request["instructions"] = f"oracle: {orders}"
    terms = Terms(prices=services.catalog.model(MODEL).prices, text=text)
    told = {"type": "text", "characters": len(text)}
    job, _ = services.jobs.create(
        NewJob(
            account_id=stack.account, task="speech", model=MODEL, request=request, media=media, input=told, terms=terms
        )
    )
    for _ in range(messages):
        assert services.queue.send_job(job.id, job.queue)
    return job.id


def balance(stack: Stack) -> int:
    return stack.services.ledger.balance(stack.account)


def digest(passage: str) -> str:
    return sha1(passage.encode(), usedforsecurity=False).hexdigest()


def assert_spoken(stack: Stack, job: Job, text: str) -> None:
    """Completed, every word told once, in order, at the price of the text; and nothing but the result is kept."""
    assert job.status == JobStatus.COMPLETED, stack.report([job.id])
    transcript = stack.transcript(job)
    assert [word.text for word in transcript.words] == text.split()
    assert (job.captured_micro, job.held_micro) == (MICRO_PER_CHARACTER * len(text), 0)
    assert job.sound is not None
    assert stack.services.storage.size(job.sound["key"]) == job.sound["bytes"]
    assert stack.services.ledger.check() == []


def test_a_killed_worker_costs_only_what_it_was_saying(stack: Stack) -> None:
    before, money = stack.calls(), balance(stack)
    text = marked(story(10, seed=1), 4)
    job_id = submit(stack, text, f"until=killed at={RARE}")
    name = stack.name_of(wait_until(lambda: worker_of(stack, job_id, after=2)))
    done = [chunk.idx for chunk in stack.services.jobs.chunks(job_id) if chunk.status == ChunkStatus.COMPLETED]
    stack.kill(name)
    stack.let("killed")
    (job,) = stack.ended(job_id)
    assert_spoken(stack, job, text)
    assert len(done) >= 2
    calls, said = stack.calls() - before, list(passages(text, longest=PASSAGE))
    assert [calls[digest(said[idx])] for idx in done] == [1] * len(done), "what was spoken is not spoken again"
    assert sum(calls.values()) <= len(said) + 1
    assert money - balance(stack) == MICRO_PER_CHARACTER * len(text)
    stack.start(name)


def test_a_passage_that_fails_for_good_is_all_that_a_retry_says(stack: Stack) -> None:
    """`fail=1` of a refusal: the first run ends on it, the second one gets through."""
    text, before, money = story(5, seed=2), stack.calls(), balance(stack)
    text = marked(text, 3)
    job_id = submit(stack, text, f"fail=1 error=refused at={RARE}")
    (job,) = stack.ended(job_id)
    assert (job.status, (job.error or {}).get("code")) == (JobStatus.FAILED, "provider_refused"), job.error
    assert (job.captured_micro, job.held_micro, balance(stack)) == (0, 0, money), "failed work is free"
    spoken = {chunk.idx for chunk in stack.services.jobs.chunks(job_id) if chunk.status == ChunkStatus.COMPLETED}
    first = stack.calls() - before
    stack.services.jobs.retry(stack.account, job_id)
    (job,) = stack.ended(job_id)
    assert_spoken(stack, job, text)
    second = stack.calls() - before - first
    pieces = list(passages(text, longest=PASSAGE))
    assert not {digest(pieces[idx]) for idx in spoken} & set(second), "finished passages are kept"
    assert money - balance(stack) == MICRO_PER_CHARACTER * len(text)


def test_cancelling_stops_the_voice(stack: Stack) -> None:
    """Whoever comes to the fifth, sixth or seventh passage waits until it is cancelled."""
    text, before, money = marked(story(20, seed=3), 4, 5, 6), stack.calls(), balance(stack)
    job_id = submit(stack, text, f"until=cancelled at={RARE}")
    wait_until(lambda: worker_of(stack, job_id, after=1))
    stack.services.jobs.cancel(stack.account, job_id)
    stack.let("cancelled")
    (job,) = stack.ended(job_id)
    assert job.status == JobStatus.CANCELLED
    paid = money - balance(stack)
    assert (job.held_micro, job.captured_micro) == (0, paid)
    assert 0 < paid < MICRO_PER_CHARACTER * len(text)
    assert sum((stack.calls() - before).values()) < len(list(passages(text, longest=PASSAGE)))


def test_many_messages_and_many_passages(stack: Stack) -> None:
    text, before = story(40, seed=4), stack.calls()
    job_id = submit(stack, text, messages=20)
    (job,) = stack.ended(job_id)
    assert_spoken(stack, job, text)
    assert job.chunks_total > 30
    assert set((stack.calls() - before).values()) == {1}
    # The passages' sound goes after the job has ended.
    wait_until(lambda: len(list(stack.services.storage.list(f"t/{stack.account}/jobs/{job_id}"))) == 3)


def test_nothing_is_logged_of_what_is_said(stack: Stack) -> None:
    logs = "".join(path.read_text(errors="replace") for path in Path(stack.home).glob("cpu*.log"))
    assert "of the story" not in logs
