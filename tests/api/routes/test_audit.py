"""GET /admin/audit: whatever the administration changes is in it, with who, from where and by which request."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.access.admin_key import is_admin_path
from api.main import create_app
from infra.settings import Settings
from tests.api.conftest import ADMIN_KEY, House

ACTS: dict[tuple[str, str], tuple[str, Any]] = {  # what each changing route is, and a body that changes something
    ("POST", "/admin/accounts"): ("account.create", {"name": "n"}),
    ("PATCH", "/admin/accounts/{account_id}"): ("account.update", {"tier": "free"}),
    ("POST", "/admin/accounts/{account_id}/keys"): ("key.create", {}),
    ("POST", "/admin/keys/{key_id}/rotate"): ("key.rotate", {}),
    ("DELETE", "/admin/keys/{key_id}"): ("key.revoke", None),
    ("POST", "/admin/accounts/{account_id}/top_ups"): ("balance.top_up", {"amount_usd": 1}),
    ("POST", "/admin/accounts/{account_id}/adjustments"): ("balance.adjust", {"amount_usd": 1, "note": "n"}),
    ("PUT", "/admin/ratios/{model}"): ("ratio.set", {"ratio": 2}),
    ("DELETE", "/admin/ratios/{model}"): ("ratio.clear", None),
}
READS = {"GET", "HEAD", "PARAMETERS"}


def ask(house: House, method: str, path: str, **options: Any) -> Any:
    answer = house.client.request(method, path, headers=house.auth(ADMIN_KEY), **options)
    assert answer.is_success, answer.text
    return answer


def log(house: House, query: str = "") -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = ask(house, "GET", f"/admin/audit{query}").json()["data"]
    return entries


def test_every_route_that_changes_something_is_known_here() -> None:
    paths = create_app(settings=Settings()).openapi()["paths"]
    operations = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert {one for one in operations if is_admin_path(one[1]) and one[0] not in READS} == set(ACTS)


@pytest.mark.parametrize(("method", "path"), ACTS)
def test_an_act_leaves_one_entry(house: House, method: str, path: str) -> None:
    act, body = ACTS[method, path]
    house.services.ratios.set("whisper-1", Decimal(3))  # something to clear
    key_id = house.services.accounts.list_keys(house.account_id)[0].id
    there = path.format(account_id=house.account_id, key_id=key_id, model="whisper-1")
    before = log(house)
    try:
        answer = ask(house, method, there, json=body)
        entry, *rest = log(house)
    finally:
        house.services.ratios.clear("whisper-1")
    assert rest == before[: len(rest)]
    assert (entry["object"], entry["act"], entry["who"], entry["source"]) == (
        "audit.entry", act, "admin_key", "testclient",
    )  # fmt: skip
    assert entry["request_id"] == answer.headers["x-perf-request-id"]
    assert ADMIN_KEY not in str(entry)


def test_a_repetition_is_no_act(house: House) -> None:
    once = {**house.auth(ADMIN_KEY), "Idempotency-Key": "audited once"}
    for _ in range(2):
        answer = house.client.post("/admin/accounts", headers=once, json={"name": "n"})
    account = answer.json()["id"]
    for _ in range(2):
        house.client.post(f"/admin/accounts/{account}/keys", headers=once, json={})
        house.client.post(f"/admin/accounts/{account}/top_ups", headers=once, json={"amount_usd": 1})
    acts = [entry["act"] for entry in log(house, f"?account_id={account}")]
    assert acts == ["balance.top_up", "key.create", "account.create"]


def test_where_somebody_asked_from_is_what_a_trusted_proxy_tells(house: House) -> None:
    settings = Settings(home=house.services.settings.home, admin_key=ADMIN_KEY, trusted_proxies="198.51.100.0/24")
    app = create_app(replace(house.services, settings=settings))
    with TestClient(app, client=("198.51.100.7", 1)) as client:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", "X-Forwarded-For": "10.0.0.1, 203.0.113.5"}
        account = client.post("/admin/accounts", headers=headers, json={}).json()["id"]
    (entry,) = log(house, f"?account_id={account}&act=account.create")
    assert entry["source"] == "203.0.113.5"


def test_page_by_page_and_no_account_sees_it(house: House) -> None:
    first = ask(house, "GET", f"/admin/audit?account_id={house.account_id}&limit=1").json()
    rest = log(house, f"?account_id={house.account_id}&after={first['last_id']}")
    assert first["has_more"]
    assert [entry["act"] for entry in [*first["data"], *rest]] == ["key.create", "balance.top_up", "account.create"]
    assert all(entry["who"].startswith("user:") for entry in rest), "what no door asked for is the process' own doing"
    assert house.get("/admin/audit").status_code == 401
