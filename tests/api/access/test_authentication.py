"""Who gets in, and what strangers and neighbours can learn: nothing."""

import asyncio
import re
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api.access.authentication import Authentication
from api.http.request_middleware import PUBLIC, RequestMiddleware, is_link
from api.main import create_app
from infra.settings import Settings
from tests.api.conftest import JOBS, House

UNKNOWN = "job_01JZZZZZZZZZZZZZZZZZZZZZZZ"


def routes() -> list[tuple[str, str]]:
    """Every method and path of the real application, from its own description."""
    document = create_app(settings=Settings()).openapi()
    return [(method.upper(), path) for path, methods in document["paths"].items() for method in methods]


GUARDED = [(method, path) for method, path in routes() if path not in PUBLIC and not is_link(method, path)]


def test_the_route_table_is_whole() -> None:
    """What product.md names for this version, and nothing that nobody guards."""
    assert {
        ("POST", "/v1/audio/transcriptions"),
        ("POST", "/v1/audio/translations"),
        ("POST", "/v1/audio/speech"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{model_id}"),
        ("POST", JOBS),
        ("GET", JOBS),
        ("GET", JOBS + "/{job_id}"),
        ("GET", JOBS + "/{job_id}/transcript"),
        ("GET", JOBS + "/{job_id}/segments"),
        ("GET", JOBS + "/{job_id}/events"),
        ("GET", JOBS + "/{job_id}/deliveries"),
        ("POST", JOBS + "/{job_id}/cancel"),
        ("POST", JOBS + "/{job_id}/retry"),
        ("DELETE", JOBS + "/{job_id}"),
        ("POST", "/v1/webhook_endpoints/{endpoint_id}/rotate_secret"),
        ("POST", "/v1/webhook_endpoints/{endpoint_id}/test"),
        ("GET", "/v1/webhook_endpoints/{endpoint_id}/deliveries"),
        ("POST", "/v1/webhook_endpoints/{endpoint_id}/deliveries/{delivery_id}/replay"),
        ("GET", "/v1/webhook_event_types"),
    } <= set(GUARDED)
    assert len(GUARDED) >= 24


@pytest.mark.parametrize(("method", "path"), GUARDED, ids=str)
def test_no_key_and_wrong_keys_are_401_everywhere(house: House, method: str, path: str) -> None:
    url = re.sub(r"\{\w+\}", "x", path)
    for headers in (
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic abc"},
        {"Authorization": "Bearer sk-" + "0" * 56},
        {"Authorization": f"Bearer {house.key[:-1]}"},
        {"Authorization": f"Bearer {house.key} x"},
    ):
        answer = house.client.request(method, url, headers=headers)
        assert answer.status_code == 401, headers
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert house.key not in answer.text


def test_a_revoked_key_is_out_at_once(house: House) -> None:
    secret, row = house.services.accounts.create_key(house.account_id)
    assert house.get("/v1/models", headers=house.auth(secret)).status_code == 200
    house.services.accounts.revoke_key(row.id)
    assert house.get("/v1/models", headers=house.auth(secret)).status_code == 401


@pytest.mark.processes
def test_public_paths_need_no_key(house: House) -> None:
    for path in PUBLIC - {"/", "/redoc"}:
        assert house.client.get(path).status_code == 200, path
    assert house.client.get("/", follow_redirects=False).headers["location"] == "docs"  # wherever a proxy has put us


def bare(answer: Any) -> tuple[int, bytes, dict[str, str]]:
    """All that a caller sees, but the time and the request's own id."""
    moving = {"x-request-id", "x-perf-request-id", "openai-processing-ms", "x-perf-latency-ms"}
    return answer.status_code, answer.content, {k: v for k, v in answer.headers.items() if k not in moving}


QUERIES = {"format": "srt", "stream": "true", "wait": "1", "force": "true"}
OF_A_JOB = [(method, path) for method, path in GUARDED if "{job_id}" in path]


@pytest.mark.processes
@pytest.mark.parametrize(("method", "path"), OF_A_JOB, ids=str)
def test_a_neighbours_job_is_as_unknown_as_one_that_never_was(house: House, method: str, path: str) -> None:
    job_id = house.submit()["id"]
    house.work()
    taken = create_app(house.services).state.taken[method, path].query.names
    for query in ("", *(f"?{name}={value}" for name, value in QUERIES.items() if name in taken)):
        answers = [
            bare(
                house.client.request(
                    method,
                    path.format(job_id=asked, link_id="x", delivery_id="evt_1") + query,
                    headers=house.auth(house.other_key),
                )
            )
            for asked in (job_id, UNKNOWN)
        ]
        assert answers[0] == answers[1], query
        assert answers[0][0] == 404
    assert house.get(f"{JOBS}/{job_id}").json()["status"] == "completed"


OF_AN_ENDPOINT = [(method, path) for method, path in GUARDED if "{endpoint_id}" in path]


@pytest.mark.parametrize(("method", "path"), OF_AN_ENDPOINT, ids=str)
def test_a_neighbours_endpoint_is_as_unknown_as_one_that_never_was(house: House, method: str, path: str) -> None:
    wanted = {"name": "n", "url": "http://127.0.0.1:9/hook", "event_types": ["webhook.test"]}
    endpoint = house.post("/v1/webhook_endpoints", json=wanted).json()["id"]
    answers = [
        bare(
            house.client.request(
                method, path.format(endpoint_id=asked, delivery_id="evt_1"), headers=house.auth(house.other_key)
            )
        )
        for asked in (endpoint, "whe_01JZZZZZZZZZZZZZZZZZZZZZZZ")
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


def test_lists_show_only_ones_own(house: House) -> None:
    house.submit()
    assert house.get(JOBS, headers=house.auth(house.other_key)).json()["data"] == []
    cursor = house.get(JOBS).json()["data"][0]["id"]
    foreign = house.get(f"{JOBS}?after={cursor}", headers=house.auth(house.other_key))
    assert foreign.status_code == 400


def test_every_route_says_what_it_is() -> None:
    app = create_app(settings=Settings())
    document = app.openapi()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            assert "422" not in operation["responses"], (method, path)
            is_open = path in PUBLIC or is_link(method.upper(), path)
            assert ("security" in operation) == (not is_open), (method, path)
    assert not [
        route for route in app.routes if isinstance(route, APIRoute) and route.path.endswith("/") and route.path != "/"
    ]


def test_the_document_tells_how_a_request_can_be_refused() -> None:
    paths = create_app(settings=Settings()).openapi()["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            told = set(operation["responses"])
            missing = {"400"} - told if "requestBody" in operation else set()
            if path.startswith("/admin"):
                missing |= {"401", "429"} - told
            elif path.startswith("/v1") and path not in PUBLIC and not is_link(method.upper(), path):
                missing |= {"401", "403", "429"} - told
            assert not missing, f"{method} {path}"
    paid = ("audio/speech", "audio/transcriptions", "audio/translations", "audio/jobs", "audio/jobs/{job_id}/retry")
    assert all("402" in paths[f"/v1/{path}"]["post"]["responses"] for path in paid)


@pytest.mark.parametrize("outermost", [True, False])
def test_what_is_not_http_is_refused_where_no_key_would_be_asked_for(outermost: bool) -> None:
    reached: list[str] = []
    sent: list[dict[str, object]] = []

    async def app(scope: dict[str, object], _receive: object, _send: object) -> None:
        reached.append(str(scope["type"]))

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    door = RequestMiddleware(app) if outermost else Authentication(app)
    asyncio.run(door({"type": "lifespan"}, None, send))
    asyncio.run(door({"type": "websocket", "path": "/v1/realtime", "headers": []}, None, send))
    with pytest.raises(ValueError, match="webtransport"):
        asyncio.run(door({"type": "webtransport"}, None, send))
    assert (reached, sent) == (["lifespan"], [{"type": "websocket.close", "code": 1008}])
