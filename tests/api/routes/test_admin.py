"""/admin: accounts, keys, money in, ratios, reports and CSV, for the holder of the admin key alone."""

import csv
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from api.main import create_app
from infra.database.ids import new_id
from infra.money.receipts import NewReceipt
from infra.settings import Settings
from pipeline.catalog.model import Prices
from pipeline.pricing import Usage
from tests.api.conftest import ADMIN_KEY, House, recording


class Administrator:
    """Asks as the administrator."""

    def __init__(self, house: House) -> None:
        self._client = house.client

    def __call__(self, method: str, path: str, *, status: int = 200, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", **options.pop("headers", {})}
        answer = self._client.request(method, f"/admin/{path}", headers=headers, **options)
        assert answer.status_code == status, answer.text
        return answer

    def account(self, **wanted: Any) -> str:
        return str(self("POST", "accounts", status=201, json=wanted).json()["id"])


@pytest.fixture
def admin(house: House) -> Administrator:
    return Administrator(house)


def routes() -> list[tuple[str, str]]:
    document = create_app(settings=Settings()).openapi()
    return [
        (method.upper(), re.sub(r"\{\w+\}", "x", path))
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith("/admin")
    ]


def test_no_accounts_key_opens_it_and_it_is_all_in_the_document(house: House) -> None:
    assert len(routes()) >= 20
    for method, path in routes():
        answer = house.client.request(method, path, headers=house.auth())
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key"), path
        assert ADMIN_KEY not in answer.text


def test_an_account_from_its_beginning_to_its_end(house: House, admin: Administrator) -> None:
    account = admin("POST", "accounts", status=201, json={"name": "Ada", "tier": "pro", "plan": "gold"}).json()
    assert account["object"] == "account"
    assert account["limits"]["speech_requests_per_minute"] == 60
    path = f"accounts/{account['id']}"
    key = admin("POST", f"{path}/keys", status=201, json={"name": "laptop"}).json()["key"]
    assert house.get("/v1/models", headers=house.auth(key)).status_code == 200
    changed = admin("PATCH", path, json={"tier": "enterprise", "limits": {"concurrent_jobs": 3}}).json()
    assert (changed["tier"], changed["name"], changed["keys"]) == ("enterprise", "Ada", 1)
    assert (changed["limits"]["concurrent_jobs"], changed["own_limits"]) == (3, {"concurrent_jobs": 3})
    assert admin("PATCH", path, json={"limits": {}}).json()["own_limits"] == {}
    assert admin("GET", path).json() == admin("PATCH", path, json={}).json()
    admin("PATCH", path, json={"status": "suspended"})
    assert house.get("/v1/models", headers=house.auth(key)).status_code == 403
    admin("PATCH", path, json={"status": "active"})
    assert house.get("/v1/models", headers=house.auth(key)).status_code == 200


def test_the_jobs_of_what_is_revoked_or_closed_stop(house: House, admin: Administrator) -> None:
    def status(job: dict[str, Any]) -> str:
        return house.services.jobs.get(house.account_id, job["id"]).status

    secret, key = house.services.accounts.create_key(house.account_id)
    asked = {"data": {"model": "oracle"}, "files": {"file": ("a.wav", recording()[0])}}
    other = house.post("/v1/audio/jobs", headers=house.auth(secret), **asked).json()
    mine = house.submit()
    admin("DELETE", f"keys/{key.id}")
    assert (status(mine), status(other)) == ("queued", "cancelled")
    admin("PATCH", f"accounts/{house.account_id}", json={"name": "still open"})
    assert status(mine) == "queued"
    admin("PATCH", f"accounts/{house.account_id}", json={"status": "closed"})
    assert status(mine) == "cancelled"


def test_keys_made_replaced_and_revoked(house: House, admin: Administrator) -> None:
    account = admin.account()
    made = admin("POST", f"accounts/{account}/keys", status=201, json={"scopes": ["usage"]}).json()
    assert made["scopes"] == ["usage"]
    assert house.get("/v1/balance", headers=house.auth(made["key"])).status_code == 200
    assert house.get("/v1/audio/jobs", headers=house.auth(made["key"])).status_code == 403
    new = admin("POST", f"keys/{made['id']}/rotate", status=201, json={"overlap_seconds": 60}).json()
    assert (new["scopes"], new["key"] != made["key"]) == (["usage"], True)
    for key in (made["key"], new["key"]):
        assert house.get("/v1/balance", headers=house.auth(key)).status_code == 200
    admin("POST", f"keys/{made['id']}/rotate", status=409)
    assert admin("DELETE", f"keys/{made['id']}").json()["status"] == "revoked"
    assert house.get("/v1/balance", headers=house.auth(made["key"])).status_code == 401
    listed = admin("GET", f"keys?account_id={account}").json()["data"]
    assert {key["id"]: key["status"] for key in listed} == {made["id"]: "revoked", new["id"]: "active"}
    assert not any("key" in key for key in listed)
    assert new["key"] not in str(listed)


def test_lists_page_by_page(admin: Administrator) -> None:
    account = admin.account(tier="free", name="paged")
    for _ in range(3):
        admin("POST", f"accounts/{account}/keys", status=201)
    whole = admin("GET", f"keys?account_id={account}").json()["data"]
    first = admin("GET", f"keys?account_id={account}&limit=2").json()
    rest = admin("GET", f"keys?account_id={account}&limit=2&after={first['last_id']}").json()
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert first["data"] + rest["data"] == whole
    accounts = admin("GET", "accounts?tier=free&limit=1").json()
    assert accounts["data"][0]["id"] == account
    admin("GET", "accounts?after=acct_nobody", status=400)


def test_money_in_is_exact_and_counts_once(house: House, admin: Administrator) -> None:
    account = admin.account()
    path = f"accounts/{account}/top_ups"
    for amount in ("0.1", 0.2):
        admin("POST", path, status=201, json={"amount_usd": amount})
    assert admin("GET", f"accounts/{account}/balance").json()["available"] == 0.3
    once = {"Idempotency-Key": "invoice-1"}
    first = admin("POST", path, status=201, json={"amount_usd": "5", "note": "paid"}, headers=once)
    again = admin("POST", path, status=201, json={"amount_usd": 5.00, "note": "paid"}, headers=once)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    assert again.json()["balance_usd"] == 5.3
    for other in ({"amount_usd": "6", "note": "paid"}, {"amount_usd": "5", "note": "unpaid"}):
        refused = admin("POST", path, status=409, json=other, headers=once).json()["error"]
        assert refused["code"] == "idempotency_conflict"
    assert admin("POST", f"accounts/{house.account_id}/top_ups", status=201, json={"amount_usd": 5}, headers=once)
    assert admin("GET", f"accounts/{account}").json()["balance_usd"] == 5.3


def test_twenty_at_once_with_one_key_count_once(admin: Administrator) -> None:
    account, once = admin.account(), {"Idempotency-Key": "again and again"}

    def ask(_: int) -> Any:
        return admin("POST", f"accounts/{account}/top_ups", status=201, json={"amount_usd": 1}, headers=once).json()[
            "id"
        ]

    with ThreadPoolExecutor(10) as threads:
        assert len(set(threads.map(ask, range(20)))) == 1
    assert admin("GET", f"accounts/{account}").json()["balance_usd"] == 1


@pytest.mark.parametrize(
    "body",
    [
        '{"amount_usd": 0.0000001}', '{"amount_usd": 1.00000000000000000000000000000000001}', '{"amount_usd": 0}',
        '{"amount_usd": -1}', '{"amount_usd": "ten"}', '{"amount_usd": NaN}', '{"amount_usd": 1e400}',
        '{"amount_usd": Infinity}', '{"amount_usd": true}', '{"amount_usd": null}', '{"amount_usd": [1]}', "{}",
        '{"amount_usd": 1000000.01}', '{"amount_usd": "1", "nota": "x"}', '{"amount_usd": 1, "note": "\\u0000"}',
        '{"amount_usd": 1e999999999}', '{"amount_usd": 1e-999999999}', '{"amount_usd": 1e99999999999999999999}',
        '{"amount_usd": ' + "9" * 5000 + "}", "[]", "", "{",
    ],
)  # fmt: skip
def test_what_is_no_amount_is_refused_and_books_nothing(house: House, admin: Administrator, body: str) -> None:
    account = admin.account()
    for path in ("top_ups", "adjustments"):
        if body != '{"amount_usd": -1}' or path == "top_ups":
            answer = admin("POST", f"accounts/{account}/{path}", status=400, content=body)
            assert answer.json()["error"]["message"]
    assert admin("GET", f"ledger?account_id={account}").json()["data"] == []


def test_corrections_need_a_reason_and_never_go_below_nothing(admin: Administrator) -> None:
    account = admin.account()
    path = f"accounts/{account}/adjustments"
    admin("POST", path, status=400, json={"amount_usd": 2})
    assert admin("POST", path, status=201, json={"amount_usd": "2", "note": "gift"}).json()["balance_usd"] == 2
    assert admin("POST", path, status=201, json={"amount_usd": -0.5, "note": "slip"}).json()["balance_usd"] == 1.5
    refused = admin("POST", path, status=402, json={"amount_usd": "-1.500001", "note": "too much"}).json()["error"]
    assert refused["code"] == "insufficient_balance"
    assert "correction never takes a balance below 0: 1.500001 USD" in refused["message"]
    assert "pay-as-you-go" not in refused["message"]
    entries = admin("GET", f"ledger?account_id={account}").json()["data"]
    assert [(entry["kind"], entry["delta_usd"], entry["note"]) for entry in entries] == [
        ("adjust", -0.5, "slip"),
        ("adjust", 2, "gift"),
    ]
    assert admin("GET", f"ledger?account_id={account}&after={entries[0]['id']}").json()["data"] == entries[1:]
    assert admin("GET", f"ledger?account_id={account}&kind=top_up").json()["data"] == []


def test_unknown_accounts_keys_and_models(admin: Administrator) -> None:
    for method, path, body in (
        ("GET", "accounts/acct_x", None),
        ("GET", "accounts/acct_x/balance", None),
        ("PATCH", "accounts/acct_x", {"tier": "pro"}),
        ("POST", "accounts/acct_x/keys", {}),
        ("POST", "accounts/acct_x/top_ups", {"amount_usd": 1}),
        ("POST", "accounts/acct_x/adjustments", {"amount_usd": -1, "note": "x"}),
        ("POST", "keys/nothing/rotate", {}),
        ("DELETE", "keys/nothing", None),
        ("PUT", "ratios/nothing", {"ratio": 1}),
        ("DELETE", "ratios/nothing", None),
    ):
        error = admin(method, path, status=404, json=body).json()["error"]
        assert error["code"] in ("not_found", "model_not_found"), path


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "accounts", {"tier": "golden"}),
        ("POST", "accounts", {"name": "x" * 201}),
        ("POST", "accounts", {"limits": {"wishes": 3}}),
        ("POST", "accounts", {"limits": {"concurrent_jobs": -1}}),
        ("POST", "accounts", {"balance": 10}),
        ("PATCH", "accounts/{account}", {"status": "gone"}),
        ("PATCH", "accounts/{account}", {"limts": {}}),
        ("POST", "accounts/{account}/keys", {"scopes": ["everything"]}),
        ("POST", "accounts/{account}/keys", {"scopes": []}),
        ("POST", "accounts/{account}/keys", {"expires_at": -5}),
        ("PUT", "ratios/whisper-1", {"ratio": "much"}),
        ("PUT", "ratios/whisper-1", {"ratio": -1}),
        ("PUT", "ratios/whisper-1", {"ratio": 1001}),
        ("PUT", "ratios/whisper-1", {"ratio": True}),
        ("PUT", "ratios/whisper-1", {}),
        ("PUT", "ratios/tts-1", {"ratio": 2}),
        ("PATCH", "accounts/{account}", {"audio_ratio": "much"}),
        ("PATCH", "accounts/{account}", {"audio_ratio": 1001}),
        ("PATCH", "accounts/{account}", {"balance_low_usd": "little"}),
        ("PATCH", "accounts/{account}", {"balance_low_usd": -1}),
        ("GET", "usage?group_by=colour", None),
        ("GET", "usage?from=yesterday", None),
        ("GET", "ledger?after=99999999999999999999999", None),
        ("GET", "export/everything.csv", None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(admin: Administrator, method: str, path: str, body: Any) -> None:
    account = admin.account()
    error = admin(method, path.format(account=account), status=400, json=body).json()["error"]
    assert error["type"] == "invalid_request"
    assert error["message"]
    assert error["param"]


def test_when_an_account_is_told_that_its_balance_is_low(house: House, admin: Administrator) -> None:
    path = f"accounts/{house.account_id}"
    for given, shown in (("5.00", 5), (2.5, 2.5), (0, None)):
        assert admin("PATCH", path, json={"balance_low_usd": given}).json()["balance_low_usd"] == shown
        assert admin("PATCH", path, json={"name": str(given)}).json()["balance_low_usd"] == shown
        assert house.get("/v1/balance").json()["low_threshold"] == shown


@pytest.fixture
def untouched_ratios(house: House) -> Iterator[None]:
    """The services are shared by all tests of the door."""
    yield
    for row in house.services.ratios.all():
        house.services.ratios.clear(row.model)


@pytest.mark.usefixtures("untouched_ratios")
def test_ratios_for_what_is_accepted_from_now_on(house: House, admin: Administrator) -> None:
    def cost() -> float:
        asked = {"model": "whisper-1", "duration_seconds": 12.5}
        return float(house.post("/v1/audio/estimates", json=asked).json()["cost"]["estimated"])

    assert cost() == 0.00125
    assert admin("PUT", "ratios/whisper-1", json={"ratio": "2"}).json()["ratio"] == "2"
    assert cost() == 0.0025
    admin("PUT", "ratios/*", json={"ratio": 1.5})
    assert cost() == 0.00375
    prices = admin("GET", "prices").json()
    shown = {model["id"]: model for model in prices["data"]}
    assert (prices["global_ratio"], Decimal(shown["whisper-1"]["audio_ratio"])) == ("1.5", 3)
    assert (shown["tts-1"]["own_ratio"], shown["tts-1"]["audio_ratio"]) == (None, "1.5")
    assert {row["model"] for row in admin("GET", "ratios").json()["data"]} == {"*", "whisper-1"}
    admin("DELETE", "ratios/%2A")
    admin("DELETE", "ratios/whisper-1")
    assert cost() == 0.00125


@pytest.mark.processes
def test_an_accounts_own_ratio_is_in_its_estimates_holds_and_receipts(house: House, admin: Administrator) -> None:
    path = f"accounts/{house.account_id}"
    assert admin("PATCH", path, json={"audio_ratio": 0.8}).json()["audio_ratio"] == "0.8"
    asked = {"model": "oracle-priced", "duration_seconds": 12.5}
    told = house.post("/v1/audio/estimates", json=asked).json()
    assert (told["audio_ratio"], told["cost"]["estimated"]) == ("0.8", 0.001)
    other = house.post("/v1/audio/estimates", json=asked, headers=house.auth(house.other_key)).json()
    assert (other["audio_ratio"], other["cost"]["estimated"]) == ("1", 0.00125)
    job = house.submit(recording(2.5)[0], model="oracle-priced")
    assert job["cost"]["held"] == 0.0002
    house.work()
    files = {"file": ("a.wav", recording(2.5)[0])}
    heard = house.post("/v1/audio/transcriptions", data={"model": "oracle-priced"}, files=files)
    assert heard.headers["x-perf-cost-usd"] == "0.0002"
    receipts = house.get("/v1/receipts").json()["data"]
    assert [(one["audio_ratio"], one["cost_usd"]) for one in receipts] == [("0.8", 0.0002)] * 2
    prices = admin("GET", f"prices?account_id={house.account_id}").json()
    shown = {model["id"]: model["audio_ratio"] for model in prices["data"]}
    assert (prices["account_ratio"], shown["oracle-priced"]) == ("0.8", "0.8")
    assert "account_ratio" not in admin("GET", "prices").json()
    admin("GET", "prices?account_id=acct_x", status=404)


def receipt(house: House, account: str, cost: int, *, model: str = "whisper-1", key: str | None = None) -> None:
    """A settled request of so many micro-dollars."""
    ledger, subject = house.services.ledger, new_id("req")
    ledger.top_up(account, cost)
    ledger.hold(account, subject, cost)
    usage = Usage(characters=cost)
    prices = Prices(thousand_characters=Decimal("0.001"))  # a micro-dollar each
    new = NewReceipt(account_id=account, task="speech", model=model, usage=usage, prices=prices, key_id=key)
    ledger.settle(subject, new)


def test_reports_across_accounts(house: House, admin: Administrator) -> None:
    one, two = admin.account(), admin.account()
    for account, cost in ((one, 5), (one, 7), (two, 100)):
        receipt(house, account, cost)
    report = admin("GET", "usage?limit=1000").json()
    costs = {line["account_id"]: line["cost_usd"] for line in report["data"]}
    assert (costs[one], costs[two]) == (0.000012, 0.0001)
    assert report["total"]["cost_usd"] >= 0.000112
    mine = admin("GET", f"usage?group_by=model&account_id={one}").json()
    assert [(line["model"], line["requests"], line["characters"]) for line in mine["data"]] == [("whisper-1", 2, 12)]
    assert mine["total"]["cost_usd"] == 0.000012
    assert {row["cost_usd"] for row in admin("GET", f"receipts?account_id={one}").json()["data"]} == {5e-6, 7e-6}
    assert admin("GET", "check").json() == {"object": "ledger.check", "ok": True, "differences": []}


def test_the_books_as_csv(house: House, admin: Administrator) -> None:
    account = admin.account()
    admin("POST", f"accounts/{account}/top_ups", status=201, json={"amount_usd": 1, "note": '=HYPERLINK("x")'})
    receipt(house, account, 250, model="Ünïcode, and commas")

    def rows(report: str) -> list[dict[str, str]]:
        answer = admin("GET", f"export/{report}.csv?account_id={account}")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == f'attachment; filename="{report}.csv"'
        return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8"), newline="")))

    ledger = rows("ledger")
    assert [line["kind"] for line in ledger] == ["top_up", "top_up", "hold", "capture"]
    assert sum(Decimal(line["delta_usd"]) for line in ledger) == 1
    assert ledger[0]["note"] == '\'=HYPERLINK("x")'
    assert [(line["model"], line["cost_usd"]) for line in rows("receipts")] == [("Ünïcode, and commas", "0.00025")]
    assert [(line["account_id"], line["requests"]) for line in rows("usage")] == [(account, "1")]
    tomorrow = admin("GET", f"export/ledger.csv?account_id={account}&from=2999-01-01").text
    assert len(tomorrow.splitlines()) == 1


def test_an_account_and_its_key_are_made_once(admin: Administrator, house: House) -> None:
    once = {"Idempotency-Key": "onboarding"}
    made = [admin("POST", "accounts", status=201, json={"name": "n"}, headers=once) for _ in range(2)]
    assert made[0].json() == made[1].json()
    assert [answer.headers.get("idempotent-replayed") for answer in made] == [None, "true"]
    admin("POST", "accounts", status=409, json={"name": "other"}, headers=once)
    account = made[0].json()["id"]
    first, again = (admin("POST", f"accounts/{account}/keys", status=201, json={}, headers=once) for _ in range(2))
    assert (again.json()["id"], again.json()["key"]) == (first.json()["id"], None)
    assert "revoke this key" in again.json()["message"]
    assert first.json()["key"] not in again.text
    admin("POST", f"accounts/{account}/keys", status=409, json={"name": "b"}, headers=once)
    assert [key["id"] for key in admin("GET", f"keys?account_id={account}").json()["data"]] == [first.json()["id"]]
    auth = house.auth(first.json()["key"])
    assert house.client.get("/v1/balance", headers=auth).json()["account_id"] == account
    other = admin.account()
    assert admin("POST", f"accounts/{other}/keys", status=201, json={}, headers=once).json()["key"]


def test_asked_for_at_the_same_moment_there_is_one_account(admin: Administrator) -> None:
    def make(_: int) -> str:
        once = {"Idempotency-Key": "at once"}
        return str(admin("POST", "accounts", status=201, json={"name": "many"}, headers=once).json()["id"])

    with ThreadPoolExecutor(8) as threads:
        (account,) = set(threads.map(make, range(16)))
    assert [row["id"] for row in admin("GET", "accounts?limit=1000").json()["data"]].count(account) == 1
