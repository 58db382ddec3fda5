"""An account is told once that its balance is low, and again only after it was not."""

import json
from decimal import Decimal
from typing import Any

import pytest

from infra.database.session import Database
from infra.keys.accounts import Accounts
from infra.money.ledger import Ledger
from infra.money.receipts import NewReceipt
from infra.webhooks.balance_low import BalanceAlerts
from infra.webhooks.outbox import BALANCE_LOW
from infra.webhooks.store import WebhookStore
from pipeline.catalog.model import Prices
from pipeline.errors import NotFound
from pipeline.pricing import Usage

DOLLAR = 1_000_000
URL = "https://hooks.example/all"


class Watched:
    """An account with ten dollars and an endpoint that wants the event, one that does not, and one that is disabled."""

    def __init__(self, database: Database, account: str) -> None:
        self.account = account
        self.ledger, self.alerts, self.webhooks = Ledger(database), BalanceAlerts(database), WebhookStore(database)
        self.ledger.top_up(account, 10 * DOLLAR)
        made = [
            self.webhooks.create_endpoint(account, name=name, url=URL, event_types=[kind])
            for name, kind in (("told", BALANCE_LOW), ("not", "audio.job.failed"), ("off", BALANCE_LOW))
        ]
        self.told = made[0].id
        self.webhooks.update_endpoint(account, made[2].id, status="disabled")

    def messages(self) -> list[dict[str, Any]]:
        found, _ = self.webhooks.messages(self.account)
        assert {(message.type, message.target) for message, _ in found} <= {(BALANCE_LOW, self.told)}
        return [json.loads(message.body)["data"] for message, _ in found]


@pytest.fixture
def watched(database: Database, account: str) -> Watched:
    return Watched(database, account)


def test_told_once_and_again_after_it_was_above(watched: Watched) -> None:
    watched.alerts.set_threshold(watched.account, 5 * DOLLAR)
    assert watched.alerts.announce() == []
    watched.ledger.adjust(watched.account, -5 * DOLLAR)
    assert watched.alerts.announce() == [], "not below"
    watched.ledger.adjust(watched.account, -1)
    assert watched.alerts.announce() == [watched.account]
    for _ in range(2):
        assert watched.alerts.announce() == []
    assert watched.messages() == [
        {
            "object": "balance", "account_id": watched.account, "currency": "usd", "available": 4.999999, "held": 0.0,
            "total": 4.999999, "low_threshold": 5.0,
        }
    ]  # fmt: skip
    watched.ledger.top_up(watched.account, DOLLAR)
    assert watched.alerts.announce() == []
    watched.ledger.adjust(watched.account, -2 * DOLLAR)
    assert watched.alerts.announce() == [watched.account]
    assert len(watched.messages()) == 2


def test_an_operator_sets_it_like_the_account_itself(database: Database, watched: Watched) -> None:
    accounts = Accounts(database)
    for threshold, told in ((20, [watched.account]), (20, [watched.account]), (5, []), (0, [])):
        accounts.update(watched.account, balance_low=threshold * DOLLAR)
        assert watched.alerts.announce() == told, "at once, and set anew again"
        accounts.update(watched.account, tier="pro")
        assert watched.alerts.threshold(watched.account) == (threshold * DOLLAR or None), "another change leaves it"
        assert watched.alerts.announce() == []


def test_what_is_only_held_is_still_there(watched: Watched) -> None:
    watched.alerts.set_threshold(watched.account, 5 * DOLLAR)
    watched.ledger.hold(watched.account, "req_1", 9 * DOLLAR)
    assert watched.alerts.announce() == []
    watched.ledger.release("req_1")
    watched.ledger.hold(watched.account, "req_2", 9 * DOLLAR)
    prices = Prices(thousand_characters=Decimal(6))
    spent = Usage(characters=1000)
    new = NewReceipt(account_id=watched.account, task="speech", model="tts-1", usage=spent, prices=prices)
    assert watched.ledger.settle("req_2", new).cost == 6 * DOLLAR
    assert watched.alerts.announce() == [watched.account]


def test_who_did_not_ask_or_has_nobody_to_tell_is_not_told(watched: Watched, database: Database) -> None:
    watched.ledger.adjust(watched.account, -9 * DOLLAR)
    assert watched.alerts.announce() == []
    assert watched.alerts.threshold(watched.account) is None
    lonely = Accounts(database).create_account("lonely").id
    watched.alerts.set_threshold(lonely, DOLLAR)
    assert watched.alerts.announce() == []
    watched.webhooks.create_endpoint(lonely, name="late", url=URL, event_types=[BALANCE_LOW])
    assert watched.alerts.announce() == [lonely]
    watched.alerts.set_threshold(watched.account, 2 * DOLLAR)
    Accounts(database).update(watched.account, status="closed")
    assert watched.alerts.announce() == []
    for wrong in (watched.alerts.threshold, lambda account: watched.alerts.set_threshold(account, None)):
        with pytest.raises(NotFound):
            wrong("acct_x")
