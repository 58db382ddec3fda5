"""Links to a job's result, on both databases: made, opened, revoked, and gone with what they show."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select
from sqlmodel import col

from infra.database.tables.jobs import Job
from infra.database.tables.webhooks import WebhookMessage
from infra.idempotency import Idempotency
from infra.jobs.store import JobStore, NewJob
from infra.keys.accounts import SUSPENDED, Accounts
from infra.links import job_links
from infra.links.job_links import JobLinks
from infra.links.new_link import NewLink
from pipeline.errors import Expired, IdempotencyConflict, LimitExceeded, NotFound
from tests.contracts.job_store_harness import JobStoreHarness


@pytest.fixture
def links(harness: JobStoreHarness) -> JobLinks:
    return JobLinks(harness.database)


def signature(link: NewLink) -> str:
    return parse_qs(urlsplit(link.path).query)["signature"][0]


def expire(harness: JobStoreHarness, job: Job) -> None:
    with harness.database.write() as session:
        row = session.get_one(Job, job.id)
        row.links = [one | {"expires_at": 1.0} for one in row.links or ()]


def test_made_opened_revoked(harness: JobStoreHarness, links: JobLinks) -> None:
    job = harness.submit()
    made, other = (links.create(harness.account, job.id, "srt", 60) for _ in range(2))
    opened = links.open(job.id, made.id, signature(made))
    assert (opened.job.id, opened.format, opened.tier) == (job.id, "srt", "enterprise")
    for wrong in (signature(other), "", signature(made)[:-1], "\ud800"):
        with pytest.raises(NotFound):
            links.open(job.id, made.id, wrong)
    links.revoke(harness.account, job.id, made.id)
    with pytest.raises(NotFound):
        links.open(job.id, made.id, signature(made))
    assert links.open(job.id, other.id, signature(other)).format == "srt"
    links.revoke(harness.account, job.id, other.id)
    assert harness.jobs.get(harness.account, job.id).links is None


def test_until_their_time_is_over(harness: JobStoreHarness, links: JobLinks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_links, "MOST_LINKS", 1)
    job = harness.submit()
    made = links.create(harness.account, job.id, None, 60)
    assert made.format == "json"
    with pytest.raises(LimitExceeded):
        links.create(harness.account, job.id, None, 60)
    expire(harness, job)
    with pytest.raises(Expired):
        links.open(job.id, made.id, signature(made))
    links.create(harness.account, job.id, None, 60)
    with pytest.raises(NotFound):
        links.open(job.id, made.id, signature(made))


def test_nobody_elses(harness: JobStoreHarness, links: JobLinks) -> None:
    job, stranger = harness.submit(), Accounts(harness.database).create_account("other").id
    made = links.create(harness.account, job.id, None, 60)
    with pytest.raises(NotFound):
        links.create(stranger, job.id, None, 60)
    with pytest.raises(NotFound):
        links.revoke(stranger, job.id, made.id)
    with pytest.raises(NotFound):
        links.open("job_nothing", made.id, signature(made))
    Accounts(harness.database).update(harness.account, status=SUSPENDED)
    with pytest.raises(NotFound):
        links.open(job.id, made.id, signature(made))


def test_they_go_with_the_job(harness: JobStoreHarness, links: JobLinks) -> None:
    job = harness.submit()
    made = links.create(harness.account, job.id, None, 60)
    harness.jobs.cancel(harness.account, job.id)
    harness.purge(job)
    assert harness.jobs.get(harness.account, job.id).links is None
    with pytest.raises(Expired):
        links.create(harness.account, job.id, None, 60)
    harness.jobs.delete(harness.account, job.id)
    with pytest.raises(NotFound):
        links.open(job.id, made.id, signature(made))


def told(harness: JobStoreHarness, job: Job) -> dict[str, Any]:
    with harness.database.read() as session:
        message = session.scalars(select(WebhookMessage).where(col(WebhookMessage.job_id) == job.id)).one()
    return dict(json.loads(message.body)["data"])


def test_a_job_without_a_result_is_told_without_a_link(harness: JobStoreHarness) -> None:
    job = harness.submit(webhook_url="https://example.org", webhook_link={"format": "srt", "expires_in": 60})
    harness.jobs.cancel(harness.account, job.id)
    assert told(harness, job)["transcript_url"] is None
    assert harness.jobs.get(harness.account, job.id).links is None


def with_key(fingerprint: str, **parts: str) -> Idempotency:
    return Idempotency("POST /v1/audio/jobs", "k", fingerprint, lambda job: {"id": job.id}, parts)


def test_which_field_differs_is_kept_with_the_key(harness: JobStoreHarness) -> None:
    new = NewJob(account_id=harness.account, task="transcription", model="oracle")
    jobs: JobStore = harness.jobs
    first, _ = jobs.create(new, with_key("f", model="1", prompt="2"))
    with pytest.raises(IdempotencyConflict) as conflict:
        jobs.create(new, with_key("g", model="1", prompt="3"))
    assert (conflict.value.param, conflict.value.details["earlier_id"]) == ("prompt", first.id)
    with pytest.raises(IdempotencyConflict) as conflict:
        jobs.create(new, with_key("g", model="1"))
    assert conflict.value.param == "prompt"
