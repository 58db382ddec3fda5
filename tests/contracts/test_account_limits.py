"""What an account stores is counted exactly, and refused where it has no room, on both databases."""

import contextlib
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from infra.database.session import Database
from infra.database.tables.accounts import Account
from infra.database.tables.jobs import Job
from infra.database.tables.uploads import Media
from infra.jobs.store import Finished, HeardChunk, NewJob
from infra.keys.account_limits import recounted
from infra.keys.accounts import Accounts
from infra.money.quota import Quota
from infra.webhooks.store import WebhookStore
from pipeline.errors import BeyondLimit, InputMissing, LeaseLost, LimitExceeded, NotFound, StenopoolError
from tests.contracts.job_store_harness import ERROR, JobStoreHarness, span

STEPS = 60
ENDPOINT = {"name": "", "url": "https://example.org/hook", "event_types": ["audio.job.completed"]}


def limit(harness: JobStoreHarness, **own: int) -> None:
    Accounts(harness.database).update(harness.account, limits=own)


def counters(harness: JobStoreHarness) -> tuple[int, int]:
    """(bytes, results) as the account's row has them, which its media and jobs bear out."""
    with harness.database.read() as session:
        columns = (col(Account.stored_bytes), col(Account.stored_results))
        row = session.execute(select(*columns).where(col(Account.id) == harness.account)).one()
        assert tuple(row) == recounted(session, harness.account)
    return row[0], row[1]


def spoken(harness: JobStoreHarness, **given: Any) -> Job:
    wanted = {"account_id": harness.account, "task": "speech", "model": "oracle", "input": {"characters": 1}}
    return harness.jobs.create(NewJob(**{**wanted, **given}))[0]


def store(harness: JobStoreHarness, size: int) -> Media:
    return harness.media.stored(harness.media.begin(harness.account, "a.wav", expected=size).id, size, "ab" * 32)


class Life:
    """Everything that can happen to media and jobs, in an order that dice decide."""

    def __init__(self, harness: JobStoreHarness, seed: int) -> None:
        self.harness, self.dice = harness, random.Random(seed)
        self.jobs = [spoken(harness, retention_seconds=0)]
        self.media = [harness.media.begin(harness.account, None)]

    def step(self) -> None:
        moves: list[Callable[[], object]] = [
            self.upload, self.upload, self.create, self.create, self.speak, self.go_on, self.go_on, self.go_on, self.end, self.end,
            self.sweep, self.drop,
        ]  # fmt: skip
        with contextlib.suppress(StenopoolError):
            self.dice.choice(moves)()

    def upload(self) -> None:
        media = self.harness.media.begin(
            self.harness.account, None, expected=self.dice.choice([0, 500]), at_least=self.dice.choice([0, 0, 400])
        )
        self.media.append(media)
        if self.dice.random() < 0.8:
            size = self.dice.randrange(1, 900)
            grown = self.harness.media.grow(media, size)
            assert grown.counted >= size
            if self.dice.random() < 0.8:
                self.harness.media.stored(media.id, size, "x")

    def create(self) -> None:
        media = self.dice.choice([None, *self.media])
        blobs = {"key": "b", "bytes": self.dice.randrange(300), "shown": {}} if self.dice.random() < 0.3 else None
        self.jobs.append(self.harness.submit(media=media, blobs=blobs, retention_seconds=0))

    def speak(self) -> None:
        self.jobs.append(spoken(self.harness, retention_seconds=0))

    def go_on(self) -> None:
        jobs = self.harness.jobs
        claimed = self.harness.take(self.dice.choice(self.jobs).id)
        if claimed is None:
            return
        lease, job = claimed.lease, claimed.job
        if job.task == "speech" and not job.cut_done:
            jobs.add_chunk(lease, 0, span(0), "t", size=self.dice.randrange(50))
            jobs.cut_done(lease, 1, 1)
            heard = self.harness.claim_chunk(job, 0)
            jobs.complete_chunk(heard, "spoken", size=self.dice.randrange(400))
        elif job.task == "speech":
            sound = {"key": "k", "bytes": self.dice.randrange(800), "format": "wav", "duration": 1}
            jobs.want_room(lease, sound["bytes"])
            jobs.finish(lease, Finished(result_key="r", size=20, sound=sound))
        elif self.dice.random() < 0.5:
            jobs.finish(lease, Finished(result_key="r", size=self.dice.randrange(200)), HeardChunk(span=span(0)))
        else:
            self.dice.choice([lambda: jobs.fail(lease, ERROR), lambda: jobs.release(lease), lambda: None])()

    def end(self) -> None:
        jobs, account, job = self.harness.jobs, self.harness.account, self.dice.choice(self.jobs)
        self.dice.choice(
            [
                lambda: jobs.cancel(account, job.id),
                lambda: jobs.cancel(account, job.id),
                lambda: jobs.delete(account, job.id, force=True),
                lambda: jobs.retry(account, job.id),
                lambda: self.harness.purge(job),
                jobs.close_cancelled,
            ]
        )()

    def drop(self) -> None:
        self.dice.choice([self.harness.media.forget, self.harness.media.give_up])(self.dice.choice(self.media).id)

    def sweep(self) -> None:
        for media in self.harness.media.orphans(0) + self.harness.media.unneeded(0):
            self.harness.media.forget(media.id)


@pytest.mark.parametrize("seed", range(4))
def test_the_counters_are_what_the_rows_say_after_every_step(harness: JobStoreHarness, seed: int) -> None:
    limit(harness, stored_bytes=3000, stored_results=6)
    life = Life(harness, seed)
    for _ in range(STEPS):
        life.step()
        stored, results = counters(harness)
        assert stored >= 0 and 0 <= results <= 6
    for job in life.jobs:
        with contextlib.suppress(NotFound):
            harness.jobs.delete(harness.account, job.id, force=True)
    for media in life.media:
        harness.media.forget(media.id)
    assert counters(harness) == (0, 0)


def test_the_counters_are_exact_when_many_change_them_at_once(harness: JobStoreHarness) -> None:
    limit(harness, stored_bytes=5000, stored_results=20)

    def live(seed: int) -> None:
        life = Life(harness, seed)
        for _ in range(STEPS // 2):
            life.step()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(live, range(6)))
    counters(harness)


def test_many_uploads_at_once_never_cross_the_limit(harness: JobStoreHarness) -> None:
    limit(harness, stored_bytes=1000)

    def upload(_: int) -> bool:
        try:
            harness.media.begin(harness.account, None, expected=300, at_least=300)
        except LimitExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(upload, range(16))) == 3
    assert counters(harness)[0] == 900
    assert harness.media.begin(harness.account, None, expected=300).counted == 100, "what there is, where that may do"


def test_an_upload_grows_as_far_as_there_is_room(harness: JobStoreHarness) -> None:
    limit(harness, stored_bytes=1000)
    media = harness.media.begin(harness.account, None)
    assert [harness.media.grow(media, size).counted for size in (100, 150, 200, 700, 1000)] == [
        200,
        200,
        200,
        1000,
        1000,
    ]
    with pytest.raises(LimitExceeded, match=r"has 1000 bytes stored and may have 1000. Delete jobs") as refused:
        harness.media.grow(media, 1001)
    assert refused.value.as_dict() | {"message": ""} == {
        "code": "limit_exceeded", "message": "", "retryable": True, "param": "stored_bytes", "used": 1000, "limit": 1000
    }  # fmt: skip
    harness.media.stored(media.id, 400, "x")
    assert counters(harness) == (400, 0)
    with pytest.raises(BeyondLimit, match="may have 1000 in all") as never:
        harness.media.begin(harness.account, None, expected=1001, at_least=1001)
    assert not never.value.retryable


def test_what_is_cancelled_leaves_the_quota_at_once_and_is_to_be_erased(harness: JobStoreHarness) -> None:
    queued = harness.submit(media=store(harness, 700), blobs={"key": "t/blob", "bytes": 50, "shown": {}})
    running = harness.submit(media=store(harness, 200))
    harness.cut(running)
    lease = harness.claim_chunk(running, 0)
    assert counters(harness) == (950, 2)
    harness.jobs.cancel(harness.account, queued.id)
    assert counters(harness) == (200, 1)
    assert harness.jobs.cancel(harness.account, running.id).status == "cancelling"
    assert counters(harness) == (0, 0), "whatever its last worker still does"
    with pytest.raises(LeaseLost):
        harness.jobs.complete_chunk(lease, "late", size=1000)
    assert harness.now(running).status == "cancelled"
    assert counters(harness) == (0, 0)
    due = set(harness.jobs.to_erase())
    assert {
        "t/blob",
        f"t/{harness.account}/media/{queued.media_id}",
        f"t/{harness.account}/media/{running.media_id}",
    } <= due
    assert f"t/{harness.account}/jobs/{running.id}/sound/" in due


def test_the_recording_of_a_cancelled_job_stays_while_another_is_to_hear_it(harness: JobStoreHarness) -> None:
    media = store(harness, 700)
    one, two = harness.submit(media=media), harness.submit(media=media)
    harness.jobs.cancel(harness.account, one.id)
    assert counters(harness) == (700, 1)
    harness.jobs.cancel(harness.account, two.id)
    assert counters(harness) == (0, 0)


def test_results_are_bounded_until_they_are_purged(harness: JobStoreHarness) -> None:
    limit(harness, stored_results=2)
    first = harness.submit(retention_seconds=0)
    harness.finish_short(harness.submit())
    with pytest.raises(LimitExceeded, match="has 2 jobs whose results are kept and may have 2") as refused:
        harness.submit()
    assert refused.value.param == "stored_results"
    harness.jobs.fail(harness.claim(first), ERROR)
    with pytest.raises(LimitExceeded):
        harness.submit()
    harness.purge(first)
    harness.purge(first)
    harness.submit()
    assert counters(harness)[1] == 2


def test_text_always_counts_and_sound_has_to_fit(harness: JobStoreHarness) -> None:
    limit(harness, stored_bytes=1000)
    harness.jobs.finish(harness.claim(harness.submit()), Finished(result_key="r", size=990), HeardChunk(span=span(0)))
    job = spoken(harness)
    lease = harness.claim(job)
    harness.jobs.add_chunk(lease, 0, span(0), "text")
    harness.jobs.cut_done(lease, 1, 1)
    passage = harness.claim_chunk(job, 0)
    with pytest.raises(LimitExceeded):
        harness.jobs.complete_chunk(passage, "spoken", size=11)
    harness.jobs.complete_chunk(passage, "spoken", size=10)
    assert counters(harness) == (1000, 2)
    lease = harness.claim(job)
    harness.jobs.want_room(lease, 10)
    with pytest.raises(LimitExceeded):
        harness.jobs.want_room(lease, 11)
    sound = {"key": "k", "bytes": 9, "format": "wav", "duration": 1}
    with pytest.raises(LimitExceeded):
        harness.jobs.finish(lease, Finished(result_key="r", size=2, sound=sound))
    harness.jobs.finish(lease, Finished(result_key="r", size=1, sound=sound))
    assert counters(harness) == (1000, 2)
    assert f"t/{harness.account}/jobs/{job.id}/spoken/" in harness.erasures()
    harness.submit()  # text of further jobs is not refused
    with pytest.raises(LimitExceeded):
        harness.media.begin(harness.account, None, expected=1, at_least=1)


def prepared(harness: JobStoreHarness, sizes: list[int], **given: Any) -> Job:
    """A job with chunks whose sound, of these sizes, waits to be heard."""
    job = harness.submit(**given)
    lease = harness.claim(job)
    for idx, size in enumerate(sizes):
        harness.jobs.add_chunk(lease, idx, span(idx), f"s{idx}", size=size)
    harness.jobs.cut_done(lease, len(sizes), len(sizes))
    return job


def test_sound_counts_until_it_is_heard(harness: JobStoreHarness) -> None:
    limit(harness, stored_bytes=1000)
    job = prepared(harness, [400, 300], request={"on_chunk_failure": "partial"})
    assert counters(harness)[0] == 700
    harness.jobs.complete_chunk(harness.claim_chunk(job, 0), "heard", size=20)
    assert counters(harness)[0] == 320
    harness.break_chunk(job, 1)
    assert counters(harness)[0] == 20


def test_sound_that_does_not_fit_is_refused_and_what_waited_goes_with_its_job(harness: JobStoreHarness) -> None:
    limit(harness, stored_bytes=1000)
    job = harness.submit()
    lease = harness.claim(job)
    harness.jobs.add_chunk(lease, 0, span(0), "s0", size=600)
    with pytest.raises(LimitExceeded) as refused:
        harness.jobs.add_chunk(lease, 1, span(1), "s1", size=600)
    assert refused.value.param == "stored_bytes"
    assert counters(harness)[0] == 600
    harness.jobs.fail(lease, ERROR)
    assert counters(harness)[0] == 0
    harness.jobs.retry(harness.account, job.id)
    again = harness.claim(job)
    harness.jobs.add_chunk(again, 0, span(0), "t0", size=600)
    harness.jobs.add_chunk(again, 0, span(0), "t0 once more", size=600)
    assert counters(harness)[0] == 600
    harness.jobs.cancel(harness.account, job.id)
    assert counters(harness) == (0, 0)


@pytest.mark.parametrize("how", ["delete", "expire", "fail"])
def test_whatever_ends_a_job_its_sound_counts_no_more(harness: JobStoreHarness, how: str) -> None:
    job = prepared(harness, [400, 300])
    running = harness.claim_chunk(job, 0)
    if how == "delete":
        harness.jobs.delete(harness.account, job.id, force=True)
    elif how == "expire":
        harness.shift(job, deadline_at=1.0)
        harness.jobs.expire_overdue()
    else:
        harness.jobs.fail_chunk(running, ERROR)
    assert counters(harness)[0] == 0


def test_uploads_given_up_leave_the_quota_when_the_sweep_takes_them(harness: JobStoreHarness) -> None:
    stored, pending = store(harness, 100), harness.media.begin(harness.account, None, expected=50)
    assert counters(harness) == (150, 0)
    with harness.database.write() as session:
        session.execute(update(Media).values(touched_at=1.0))
    assert {media.id for media in harness.media.orphans(3600)} == {stored.id, pending.id}
    assert counters(harness) == (0, 0)
    fetched = store(harness, 30)
    harness.media.give_up(fetched.id)
    assert counters(harness) == (0, 0)
    with pytest.raises(InputMissing):
        harness.submit(media=fetched)


def test_blobs_that_a_job_names_are_not_erased(harness: JobStoreHarness) -> None:
    for key in ("t/named", "t/unnamed"):
        harness.jobs.expect_blobs(key)
    assert harness.jobs.to_erase() == [], "not before the job could be made"
    harness.submit(blobs={"key": "t/named", "bytes": 1, "shown": {}})
    assert harness.erasures() == {"t/unnamed"}


def test_twenty_webhook_endpoints_unless_the_operator_says_otherwise(database: Database, account: str) -> None:
    webhooks = WebhookStore(database)
    made = [webhooks.create_endpoint(account, **ENDPOINT) for _ in range(20)]
    with pytest.raises(LimitExceeded, match=r"has 20 webhook endpoints and may have 20\. Delete one") as refused:
        webhooks.create_endpoint(account, **ENDPOINT)
    assert refused.value.param == "webhook_endpoints"
    webhooks.delete_endpoint(account, made[0].id)
    webhooks.create_endpoint(account, **ENDPOINT)
    Accounts(database).update(account, limits={"webhook_endpoints": 21})

    def create(_: int) -> bool:
        try:
            webhooks.create_endpoint(account, **ENDPOINT)
        except LimitExceeded:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(create, range(8))) == 1


def test_an_account_sees_how_much_of_its_limits_it_uses(harness: JobStoreHarness) -> None:
    limit(harness, stored_bytes=1000, concurrent_jobs=7, connections=3)
    harness.finish_short(harness.submit(media=store(harness, 70)))
    harness.submit()
    told = {name: (one.used, one.limit) for name, one in Quota(harness.database).limits(harness.account).items()}
    assert told == {
        "transcription_minutes_per_day": (0.0, None),
        "estimate_minutes_per_day": (0.0, None),
        "concurrent_jobs": (1, 7),
        "connections": (None, 3),
        "webhook_endpoints": (0, 20),
        "stored_bytes": (70, 1000),
        "stored_results": (2, None),
    }
    with pytest.raises(NotFound):
        Quota(harness.database).limits("acct_nobody")


def test_counters_that_an_older_process_has_left_wrong_are_put_right(harness: JobStoreHarness) -> None:
    store(harness, 70)
    harness.submit()
    with harness.database.write() as session:
        mine = update(Account).where(col(Account.id) == harness.account)
        session.execute(mine.values(stored_bytes=100, stored_results=0))
    assert Quota(harness.database).recount() == {harness.account: (30, -1)}
    assert Quota(harness.database).recount() == {}
    assert counters(harness) == (70, 1)
