"""Rates and scopes as a caller meets them."""

import math
import re
import time
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from api.access.rate_limits import duration
from api.main import create_app
from infra.embedded_redis import PrivateRedis
from infra.settings import Settings
from infra.wiring import Services, build
from tests.api.conftest import CATALOG, House

pytestmark = pytest.mark.processes

SPEECH = "/v1/audio/speech"


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services with a Redis that is asked patiently: a loaded machine must not turn to counting for itself."""
    home = tmp_path_factory.mktemp("limited")
    catalog = home / "catalog.toml"
    catalog.write_text(CATALOG)
    with PrivateRedis(home), build(Settings(home=home, catalog=catalog), engine_processes=1) as opened:
        opened.limits.patience = 60.0
        yield opened


@pytest.fixture
def client(limited: Services) -> Iterator[TestClient]:
    with TestClient(create_app(limited)) as opened:
        yield opened


def key_of(services: Services, tier: str = "free", **limits: int | None) -> dict[str, str]:
    """A new account's key, as a header."""
    account = services.accounts.create_account("limited", tier, limits=limits)
    return {"Authorization": f"Bearer {services.accounts.create_key(account.id)[0]}"}


@pytest.mark.parametrize(
    ("tier", "limits", "most"),
    [("free", {}, 10), ("pro", {}, 60), ("enterprise", {"speech_requests_per_minute": 3}, 3)],
)
def test_one_speech_request_more_than_the_tier_allows_is_refused(
    limited: Services, client: TestClient, tier: str, limits: dict[str, int], most: int
) -> None:
    auth = key_of(limited, tier, **limits)
    began = time.time()
    for left in range(most - 1, -1, -1):
        answer = client.post(SPEECH, json={}, headers=auth)  # 400: what is wrong with a request is found out afterwards
        assert answer.status_code == 400
        assert answer.headers["x-ratelimit-limit-requests"] == str(most)
        assert answer.headers["x-ratelimit-remaining-requests"] == str(left)
    refused = client.post(SPEECH, json={}, headers=auth)
    assert time.time() - began < 55, "the machine slept through the window"
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert error["type"] == "invalid_request"
    assert f"{most} speech requests per minute" in error["message"]
    wait = int(refused.headers["retry-after"])
    assert math.floor(60 - (time.time() - began)) <= wait <= 60
    assert f"{wait} s" in error["message"]
    assert "x-should-retry" not in refused.headers
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-perf-cost-usd"] == "0"
    assert client.get("/v1/models", headers=auth).status_code == 200


def test_the_headers_of_the_draft_name_every_window(limited: Services, client: TestClient) -> None:
    auth = key_of(limited, speech_requests_per_minute=4, api_requests_per_minute=9)
    answer = client.post(SPEECH, json={}, headers=auth)
    assert answer.headers["ratelimit-policy"] == '"speech";q=4;w=60, "requests";q=9;w=60'
    assert re.fullmatch(r'"speech";r=3;t=(60|5\d), "requests";r=8;t=(60|5\d)', answer.headers["ratelimit"])
    assert re.fullmatch(r"1m0s|5\d(\.\d{1,3})?s", answer.headers["x-ratelimit-reset-requests"])
    other = client.get("/v1/models", headers=auth)
    assert other.headers["x-ratelimit-limit-requests"] == "9"
    assert other.headers["x-ratelimit-remaining-requests"] == "7"
    assert "x-ratelimit-limit-requests" in answer.headers["access-control-expose-headers"]


def test_a_refusal_is_no_earlier_than_the_draft_says(limited: Services, client: TestClient) -> None:
    auth = key_of(limited, api_requests_per_minute=1)
    client.get("/v1/models", headers=auth)
    refused = client.get("/v1/models", headers=auth)
    assert refused.status_code == 429
    assert refused.headers["ratelimit"] == f'"requests";r=0;t={refused.headers["retry-after"]}'
    assert "1 requests per minute" in refused.json()["error"]["message"]


def test_what_has_no_limit_says_nothing_of_one(limited: Services, client: TestClient) -> None:
    answer = client.get("/v1/models", headers=key_of(limited, "enterprise"))
    assert not [name for name in answer.headers if "ratelimit" in name]


def test_a_new_limit_is_in_force_at_once(limited: Services, client: TestClient) -> None:
    account = limited.accounts.create_account("changing", "enterprise")
    auth = {"Authorization": f"Bearer {limited.accounts.create_key(account.id)[0]}"}
    assert client.get("/v1/models", headers=auth).status_code == 200
    limited.accounts.update(account.id, limits={"api_requests_per_minute": 0})
    assert client.get("/v1/models", headers=auth).status_code == 429
    limited.accounts.update(account.id, limits={}, status="suspended")
    answer = client.get("/v1/models", headers=auth)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "account_suspended")


def test_without_redis_each_process_counts_for_itself(house: House) -> None:
    auth = key_of(house.services)
    told = [house.client.post(SPEECH, json={}, headers=auth).status_code for _ in range(12)]
    assert told == [400] * 10 + [429] * 2


def test_a_key_does_only_what_it_may(house: House) -> None:
    secret, _ = house.services.accounts.create_key(house.account_id, scopes=["jobs:read"])
    auth = house.auth(secret)
    assert house.get("/v1/audio/jobs", headers=auth).status_code == 200
    assert house.get("/v1/models", headers=auth).status_code == 200
    refused = house.post("/v1/audio/jobs", json={}, headers=auth)
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "missing_scope"
    assert "`jobs:write`" in refused.json()["error"]["message"]


def test_a_job_made_by_a_synchronous_endpoint_is_a_job(house: House) -> None:
    secret, _ = house.services.accounts.create_key(house.account_id, scopes=["transcribe"])
    refused = house.post("/v1/audio/transcriptions", headers=house.auth(secret) | {"Prefer": "respond-async"})
    assert refused.status_code == 403
    assert "`jobs:write`" in refused.json()["error"]["message"]
    assert house.post("/v1/audio/transcriptions", headers=house.auth(secret)).status_code == 400


def test_a_job_that_speaks_is_a_speech_request(limited: Services, client: TestClient) -> None:
    auth = key_of(limited, "enterprise", speech_requests_per_minute=2)
    asked = {"model": "oracle", "task": "speech", "input": "alpha"}
    assert (
        client.post(SPEECH, json={**asked, "voice": "alloy"}, headers=auth | {"Prefer": "respond-async"}).status_code
        == 202
    )
    job = client.post("/v1/audio/jobs", json=asked, headers=auth)
    assert job.status_code == 202, job.text
    refused = client.post("/v1/audio/jobs", json=asked, headers=auth)
    assert refused.status_code == 429
    assert "2 speech requests per minute" in refused.json()["error"]["message"]
    assert client.post(SPEECH, json=asked, headers=auth).status_code == 429
    assert limited.metrics.rate_limited.labels("speech")._value.get() >= 1


def test_durations_are_gos() -> None:
    shown = {0: "0s", 120: "120ms", 1000: "1s", 1200: "1.2s", 59_999: "59.999s", 60_000: "1m0s", 7_200_500: "2h0m0.5s"}
    assert {ms: duration(ms) for ms in shown} == shown
