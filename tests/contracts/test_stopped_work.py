"""A closed account's and a revoked key's work stops, and so do its webhooks."""

from decimal import Decimal

import pytest
from sqlalchemy import update

from infra.database.tables.jobs import Job
from infra.database.tables.shares import Outage
from infra.jobs.store import NewJob
from infra.keys.accounts import Accounts
from infra.money.job_money import Terms
from infra.money.ledger import Ledger
from infra.webhooks.store import WebhookStore
from pipeline.catalog.model import Prices
from pipeline.errors import LeaseLost, StorageUnavailable, Unauthenticated
from pipeline.lifecycle import Dependency
from tests.contracts.job_store_harness import JobStoreHarness

SECOND = 100  # micro-dollars; every chunk is a second long
HOOK = "https://hooks.example/job"


class Tenants:
    """Two keys of one account, and another account; every job costs money and has a webhook of its own."""

    def __init__(self, harness: JobStoreHarness) -> None:
        self.harness, self.jobs = harness, harness.jobs
        self.accounts, self.ledger = Accounts(harness.database), Ledger(harness.database)
        self.webhooks = WebhookStore(harness.database)
        self.other = self.accounts.create_account("other", "enterprise").id
        for account in (harness.account, self.other):
            self.ledger.top_up(account, 100 * SECOND)
        self.key, self.second = (self.accounts.create_key(harness.account)[1].id for _ in range(2))

    def submit(self, key: str | None = None, account: str | None = None) -> Job:
        terms = Terms(prices=Prices(audio_minute=Decimal("0.006")), audio_ms=3000)
        new = NewJob(
            account_id=account or self.harness.account, task="transcription", model="oracle", key_id=key,
            terms=terms, webhook_url=HOOK,
        )  # fmt: skip
        return self.jobs.create(new)[0]

    def status(self, *jobs: Job) -> list[str]:
        return [self.harness.now(job).status for job in jobs]

    def sent(self) -> list[tuple[str | None, str]]:
        """(job, target) of all messages that may be sent now."""
        claimed = [self.webhooks.claim(message_id) for message_id in self.webhooks.due()]
        return [(one.message.job_id, one.message.target) for one in claimed if one is not None]


@pytest.fixture
def tenants(harness: JobStoreHarness) -> Tenants:
    return Tenants(harness)


def test_a_closed_accounts_work_stops_at_the_next_chunk(tenants: Tenants, harness: JobStoreHarness) -> None:
    waiting, running, others = tenants.submit(), tenants.submit(), tenants.submit(account=tenants.other)
    harness.cut(running, 3)
    harness.hear(running, 0)
    lease = harness.claim_chunk(running, 1)
    tenants.accounts.update(harness.account, status="closed")
    assert set(tenants.jobs.stop_forbidden(harness.account)) == {waiting.id, running.id}
    assert tenants.status(waiting, running, others) == ["cancelled", "cancelling", "queued"]
    assert harness.due() == [(others.id, None)]
    assert tenants.jobs.heartbeat([lease]) == set()
    with pytest.raises(LeaseLost):
        tenants.jobs.complete_chunk(lease, "heard/1")
    tenants.jobs.close_cancelled()
    assert tenants.status(running) == ["cancelled"]
    assert tenants.ledger.balance(harness.account) == 99 * SECOND, "what was heard stays paid, the rest is released"
    assert tenants.ledger.check() == []
    reasons = [one.data for one in tenants.jobs.events(harness.account, running.id) if one.type == "stopped"]
    assert reasons == [{"reason": "account_closed"}]
    assert tenants.jobs.stop_forbidden() == []


def test_a_revoked_keys_work_stops_and_no_other(tenants: Tenants, harness: JobStoreHarness) -> None:
    mine, kept, nobodys = tenants.submit(tenants.key), tenants.submit(tenants.second), tenants.submit()
    tenants.accounts.rotate_key(tenants.second, overlap_seconds=0)  # whoever replaces a key wants its work done
    assert tenants.jobs.stop_forbidden(harness.account) == []
    tenants.accounts.revoke_key(tenants.key)
    assert tenants.jobs.stop_forbidden(tenants.other) == []
    assert tenants.jobs.stop_forbidden() == [mine.id], "the sweep, where whoever revoked has died"
    assert tenants.status(mine, kept, nobodys) == ["cancelled", "queued", "queued"]
    with pytest.raises(Unauthenticated, match="revoked"):
        tenants.accounts.want_running(tenants.key)
    tenants.accounts.want_running(tenants.second)
    tenants.accounts.update(harness.account, status="closed")
    with pytest.raises(Unauthenticated, match="closed"):
        tenants.accounts.want_running(tenants.second)


def test_work_that_waits_for_an_outage_stops_and_nobody_asks_for_it_any_more(
    tenants: Tenants, harness: JobStoreHarness
) -> None:
    whole, chunked = tenants.submit(), tenants.submit()
    away = StorageUnavailable().as_dict()
    harness.cut(chunked, 2)
    harness.hear(chunked, 0)
    for lease in (harness.claim(whole), harness.claim_chunk(chunked, 1)):
        assert tenants.jobs.wait(lease, Dependency.STORAGE, "storage", away)
    tenants.accounts.update(harness.account, status="closed")
    assert set(tenants.jobs.stop_forbidden(harness.account)) == {whole.id, chunked.id}
    assert tenants.status(whole, chunked) == ["cancelled", "cancelled"]
    assert tenants.ledger.balance(harness.account) == 99 * SECOND
    with harness.database.write() as session:
        session.execute(update(Outage).values(probe_at=1.0))
    assert (tenants.jobs.probe_outages(), tenants.jobs.away(), harness.due()) == (0, {}, [])
    assert tenants.jobs.end_waits() == 0
    harness.check_queue()


def test_nobody_whom_a_revoked_keys_job_names_is_told(tenants: Tenants, harness: JobStoreHarness) -> None:
    endpoint = tenants.webhooks.create_endpoint(
        harness.account, name="mine", url="https://hooks.example/all", event_types=["*"]
    )
    job = tenants.submit(tenants.key)
    tenants.accounts.revoke_key(tenants.key)
    tenants.jobs.stop_forbidden(harness.account)
    assert tenants.sent() == [(job.id, endpoint.id)]
    assert {message.target: message.status for message in harness.messages(job)} == {
        "job": "dropped", endpoint.id: "pending",
    }  # fmt: skip


def test_nobody_of_a_closed_account_is_told(tenants: Tenants, harness: JobStoreHarness) -> None:
    tenants.webhooks.create_endpoint(harness.account, name="mine", url="https://hooks.example/all", event_types=["*"])
    ended, others = tenants.submit(), tenants.submit(account=tenants.other)
    for job in (ended, others):
        tenants.jobs.cancel(job.account_id, job.id)
    tenants.accounts.update(harness.account, status="closed")
    assert tenants.sent() == [(others.id, "job")]
    assert {message.status for message in harness.messages(ended)} == {"dropped"}


def test_a_job_of_a_key_that_nobody_knows_goes_on(tenants: Tenants) -> None:
    job = tenants.submit("unknown")
    assert tenants.jobs.stop_forbidden() == []
    assert tenants.status(job) == ["queued"]
