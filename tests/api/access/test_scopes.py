"""Every path and method, with every kind of key: generated from the application's own description, so that a route which is
added tomorrow is asked the same questions.
"""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.access.admin_key import is_admin_path
from api.access.scopes import ANY_KEY, scope_of
from api.http.request_middleware import PUBLIC, is_link
from api.main import create_app
from infra.batches.batch_store import NewBatch
from infra.batches.bulk_plan import BULK, BulkPlan
from infra.database.ids import new_id
from infra.database.tables.money import Receipt
from infra.keys.scopes import ALL
from infra.settings import Settings
from infra.wiring import Services, build
from tests.api.conftest import ADMIN_KEY, House

Operation = tuple[str, str]  # (method, path template)


def operations() -> list[Operation]:
    """All there are, those beside the document included."""
    paths = create_app(settings=Settings()).openapi()["paths"]
    described = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    return [
        *described,
        *(("HEAD", path) for method, path in described if method == "GET" and path.startswith("/v1/models")),
    ]


GUARDED = [
    operation
    for operation in operations()
    if operation[1] not in PUBLIC and not is_admin_path(operation[1]) and not is_link(*operation)
]
ADMIN = [operation for operation in operations() if is_admin_path(operation[1])]


def ask(house: House, operation: Operation, key: str | None, **ids: str) -> Any:
    method, path = operation
    url = re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], "x"), path)
    return house.client.request(method, url, headers=house.auth(key) if key else {})


def told(answer: Any) -> tuple[int, str | None]:
    """(status, code)."""
    if answer.request.method == "HEAD":
        return answer.status_code, None
    return answer.status_code, (answer.json().get("error") or {}).get("code")


def wrong_answers(
    asked: list[Operation], answer_of: Callable[[Operation], Any], right: Callable[[Operation, int, str | None], bool]
) -> dict[Operation, tuple[int, str | None]]:
    """Whoever answers otherwise."""
    answers = {operation: told(answer_of(operation)) for operation in asked}
    return {operation: answer for operation, answer in answers.items() if not right(operation, *answer)}


def refused_as(status: int, code: str) -> Callable[[Operation, int, str | None], bool]:
    return lambda operation, got, said: got == status and (said == code or operation[0] == "HEAD")


def let_in(_operation: Operation, status: int, code: str | None) -> bool:
    """Whatever it says, it is not about the key; and never a fault of ours."""
    return status not in (401, 403, 429) and status < 500


def test_there_is_something_to_ask() -> None:
    assert len(GUARDED) >= 27
    assert len(ADMIN) >= 15


def dead_keys(house: House) -> dict[str, str | None]:
    accounts = house.services.accounts
    revoked, row = accounts.create_key(house.account_id)
    accounts.authenticate(revoked)
    accounts.revoke_key(row.id)
    rotated, old = accounts.create_key(house.account_id)
    accounts.rotate_key(old.id, 0)
    closed = accounts.create_account("closed", "enterprise").id
    orphan, _ = accounts.create_key(closed)
    accounts.update(closed, status="closed")
    return {
        "none": None,
        "of nobody": "sk-" + "0" * 56,
        "mistyped": house.key[:-1] + ("a" if house.key[-1] != "a" else "b"),
        "revoked": revoked,
        "rotated out": rotated,
        "expired": accounts.create_key(house.account_id, expires_at=time.time() - 1)[0],
        "of a closed account": orphan,
        "the administrator's": ADMIN_KEY,
    }


def test_dead_keys_open_nothing(house: House) -> None:
    for name, key in dead_keys(house).items():
        wrong = wrong_answers(GUARDED, lambda one, key=key: ask(house, one, key), refused_as(401, "invalid_api_key"))
        assert not wrong, name


def test_a_suspended_account_does_nothing(house: House) -> None:
    house.services.accounts.update(house.account_id, status="suspended")
    assert not wrong_answers(GUARDED, lambda one: ask(house, one, house.key), refused_as(403, "account_suspended"))


def test_a_key_without_the_scope_is_refused_and_one_with_nothing_else_is_let_in(house: House) -> None:
    create = house.services.accounts.create_key
    without = {scope: create(house.account_id, scopes=ALL - {scope})[0] for scope in ALL}
    alone = {scope: create(house.account_id, scopes=[scope])[0] for scope in ALL}
    scoped = {one: scope for one in GUARDED if (scope := scope_of(one[0], re.sub(r"\{\w+\}", "x", one[1])))}
    assert set(scoped.values()) == ALL
    assert {path for method, path in GUARDED if (method, path) not in scoped} == {
        path for _, path in GUARDED if path.startswith(ANY_KEY)
    }
    refused = wrong_answers(
        list(scoped), lambda one: ask(house, one, without[scoped[one]]), refused_as(403, "missing_scope")
    )
    assert not refused
    assert not wrong_answers(list(scoped), lambda one: ask(house, one, alone[scoped[one]]), let_in)


def test_the_refusal_names_the_scope(house: House) -> None:
    key, _ = house.services.accounts.create_key(house.account_id, scopes=["usage"])
    answer = ask(house, ("POST", "/v1/audio/jobs/{job_id}/cancel"), key)
    assert "`jobs:write`" in answer.json()["error"]["message"]


def bare(answer: Any) -> tuple[int, bytes, dict[str, str]]:
    """All that a caller sees, but the time and the request's own id."""
    moving = {"x-request-id", "x-perf-request-id", "openai-processing-ms", "x-perf-latency-ms"}
    return answer.status_code, answer.content, {k: v for k, v in answer.headers.items() if k not in moving}


UNKNOWN = "01JZZZZZZZZZZZZZZZZZZZZZZZ"


def owned(house: House) -> dict[str, tuple[str, str]]:
    """Path parameter: (the id of something that is there, the like of nothing). Every parameter has to be here."""
    job = house.submit()["id"]
    house.work()
    link = house.post(f"/v1/audio/jobs/{job}/links", json={}).json()["id"]
    hook = {"name": "n", "url": "http://127.0.0.1:9/hook", "event_types": ["webhook.test"]}
    endpoint = house.post("/v1/webhook_endpoints", json=hook).json()["id"]
    house.test_event(endpoint)
    delivery = house.get(f"/v1/webhook_endpoints/{endpoint}/deliveries").json()["data"][0]["id"]
    file = house.post("/v1/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", b"{}")}).json()["id"]
    announced = {"bytes": 1, "filename": "a", "mime_type": "b", "purpose": "batch"}
    upload = house.post("/v1/uploads", json=announced).json()["id"]
    asked = {"input_file_id": file, "endpoint": "/v1/audio/jobs", "completion_window": "24h"}
    batch = house.post("/v1/batches", json=asked).json()["id"]
    plan = BulkPlan(mode="prefix", uri="s3://calls/in/", output="s3://texts/out/", formats=["srt"], options={})
    given = {"completion_window": "", "window_seconds": 60, "keep_seconds": None, "metadata": None, "request_id": None}
    new = NewBatch(house.account_id, None, "/v1/audio/jobs", "", kind=BULK, plan=plan.model_dump(), **given)
    bulk = house.services.batches.create(new)[0].id
    receipt = new_id("rcpt")
    facts = {"subject": receipt, "task": "transcription", "model": "oracle", "created_at": 0.0, "updated_at": 0.0}
    with house.services.database.write() as session:
        session.add(Receipt(id=receipt, account_id=house.account_id, **facts))
    return {
        "job_id": (job, f"job_{UNKNOWN}"),
        "link_id": (link, f"link_{UNKNOWN}"),
        "endpoint_id": (endpoint, f"whe_{UNKNOWN}"),
        "delivery_id": (delivery, f"evt_{UNKNOWN}"),
        "receipt_id": (receipt, f"rcpt_{UNKNOWN}"),
        "file_id": (file, f"file-{UNKNOWN}"),
        "upload_id": (upload, f"upload_{UNKNOWN}"),
        "batch_id": (batch, f"batch_{UNKNOWN}"),
        "bulk_id": (bulk, f"bulk_{UNKNOWN}"),
        "key_id": (house.services.accounts.create_key(house.account_id)[1].id, "0123456789"),
    }


SHARED = {"model_id"}  # the catalog is everybody's


@pytest.mark.processes
def test_what_is_anothers_is_as_unknown_as_what_never_was(house: House) -> None:
    things = owned(house)
    for operation in GUARDED:
        names = set(re.findall(r"\{(\w+)\}", operation[1])) - SHARED
        if not names:
            continue
        assert names <= set(things), f"{operation}: say here what {names - set(things)} is"
        foreign = ask(house, operation, house.other_key, **{name: things[name][0] for name in names})
        unknown = ask(house, operation, house.other_key, **{name: things[name][1] for name in names})
        assert bare(foreign) == bare(unknown), operation
        assert foreign.status_code == 404, operation
    for name, path in (
        ("job_id", "/v1/audio/jobs"),
        ("endpoint_id", "/v1/webhook_endpoints"),
        ("receipt_id", "/v1/receipts"),
        ("file_id", "/v1/files"),
        ("upload_id", "/v1/uploads"),
        ("batch_id", "/v1/batches"),
        ("bulk_id", "/v1/audio/bulk"),
        ("key_id", "/v1/keys"),
    ):
        assert house.get(f"{path}/{things[name][0]}").status_code == 200, "the owner's is still there"


def test_the_administration_opens_to_its_own_key_alone(house: House) -> None:
    """No account's key, however good; the admin key is let in everywhere."""
    for key in (None, house.key, "sk-" + "0" * 56, ADMIN_KEY[:-1], ADMIN_KEY + "x"):
        assert not wrong_answers(ADMIN, lambda one, key=key: ask(house, one, key), refused_as(401, "invalid_api_key"))
    reads = [operation for operation in ADMIN if operation[0] == "GET" and "{" not in operation[1]]
    assert reads
    for operation in reads:
        assert ask(house, operation, ADMIN_KEY).status_code == 200, operation
    rest = [operation for operation in ADMIN if operation not in reads]
    assert not wrong_answers(rest, lambda one: ask(house, one, ADMIN_KEY), let_in)


@pytest.fixture
def without_administration(tmp_path: Any) -> Any:
    with build(Settings(home=tmp_path), engine_processes=1) as services:
        yield services


def test_without_an_admin_key_there_is_no_administration(without_administration: Services) -> None:
    with TestClient(create_app(without_administration)) as client:
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer None"}):
            for method, path in ADMIN:
                answer = client.request(method, re.sub(r"\{\w+\}", "x", path), headers=headers)
                assert answer.status_code == 404, (method, path)
                assert "STENOPOOL_ADMIN_KEY" in answer.json()["error"]["message"]


def test_unknown_paths_ask_for_a_key_first(house: House) -> None:
    for path in ("/v1/nothing", "/v2/audio/jobs", "/administration", "/v1/audio/jobs/", "//admin/accounts"):
        assert house.client.get(path).status_code == 401, path
        assert house.get(path).status_code == 404, path
    for path in ("/admin", "/admin/", "/admin/nothing"):
        assert house.client.get(path, headers=house.auth(house.key)).status_code == 401, path
        assert house.client.get(path, headers=house.auth(ADMIN_KEY)).status_code == 404, path
