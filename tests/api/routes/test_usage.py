"""Balance, usage and receipts, as an account holder reads them; and nothing of a neighbour's."""

import datetime
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from infra.database.ids import new_id
from infra.database.tables.money import Receipt
from tests.api.conftest import House

DAY = 86_400.0
TODAY = datetime.datetime.now(datetime.UTC).date()


def receipts(house: House, account: str, *rows: dict[str, Any]) -> list[str]:
    """Their ids; each row's `ago` is in days before this noon."""
    noon = datetime.datetime.combine(TODAY, datetime.time(12), datetime.UTC).timestamp()
    made = []
    for given in rows:
        at = noon - DAY * given.pop("ago", 0) + 0.001 * len(made)
        facts = {"subject": new_id("req"), "task": "transcription", "model": "whisper-1", **given}
        made.append(Receipt(id=new_id("rcpt"), account_id=account, created_at=at, updated_at=at, **facts))
    with house.services.database.write() as session:
        session.add_all(made)
    return [row.id for row in made]


@pytest.fixture
def three(house: House) -> list[str]:
    """Of this account two days and two models; and one of a neighbour."""
    _, other = house.account_id, house.services.accounts.authenticate(house.other_key).account_id
    receipts(house, other, {"cost": 1_000_000})
    return receipts(
        house,
        house.account_id,
        {"cost": 1250, "audio_ms": 12_500, "ago": 1, "key_id": "a", "prices": {"audio_minute": "0.006"}, "ratio": "1"},
        {"cost": 15_000, "characters": 1000, "model": "tts-1", "task": "speech", "key_id": "a"},
        {"cost": 3, "tokens": {"text_in": 4, "audio_out": 7}, "model": "tts-1", "key_id": "b", "counted": "provider"},
    )


def test_the_threshold_of_the_balance(house: House) -> None:
    assert house.get("/v1/balance").json()["low_threshold"] is None
    headers = house.auth()
    for given, shown in (("2.50", 2.5), (0.1, 0.1), (None, None)):
        answer = house.client.patch("/v1/balance", json={"low_threshold": given}, headers=headers)
        assert (answer.status_code, answer.json()["low_threshold"]) == (200, shown)
    assert house.get("/v1/balance").json() == answer.json()
    for wrong in ({}, {"low_threshold": -1}, {"low_threshold": "little"}, {"threshold": 1}):
        assert house.client.patch("/v1/balance", json=wrong, headers=headers).status_code == 400
    assert "balance.low" in house.get("/v1/webhook_event_types").json()["data"]


def test_the_balance(house: House) -> None:
    ledger = house.services.ledger
    before = house.get("/v1/balance").json()
    ledger.top_up(house.account_id, 300_000)
    ledger.hold(house.account_id, new_id("req"), 100_001)
    after = house.get("/v1/balance").json()
    assert after["held"] == 0.100001
    assert round(after["available"] - before["available"], 6) == 0.199999
    assert after == before | {name: after[name] for name in ("available", "held", "total")}
    assert (after["object"], after["currency"], after["account_id"]) == ("balance", "usd", house.account_id)
    neighbour = house.get("/v1/balance", headers=house.auth(house.other_key)).json()
    assert (neighbour["held"], neighbour["account_id"] != house.account_id) == (0, True)


@pytest.mark.usefixtures("three")
def test_usage_by_day_model_and_key(house: House) -> None:
    days = house.get("/v1/usage").json()
    assert [(line["day"], line["requests"], line["cost_usd"]) for line in days["data"]] == [
        (str(TODAY), 2, 0.015003),
        (str(TODAY - datetime.timedelta(days=1)), 1, 0.00125),
    ]
    assert (days["object"], days["group_by"], days["has_more"], days["currency"]) == ("list", "day", False, "usd")
    assert (days["from"], days["to"]) == (str(TODAY - datetime.timedelta(days=29)), str(TODAY))
    models = house.get("/v1/usage?group_by=model").json()
    assert [(line["model"], line["cost_usd"]) for line in models["data"]] == [
        ("tts-1", 0.015003),
        ("whisper-1", 0.00125),
    ]
    assert models["total"] == days["total"]
    assert models["total"] == {
        "requests": 3, "audio_seconds": 12.5, "characters": 1000, "cost_usd": 0.016253,
        "tokens": {"text_in": 4, "audio_in": 0, "text_out": 0, "audio_out": 7},
    }  # fmt: skip
    keys = house.get("/v1/usage?group_by=key").json()["data"]
    assert [(line["key_id"], line["requests"]) for line in keys] == [("a", 2), ("b", 1)]


@pytest.mark.usefixtures("three")
def test_usage_of_a_period_a_model_a_key(house: House) -> None:
    def cost(query: str) -> float:
        return float(house.get(f"/v1/usage?{query}").json()["total"]["cost_usd"])

    yesterday = TODAY - datetime.timedelta(days=1)
    assert cost(f"from={yesterday}&to={yesterday}") == 0.00125
    assert cost(f"from={TODAY}") == 0.015003
    assert cost(f"to={yesterday}") == 0.00125
    assert cost("to=0001-01-01") == 0
    assert cost("model=tts-1&key_id=b") == 0.000003
    assert cost("model=nothing") == 0


@pytest.mark.usefixtures("three")
def test_usage_page_by_page(house: House) -> None:
    for by in ("day", "model", "key"):
        whole = house.get(f"/v1/usage?group_by={by}").json()["data"]
        first = house.get(f"/v1/usage?group_by={by}&limit=1").json()
        rest = house.get(f"/v1/usage?group_by={by}&limit=1&after={first['last_id']}").json()
        assert first["data"] + rest["data"] == whole
        assert (first["has_more"], rest["has_more"]) == (True, False)
        assert first["total"] == rest["total"]


def test_receipts(house: House, three: list[str]) -> None:
    listed = house.get("/v1/receipts").json()
    assert [row["id"] for row in listed["data"]] == [three[2], three[1], three[0]]
    shown = house.get(f"/v1/receipts/{three[0]}").json()
    assert shown == listed["data"][2]
    assert shown | {"created_at": 0, "updated_at": 0, "request_id": "req"} == {
        "id": three[0], "object": "receipt", "job_id": None, "request_id": "req", "account_id": house.account_id,
        "key_id": "a", "task": "transcription", "model": "whisper-1", "model_used": None,
        "audio_seconds": 12.5, "characters": 0, "tokens": None, "counted": "measured",
        "prices": {"audio_minute": "0.006"}, "audio_ratio": "1", "currency": "usd", "cost_usd": 0.00125,
        "latency_ms": None, "created_at": 0, "updated_at": 0,
    }  # fmt: skip
    assert shown["request_id"].startswith("req_")
    assert [row["id"] for row in house.get(f"/v1/receipts?request_id={shown['request_id']}").json()["data"]] == three[
        :1
    ]
    first = house.get("/v1/receipts?limit=2").json()
    rest = house.get(f"/v1/receipts?limit=2&after={first['last_id']}").json()
    assert [row["id"] for row in first["data"] + rest["data"]] == three[::-1]
    assert [row["id"] for row in house.get(f"/v1/receipts?model=tts-1&from={TODAY}").json()["data"]] == three[:0:-1]


def test_a_neighbours_receipt_is_as_unknown_as_one_that_never_was(house: House, three: list[str]) -> None:
    stranger = house.auth(house.other_key)
    answers = [house.get(f"/v1/receipts/{one}", headers=stranger) for one in (three[0], "rcpt_nothing")]
    assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}
    request_id = house.get(f"/v1/receipts/{three[0]}").json()["request_id"]
    assert house.get(f"/v1/receipts?request_id={request_id}", headers=stranger).json()["data"] == []
    assert house.get(f"/v1/receipts?after={three[0]}", headers=stranger).status_code == 400
    total = house.get("/v1/usage", headers=stranger).json()["total"]
    assert (total["requests"], total["cost_usd"]) == (1, 1)


@pytest.mark.processes
def test_a_jobs_receipt(house: House) -> None:
    """What the job says and what its receipt says are one thing."""
    house.services.ledger.top_up(house.account_id, 1_000_000)
    job = house.submit(model="oracle-priced")
    house.work()
    done = house.get(f"/v1/audio/jobs/{job['id']}").json()
    assert done["status"] == "completed", done["error"]
    (receipt,) = house.get(f"/v1/receipts?job_id={job['id']}").json()["data"]
    assert (receipt["job_id"], receipt["request_id"], receipt["model"]) == (job["id"], None, "oracle-priced")
    assert receipt["cost_usd"] == done["cost"]["captured"] == 0.0002
    assert (receipt["audio_seconds"], receipt["prices"]) == (2, {"audio_minute": "0.006"})
    assert receipt["latency_ms"] >= 0, "from its acceptance to its end"
    assert house.get(done["receipt_url"]).json()["data"] == [receipt]
    assert house.get("/v1/balance").json()["held"] == 0
    assert house.get(f"/v1/audio/jobs/{job['id']}/transcript").headers["x-perf-cost-usd"] == "0.0002"


def test_sums_above_what_a_float_counts_in(house: House) -> None:
    """Thousands of cents, added as integers: three times 0.1 is 0.3."""
    ids = receipts(house, house.account_id, *({"cost": 100_000} for _ in range(3)))
    with house.services.database.write() as session:
        session.execute(update(Receipt).where(col(Receipt.id) == ids[0]).values(characters=2**53 + 1))
    total = house.get("/v1/usage").json()["total"]
    assert (total["cost_usd"], total["characters"]) == (0.3, 2**53 + 1)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("usage?group_by=account", "group_by"),
        ("usage?from=2026-13-01", "from"),
        ("usage?from=2026-02-02&to=2026-02-01", "from"),
        ("usage?limit=0", "limit"),
        ("usage?limit=1001", "limit"),
        ("usage?after=x", "after"),
        ("receipts?limit=101", "limit"),
        ("receipts?after=rcpt_nothing", "after"),
        ("receipts?job_id=a&request_id=b", "request_id"),
    ],
)
def test_what_is_wrong_is_named(house: House, query: str, param: str) -> None:
    answer = house.get(f"/v1/{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
