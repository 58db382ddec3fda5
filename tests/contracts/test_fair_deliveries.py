"""Who is told before whom: one account's webhooks that nobody answers hold up nobody else's (T4)."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update
from sqlmodel import col

from infra.database.session import Database
from infra.database.tables.webhooks import WebhookMessage, WebhookReceiver
from infra.keys.accounts import Accounts
from infra.webhooks.next_delivery import AT_ONE_RECEIVER, FOR_ONE_ACCOUNT
from infra.webhooks.receivers import SILENT
from infra.webhooks.retry_schedule import PATIENCE, SPAN, Verdict
from infra.webhooks.store import Delivery, Outcome, WebhookStore
from tests.contracts.job_store_harness import JobStoreHarness

HOOK = "https://example.com/hook"
TIMED_OUT = Verdict(delivered=False, retry_in=0.0, timed_out=True)
DELIVERED = Verdict(delivered=True, retry_in=None)


@pytest.fixture
def hooks(database: Database) -> WebhookStore:
    return WebhookStore(database)


@pytest.fixture
def tenant(database: Database) -> Callable[[str], str]:
    return lambda tier: Accounts(database).create_account(tier, tier).id


def endpoints(hooks: WebhookStore, account: str, count: int) -> list[str]:
    return [hooks.create_endpoint(account, name=str(n), url=HOOK, event_types=[]).id for n in range(count)]


def fill(hooks: WebhookStore, account: str, ids: list[str], each: int = 1) -> list[str]:
    return [hooks.send_test(account, endpoint).id for _ in range(each) for endpoint in ids]


def claim_all(hooks: WebhookStore) -> list[Delivery]:
    claims = []
    while (delivery := hooks.claim("evt_hint")) is not None:
        claims.append(delivery)
    return claims


def silence(hooks: WebhookStore, endpoint: str, times: int = PATIENCE) -> None:
    """So many attempts at its messages, each of which runs out of time."""
    for _ in range(times):
        delivery = hooks.claim("evt_hint")
        assert delivery is not None and delivery.message.endpoint_id == endpoint
        hooks.record(delivery, Outcome(error="timeout"), TIMED_OUT)


def end_quiet(database: Database) -> None:
    with database.write() as session:
        session.execute(update(WebhookReceiver).values(quiet_until=1.0))


def test_the_attack_small(hooks: WebhookStore, tenant: Callable[[str], str]) -> None:
    attacker, neighbour = tenant("pro"), tenant("free")
    fill(hooks, attacker, endpoints(hooks, attacker, 10), each=4)
    (message,) = fill(hooks, neighbour, endpoints(hooks, neighbour, 1))
    rung = hooks.due()
    assert len(rung) == 2 * FOR_ONE_ACCOUNT + 1, "no more wake-ups than may be sent at once"
    assert hooks.due() == [], "each once"
    order = [delivery.message.id for delivery in claim_all(hooks)]
    assert order.index(message) <= 1
    assert len(order) == len(rung)


def test_an_account_has_a_share_by_its_tier_and_an_endpoint_two(
    hooks: WebhookStore, tenant: Callable[[str], str]
) -> None:
    accounts = {tier: tenant(tier) for tier in ("free", "pro", "enterprise")}
    for account in accounts.values():
        fill(hooks, account, endpoints(hooks, account, 6), each=3)
    claims = claim_all(hooks)
    of_account = Counter(delivery.message.account_id for delivery in claims)
    assert {tier: of_account[account] for tier, account in accounts.items()} == {"free": 2, "pro": 4, "enterprise": 8}
    assert max(Counter(delivery.message.endpoint_id for delivery in claims).values()) <= AT_ONE_RECEIVER


def test_accounts_take_turns_however_old_their_messages_are(hooks: WebhookStore, tenant: Callable[[str], str]) -> None:
    accounts = [tenant("free") for _ in range(3)]
    for account in accounts:
        fill(hooks, account, endpoints(hooks, account, 1), each=4)
    order = []
    while (delivery := hooks.claim("evt_hint")) is not None:
        order.append(delivery.message.account_id)
        hooks.record(delivery, Outcome(200), DELIVERED)
    assert order == accounts * 4


def test_senders_that_ask_at_once_keep_the_bounds(hooks: WebhookStore, tenant: Callable[[str], str]) -> None:
    account = tenant("enterprise")
    fill(hooks, account, endpoints(hooks, account, 3), each=6)
    with ThreadPoolExecutor(16) as threads:
        claims = [claim for claim in threads.map(lambda _: hooks.claim("evt_hint"), range(32)) if claim]
    assert Counter(delivery.message.endpoint_id for delivery in claims).most_common(1)[0][1] == AT_ONE_RECEIVER
    assert len({delivery.message.id for delivery in claims}) == len(claims) == 3 * AT_ONE_RECEIVER


def test_an_endpoint_that_does_not_answer_is_left_alone_by_itself(
    hooks: WebhookStore, database: Database, tenant: Callable[[str], str]
) -> None:
    account = tenant("pro")
    dead, well = endpoints(hooks, account, 2)
    fill(hooks, account, [dead], each=5)
    silence(hooks, dead)
    assert (hooks.due(), claim_all(hooks)) == ([], [])
    fill(hooks, account, [well])
    (served,) = claim_all(hooks)
    assert served.message.endpoint_id == well
    end_quiet(database)
    (probe,) = claim_all(hooks)
    assert probe.message.endpoint_id == dead, "one at a time asks for all"
    hooks.record(probe, Outcome(500), Verdict(delivered=False, retry_in=3600))
    assert len(claim_all(hooks)) == AT_ONE_RECEIVER, "whoever answers is held back no longer"


def test_of_an_accounts_share_those_who_are_silent_leave_one(hooks: WebhookStore, tenant: Callable[[str], str]) -> None:
    account = tenant("free")
    dead, well = endpoints(hooks, account, 2)
    fill(hooks, account, [dead], each=3)
    silence(hooks, dead, 1)
    (first,) = claim_all(hooks)
    assert first.message.endpoint_id == dead
    fill(hooks, account, [well])
    (second,) = claim_all(hooks)
    assert second.message.endpoint_id == well


def test_whoever_asks_for_an_attempt_gets_one(
    hooks: WebhookStore, database: Database, tenant: Callable[[str], str]
) -> None:
    account = tenant("pro")
    (dead,) = endpoints(hooks, account, 1)
    (message,) = fill(hooks, account, [dead])
    silence(hooks, dead)
    assert hooks.claim(message) is None
    hooks.replay(account, message)
    silence(hooks, dead, 1)
    hooks.send_test(account, dead)
    silence(hooks, dead, 1)
    hooks.update_endpoint(account, dead, url="https://example.com/mended")
    assert len(claim_all(hooks)) == AT_ONE_RECEIVER


def test_what_waited_its_whole_schedule_for_silence_is_given_up_and_told(
    hooks: WebhookStore, database: Database, tenant: Callable[[str], str]
) -> None:
    account = tenant("pro")
    (dead,) = endpoints(hooks, account, 1)
    old, young = fill(hooks, account, [dead], each=2)
    silence(hooks, dead, PATIENCE - 1)
    with database.write() as session:
        session.execute(
            update(WebhookMessage)
            .where(col(WebhookMessage.id) == old)
            .values(created_at=col(WebhookMessage.created_at) - SPAN - 1, next_attempt_at=9e9)
        )
    silence(hooks, dead, 1)
    message, attempts = hooks.message(account, old)
    assert (message.status, attempts[-1].error) == ("exhausted", SILENT)
    assert hooks.message(account, young)[0].status == "pending"
    assert [attempt.n for attempt in attempts] == list(range(1, message.attempts + 1))
    assert hooks.replay(account, old).status == "pending"


def test_a_wake_up_whose_message_was_not_sent_is_sent_again(hooks: WebhookStore, tenant: Callable[[str], str]) -> None:
    account = tenant("free")
    first, second, third = fill(hooks, account, endpoints(hooks, account, 3))
    assert set(hooks.due()) == {first, second}
    assert [delivery and delivery.message.id for delivery in (hooks.claim(second), hooks.claim(first))] == [
        first,
        second,
    ]
    assert hooks.rung() == 0
    assert hooks.due() == [], "the share is used up"
    assert hooks.claim(third) is None


def test_a_message_that_overtakes_leaves_its_place_to_be_rung(
    hooks: WebhookStore, tenant: Callable[[str], str]
) -> None:
    busy, other = tenant("free"), tenant("free")
    first, _ = fill(hooks, busy, endpoints(hooks, busy, 1), each=2)
    delivery = hooks.claim(first)
    assert delivery is not None
    (rung,) = hooks.due()
    (overtakes,) = fill(hooks, other, endpoints(hooks, other, 1))
    late = hooks.claim(rung)
    assert late is not None and late.message.id == overtakes
    assert hooks.due() == [rung]


def test_a_lost_wake_up_is_found(hooks: WebhookStore, database: Database, tenant: Callable[[str], str]) -> None:
    account = tenant("pro")
    fill(hooks, account, endpoints(hooks, account, 3))
    rung = hooks.due()
    assert (hooks.rung(), hooks.lost(60)) == (3, [])
    with database.write() as session:
        session.execute(update(WebhookMessage).values(dispatched_at=1.0))
    assert set(hooks.lost(60)) == set(rung)
    assert hooks.lost(60) == []
    hooks.refuse(rung[0])
    assert hooks.due() == [rung[0]]


def test_servers_that_jobs_name_are_told_apart(harness: JobStoreHarness, hooks: WebhookStore) -> None:
    for n, url in enumerate(
        ("https://a.example/1", "https://A.example/2", "https://a.example/3", "https://b.example/")
    ):
        job = harness.submit(webhook_url=url, webhook_secret=None, client_reference_id=str(n))
        harness.finish_short(job)
    urls = [delivery.message.url for delivery in claim_all(hooks)]
    assert sorted(urls) == ["https://A.example/2", "https://a.example/1", "https://b.example/"]


def test_messages_of_processes_that_know_no_receivers_are_adopted(
    hooks: WebhookStore, database: Database, tenant: Callable[[str], str]
) -> None:
    account = tenant("pro")
    (endpoint,) = endpoints(hooks, account, 1)
    fill(hooks, account, [endpoint], each=3)
    with database.write() as session:
        session.execute(update(WebhookMessage).values(receiver=""))
    assert len(hooks.due()) == AT_ONE_RECEIVER
    assert {delivery.message.receiver for delivery in claim_all(hooks)} == {endpoint}


def test_receivers_that_nothing_is_sent_to_are_forgotten(
    hooks: WebhookStore, database: Database, tenant: Callable[[str], str]
) -> None:
    account = tenant("free")
    fill(hooks, account, endpoints(hooks, account, 1))
    claim_all(hooks)

    def known() -> int:
        with database.read() as session:
            return session.query(WebhookReceiver).count()

    hooks.forget_receivers(60)
    assert known() == 1
    hooks.forget_receivers(-60)
    assert known() == 0
