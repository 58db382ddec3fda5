"""Create, get, list, events; idempotency."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infra.database.tables.jobs import Job
from infra.idempotency import Idempotency, IdempotencyStore
from infra.jobs.store import NewJob
from infra.keys.accounts import Accounts
from pipeline.errors import IdempotencyConflict, InputMissing, InvalidRequest, NotFound
from tests.contracts.job_store_harness import JobStoreHarness


def new(harness: JobStoreHarness, **given: Any) -> NewJob:
    return NewJob(account_id=harness.account, task="transcription", model="oracle", **given)


def with_key(key: str, fingerprint: str = "f") -> Idempotency:
    return Idempotency(
        "POST /v1/audio/jobs", key, fingerprint, lambda job: {"id": job.id, "created_at": job.created_at}
    )


def test_a_new_job_is_queued_with_what_the_caller_said(harness: JobStoreHarness) -> None:
    media = harness.upload()
    job = harness.submit(media=media, request={"language": "en"}, meta={"a": "ü"}, timeout_seconds=60, priority=3)
    found = harness.jobs.get(harness.account, job.id)
    assert (found.status, found.stage, found.version, found.attempt) == ("queued", "waiting", 1, 0)
    assert (found.request, found.meta, found.media_id, found.priority) == ({"language": "en"}, {"a": "ü"}, media.id, 3)
    assert found.deadline_at == pytest.approx(found.created_at + 60)
    assert found.source is None and found.gaps is None
    assert harness.timeline(job) == ["created"]


def test_unknown_and_foreign_look_the_same(harness: JobStoreHarness) -> None:
    stranger = Accounts(harness.database).create_account("other").id
    job = harness.submit()
    asks = (harness.jobs.get, harness.jobs.events, harness.jobs.cancel, harness.jobs.retry, harness.jobs.delete)
    for ask in asks:
        with pytest.raises(NotFound) as foreign:
            ask(stranger, job.id)
        with pytest.raises(NotFound) as unknown:
            ask(harness.account, "job_nothing")
        assert foreign.value.as_dict() == unknown.value.as_dict()


def test_media_that_is_not_stored_makes_no_job(harness: JobStoreHarness) -> None:
    pending = harness.media.begin(harness.account, "late.wav")
    with pytest.raises(InputMissing):
        harness.submit(media=pending)
    assert harness.rows(Job) == 0


def test_the_same_key_gives_the_first_answer(harness: JobStoreHarness) -> None:
    job, answer = harness.jobs.create(new(harness), with_key("k"))
    assert answer is None
    again, replayed = harness.jobs.create(new(harness), with_key("k"))
    assert again.id == job.id
    assert replayed == {"id": job.id, "created_at": job.created_at}
    assert harness.rows(Job) == 1


def test_the_same_key_for_another_request_is_a_conflict(harness: JobStoreHarness) -> None:
    harness.jobs.create(new(harness), with_key("k"))
    with pytest.raises(IdempotencyConflict):
        harness.jobs.create(new(harness), with_key("k", "other"))
    assert harness.rows(Job) == 1


def test_keys_belong_to_an_account(harness: JobStoreHarness) -> None:
    stranger = Accounts(harness.database).create_account("other").id
    harness.jobs.create(new(harness), with_key("k"))
    job, answer = harness.jobs.create(
        NewJob(account_id=stranger, task="transcription", model="m"), with_key("k", "other")
    )
    assert answer is None and job.account_id == stranger


def test_one_key_from_many_threads_makes_one_job(harness: JobStoreHarness) -> None:
    with ThreadPoolExecutor(16) as threads:
        made = list(threads.map(lambda _: harness.jobs.create(new(harness), with_key("k")), range(32)))
    assert len({job.id for job, _ in made}) == 1
    assert sum(answer is None for _, answer in made) == 1
    assert harness.rows(Job) == 1


def test_a_deleted_job_frees_its_key(harness: JobStoreHarness) -> None:
    job, _ = harness.jobs.create(new(harness), with_key("k"))
    harness.jobs.delete(harness.account, job.id, force=True)
    again, answer = harness.jobs.create(new(harness), with_key("k", "other"))
    assert answer is None and again.id != job.id


def test_keys_are_found_and_forgotten(harness: JobStoreHarness) -> None:
    keys = IdempotencyStore(harness.database)
    job, _ = harness.jobs.create(new(harness), with_key("k"))
    found = keys.find(harness.account, "POST /v1/audio/jobs", "k")
    assert found is not None and found.object_id == job.id
    assert keys.forget(3600) == 0
    assert keys.forget(-1) == 1
    assert keys.find(harness.account, "POST /v1/audio/jobs", "k") is None


def test_pages_cover_everything_once_in_both_orders(harness: JobStoreHarness) -> None:
    ids = [harness.submit().id for _ in range(7)]
    for order in ("asc", "desc"):
        seen: list[str] = []
        more = True
        while more:
            page, more = harness.jobs.list(harness.account, limit=3, after=seen[-1] if seen else None, order=order)
            seen += [job.id for job in page]
        assert seen == (ids if order == "asc" else ids[::-1])


def test_the_page_before_a_cursor_is_the_one_next_to_it(harness: JobStoreHarness) -> None:
    ids = [harness.submit().id for _ in range(6)]
    page, more = harness.jobs.list(harness.account, limit=2, before=ids[4], order="asc")
    assert ([job.id for job in page], more) == (ids[2:4], True)
    page, more = harness.jobs.list(harness.account, limit=9, before=ids[4], order="desc")
    assert ([job.id for job in page], more) == (ids[:4:-1], False)


def test_jobs_of_one_instant_are_paged_too(harness: JobStoreHarness) -> None:
    jobs = [harness.submit() for _ in range(4)]
    for job in jobs:
        harness.shift(job, created_at=1000.0)
    first, _ = harness.jobs.list(harness.account, limit=2)
    rest, more = harness.jobs.list(harness.account, limit=2, after=first[-1].id)
    assert {job.id for job in [*first, *rest]} == {job.id for job in jobs}
    assert not more


@pytest.mark.parametrize("side", ["after", "before"])
def test_a_cursor_that_is_nobodys_is_the_callers_mistake(harness: JobStoreHarness, side: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        harness.jobs.list(harness.account, **{side: "job_nothing"})
    assert raised.value.param == side


def test_filters(harness: JobStoreHarness) -> None:
    one = harness.submit(client_reference_id="r1")
    two = harness.submit(client_reference_id="r2")
    harness.jobs.cancel(harness.account, two.id)
    harness.shift(one, created_at=1000.0)

    def ids(**given: Any) -> list[str]:
        return [job.id for job in harness.jobs.list(harness.account, **given)[0]]

    assert ids(status="queued") == [one.id]
    assert ids(client_reference_id="r2") == [two.id]
    assert ids(task="speech") == ids(model="whisper-1") == []
    assert ids(created_after=1000.0) == [two.id]
    assert ids(created_before=1001.0) == [one.id]


def test_events_go_on_after_a_cursor(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.finish_short(job)
    events = harness.jobs.events(harness.account, job.id)
    assert [event.type for event in events] == ["created", "preparing", "completed"]
    assert events[1].data is not None and events[1].data["worker"] == "w1"
    assert [event.type for event in harness.jobs.events(harness.account, job.id, after_id=events[1].id or 0)] == [
        "completed"
    ]


def test_marks_tell_what_has_changed_for_all_at_once(harness: JobStoreHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.jobs.create_and_read.MARKS_AT_ONCE", 2)
    quiet, told, gone = harness.submit(), harness.submit(webhook_url="https://hooks.example/x"), harness.submit()
    ids = [job.id for job in (quiet, told, gone)]
    before = harness.jobs.marks(ids)
    assert before == dict.fromkeys(ids, (1, "queued", None))
    assert harness.jobs.marks(ids) == before, "nothing has changed"
    harness.finish_short(told)
    harness.jobs.delete(harness.account, gone.id, True)
    version = harness.jobs.get(harness.account, told.id).version
    assert harness.jobs.marks([*ids, "job_nothing"]) == {
        quiet.id: (1, "queued", None),
        told.id: (version, "completed", "0.pending"),
    }
    assert harness.jobs.marks([]) == {}
