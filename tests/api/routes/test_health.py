"""What load balancers, Prometheus and people with a browser see."""

import io
import json
import logging
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI

from infra.logs import HANDLER, set_up_logs
from pipeline.errors import DatabaseUnavailable, StorageUnavailable
from tests.api.conftest import JOBS, House


def test_it_is_alive(house: House) -> None:
    assert house.client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/healthz", "/v1/models", "/v1/models/whisper-1"])
def test_some_probe_with_head(house: House, path: str) -> None:
    answer = house.client.head(path, headers=house.auth())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


def test_without_a_broker_it_is_degraded_and_still_takes_jobs(house: House) -> None:
    answer = house.client.get("/readyz")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "degraded")
    assert set(body) == {"status"}, "a stranger learns nothing else"
    assert house.submit()["status"] == "queued"


@pytest.mark.parametrize(("missed", "status"), [([], "ok"), (["io"], "degraded")])
def test_work_for_which_no_worker_lives_is_degraded(
    house: House, monkeypatch: pytest.MonkeyPatch, missed: list[str], status: str
) -> None:
    monkeypatch.setattr(house.services.queue, "check", dict)
    monkeypatch.setattr(house.services.jobs, "unserved", lambda _: missed)
    answer = house.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": status})


@pytest.mark.parametrize(("part", "error"), [("database", DatabaseUnavailable), ("storage", StorageUnavailable)])
def test_without_database_or_storage_it_is_unready(
    house: House, monkeypatch: pytest.MonkeyPatch, part: str, error: type[Exception]
) -> None:
    def away() -> None:
        raise error

    monkeypatch.setattr(getattr(house.services, part), "check", away)
    answer = house.client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert house.client.get("/healthz").status_code == 200


def test_a_database_that_is_away_is_503_everywhere(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(house.services.jobs, "list", away)
    answer = house.get(JOBS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")
    assert answer.json()["error"]["type"] == "server_error"
    assert int(answer.headers["retry-after"]) >= 1


def test_metrics_count_requests_by_route_not_by_id(house: House) -> None:
    house.get(f"{JOBS}/job_1")
    assert house.client.get("/metrics").status_code == 401, "nothing of that is public"
    services = house.services
    text = services.metrics.render(services.jobs, services.queue, services.webhooks, services.workers).decode()
    assert re.search(r'http_server_request_duration_seconds_count\{[^}]*route="/v1/audio/jobs/\{job_id\}"', text)
    assert "job_1" not in text


def test_the_documentation_stands_alone(house: House) -> None:
    page = house.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "/v1/audio/jobs/{job_id}/transcript" in page.text
    assert all("src=" in script for script in re.findall(r"<script[^>]*>", page.text))
    assert "unsafe" not in page.headers["content-security-policy"]
    for part in re.findall(r'(?:src|href)="(/console/static/[^"]+)"', page.text):
        assert house.client.get(part).status_code == 200, part
    assert not re.search(r'(src|href)="https?://', page.text)
    document = house.client.get("/openapi.json").json()
    assert "multipart/form-data" in document["paths"]["/v1/audio/jobs"]["post"]["requestBody"]["content"]
    assert house.client.get("/version").json()["name"] == "stenopool"


def test_browsers_may_ask(house: House) -> None:
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, x-stainless-lang, x-stainless-retry-count, content-type",
    }
    answer = house.client.options("/v1/audio/transcriptions", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == asked["Access-Control-Request-Headers"]
    assert "POST" in answer.headers["access-control-allow-methods"]
    seen = house.get("/v1/models").headers["access-control-expose-headers"]
    assert {"x-request-id", "retry-after", "x-should-retry"} <= set(seen.split(", ")), "what SDKs go by in a browser"


@pytest.mark.parametrize("given", ["my-id.1:2", "", "x" * 129, "a b", "é"])
def test_request_ids_are_echoed_where_they_are_harmless(house: House, given: str) -> None:
    answer = house.get("/v1/models", headers=house.auth() | {"X-Request-Id": given.encode("latin-1")})
    if given == "my-id.1:2":
        assert answer.headers["x-request-id"] == given
    else:
        assert re.fullmatch(r"req_[0-9a-f]{32}", answer.headers["x-request-id"])
    ours = answer.headers["x-perf-request-id"]  # what a receipt would be found by
    assert re.fullmatch(r"req_[0-9a-f]{32}", ours)
    assert (ours == answer.headers["x-request-id"]) == (given != "my-id.1:2")
    assert answer.headers["openai-processing-ms"].isdigit()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a machine would read on stderr."""
    root, stream = logging.getLogger(), io.StringIO()
    level = root.level
    set_up_logs("INFO", stream=stream)
    yield stream
    root.handlers = [handler for handler in root.handlers if handler.get_name() != HANDLER]
    root.setLevel(level)


def test_the_callers_own_id_is_in_the_log(house: House, log: io.StringIO) -> None:
    assert house.get("/v1/models", headers=house.auth() | {"X-Client-Request-Id": "order 66/b"}).status_code == 200
    assert house.get("/v1/models").status_code == 200
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    ours = [line.get("client_request_id") for line in lines if line["message"] == "GET /v1/models 200"]
    assert ours == ["order 66/b", None]


@pytest.mark.parametrize("given", ["x" * 513, "é"])
def test_a_callers_id_that_no_log_should_hold_is_refused(house: House, given: str) -> None:
    answer = house.get("/v1/models", headers=house.auth() | {"X-Client-Request-Id": given.encode("latin-1")})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "X-Client-Request-Id")
    assert "512" in answer.json()["error"]["message"]


def test_however_many_ask_whether_it_is_ready_the_parts_are_asked_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(house.services.database, "check", lambda: asked.append("database"))
    monkeypatch.setattr("api.readiness.time", SimpleNamespace(monotonic=lambda: 1000.0))
    assert {house.client.get("/readyz").status_code for _ in range(20)} == {200}
    assert asked == ["database"]


def test_public_pages_are_written_once_for_all_who_ask(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,536 strangers at the OpenAPI document made everybody wait for seconds (T12)."""
    app, written = house.client.app, list[str]()
    assert isinstance(app, FastAPI)
    document = app.openapi
    monkeypatch.setattr(app, "openapi", lambda: written.append("once") or document())
    pages = [house.client.get(path) for path in ("/openapi.json", "/docs") * 20]
    assert {page.status_code for page in pages} == {200}
    assert len(written) == 2, "once for each page"
    assert house.client.get("/metrics").status_code == 401, "what costs a look at the database has a door of its own"
