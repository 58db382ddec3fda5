"""Results whose time is over go, many of them in one transaction, and nothing that is still wanted with them."""

from typing import Any

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from infra.database.tables.idempotency import IdempotencyKey
from infra.database.tables.jobs import Job
from infra.database.tables.uploads import Media
from infra.database.tables.webhooks import WebhookMessage
from infra.idempotency import Idempotency
from infra.jobs.retention import purge
from infra.jobs.store import NewJob
from infra.jobs.stored_bytes import folder_of
from infra.jobs.transitions import lock_job
from infra.money.quota import Quota
from pipeline.errors import DatabaseUnavailable
from tests.contracts.job_store_harness import JobStoreHarness
from tests.support.asked_statements import listening


def test_ended_jobs_past_their_time_are_purged(harness: JobStoreHarness) -> None:
    kept, due, live = (
        harness.submit(retention_seconds=3600),
        harness.submit(retention_seconds=0),
        harness.submit(retention_seconds=0),
    )
    for job in (kept, due):
        harness.finish_short(job)
    assert harness.now(kept).expires_at == pytest.approx((harness.now(kept).completed_at or 0) + 3600)
    assert harness.jobs.due_for_purge() == [due.id]
    assert harness.jobs.due_for_purge(without=[due.id]) == []
    assert harness.jobs.purged([due.id, kept.id]) == {due.id}, "whose time is not over, is kept whatever was asked for"
    assert harness.purge(live) == set()
    row = harness.now(due)
    assert row.purged_at is not None and row.result_key is None
    assert harness.jobs.chunks(due.id) == []
    assert (harness.now(live).purged_at, harness.now(kept).purged_at) == (None, None)
    assert harness.now(kept).result_key is not None
    assert harness.timeline(due)[-1] == "purged"
    assert harness.jobs.due_for_purge() == []


def finished(harness: JobStoreHarness, count: int, **given: Any) -> list[Job]:
    return [harness.finish_short(harness.submit(**given)) for _ in range(count)]


def test_many_are_purged_together(harness: JobStoreHarness) -> None:
    """As many statements for twenty as for three; each is counted, noted, cleared and erased as if it were alone."""
    few, many = finished(harness, 3, retention_seconds=0), []
    with listening() as of_few:
        assert harness.purge(*few) == {job.id for job in few}
    for number in range(20):
        once = Idempotency(
            "POST /jobs", f"key {number}", "same", lambda job: {"id": job.id, "request": {"prompt": "ah"}}
        )
        new = NewJob(
            account_id=harness.account,
            task="transcription",
            model="oracle",
            media=harness.upload(),
            request={"prompt": "a secret", "language": "en"},
            blobs={"key": f"blob/{number}", "bytes": 7, "shown": {}},
            webhook_url="https://example.com/hook?token=secret",
        )
        job, _ = harness.jobs.create(new, once)
        many.append(harness.finish_short(job))
    with harness.database.write() as session:
        heard = update(WebhookMessage).where(col(WebhookMessage.job_id) != many[0].id)
        session.execute(heard.values(status="delivered"))
    with listening() as of_many:
        assert harness.purge(*many) == {job.id for job in many}
    assert len(of_many.statements) <= len(of_few.statements) + 2, "messages and answers, of which the few had none"
    assert {folder_of(job) for job in (*few, *many)} <= harness.erasures()
    assert Quota(harness.database).recount() == {}
    rows = [harness.now(job) for job in many]
    assert {(row.stored_bytes, row.kept, row.version - job.version) for row, job in zip(rows, many, strict=True)} == {
        (0, False, 1)
    }
    assert {str(row.request) for row in rows} == {"{'language': 'en'}"}
    assert [row.id for row in rows if not row.cleared] == [many[0].id], "of which news is still to be told"
    assert {row.webhook_url for row in rows[1:]} == {
        message.url for job in many[1:] for message in harness.messages(job)
    }
    assert "secret" not in str([row.webhook_url for row in rows[1:]])
    assert [harness.timeline(job).count("purged") for job in (*few, *many)] == [1] * 23
    with harness.database.read() as session:
        assert set(session.scalars(select(col(Media.filename)))) == {None}
        assert [answer.response["request"] for answer in session.scalars(select(IdempotencyKey))] == [{}] * 20
    assert harness.jobs.to_clear() == []
    with harness.database.write() as session:
        session.execute(update(WebhookMessage).values(status="delivered"))
    assert harness.jobs.to_clear() == [many[0].id]
    assert harness.jobs.cleared([many[0].id, many[1].id]) == {many[0].id}
    assert harness.now(many[0]).cleared


def test_a_purge_that_dies_half_way_has_purged_none(harness: JobStoreHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = finished(harness, 3, retention_seconds=0)
    monkeypatch.setattr(purge, "uncount", _die)
    with pytest.raises(DatabaseUnavailable):
        harness.purge(*jobs)
    assert sorted(harness.jobs.due_for_purge()) == sorted(job.id for job in jobs)
    assert not harness.erasures()
    assert [harness.now(job).result_key for job in jobs] == ["t/1"] * 3


def _die(*_: object) -> None:
    raise DatabaseUnavailable


def test_a_purge_waits_for_nobody_who_has_a_job_at_this_moment(harness: JobStoreHarness) -> None:
    """On SQLite, where one writer has all, it comes after him."""
    busy, idle = finished(harness, 2, retention_seconds=0)
    if harness.database.kind == "sqlite":
        assert harness.jobs.purged([busy.id, idle.id]) == {busy.id, idle.id}
        return
    with harness.database.write() as session:
        assert lock_job(session, busy.id) is not None
        assert harness.jobs.purged([busy.id, idle.id]) == {idle.id}
    assert harness.jobs.due_for_purge() == [busy.id]
