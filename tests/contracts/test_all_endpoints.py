"""The webhook endpoints of all accounts, as their operator sees them."""

import pytest

from infra.database.session import Database
from infra.keys.accounts import Accounts
from infra.webhooks.delivery_queue import Outcome
from infra.webhooks.health.all_endpoints import AllEndpoints, EndpointHealth
from infra.webhooks.retry_schedule import Verdict
from infra.webhooks.store import WebhookStore
from pipeline.errors import InvalidRequest


def told(one: EndpointHealth) -> dict[str, object]:
    wanted = ("name", "account_name", "status", "last_error", "waiting")
    return {name: value for name, value in one.as_dict().items() if name in wanted}


def test_those_that_fail_are_told_with_whose_they_are_since_when_and_why(database: Database) -> None:
    hooks, everybody = WebhookStore(database), AllEndpoints(database)
    mine, other = (Accounts(database).create_account(name).id for name in ("mine", "other"))
    well, away, gone = (
        hooks.create_endpoint(owner, name=name, url=f"https://{name}.example.com", event_types=["webhook.test"])
        for owner, name in ((mine, "well"), (mine, "away"), (other, "gone"))
    )
    for endpoint, owner, outcome, verdict in (
        (well, mine, Outcome(200), Verdict(True, None)),
        (away, mine, Outcome(None, "timeout"), Verdict(False, 3600.0)),
        (gone, other, Outcome(410), Verdict(False, None, gone=True)),
    ):
        message = hooks.send_test(owner, endpoint.id)
        delivery = hooks.claim(message.id)
        assert delivery is not None
        hooks.record(delivery, outcome, verdict)
    hooks.send_test(mine, away.id)
    found, more = everybody.health(limit=10, failing=True)
    assert not more
    assert [told(one) for one in found] == [
        {"name": "gone", "account_name": "other", "status": "disabled", "last_error": None, "waiting": 0},
        {"name": "away", "account_name": "mine", "status": "active", "last_error": "timeout", "waiting": 2},
    ]
    assert found[1].failing_since is not None
    assert "secret" not in found[1].as_dict()
    assert [one.endpoint.name for one in everybody.health(limit=10)[0]] == ["gone", "away", "well"]
    assert [one.endpoint.name for one in everybody.health(limit=10, account_id=other)[0]] == ["gone"]


def test_they_come_in_pages(database: Database) -> None:
    hooks, everybody = WebhookStore(database), AllEndpoints(database)
    mine = Accounts(database).create_account("mine").id
    made = [
        hooks.create_endpoint(mine, name=str(n), url="https://example.com", event_types=["webhook.test"]).id
        for n in range(3)
    ]
    first, more = everybody.health(limit=2)
    rest, end = everybody.health(limit=2, after=first[-1].endpoint.id)
    assert [one.endpoint.id for one in (*first, *rest)] == made[::-1]
    assert (more, end) == (True, False)
    with pytest.raises(InvalidRequest, match="after=whe_nobody"):
        everybody.health(limit=2, after="whe_nobody")
