"""Behind a proxy with a path of its own: every URL that leaves begins with STENOPOOL_PUBLIC_URL."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from infra.settings import Settings
from infra.webhooks.delivery_queue import Which
from infra.wiring import Services
from pipeline.errors import InvalidRequest
from tests.api.conftest import JOBS, House, recording, services_under

PUBLIC = "https://example.org/speech"
SOUND, _ = recording(3.0, seed=4)
HOOK = {"webhook[url]": "http://127.0.0.1:9/hook"}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with services_under(f"{PUBLIC}/v1/", tmp_path_factory.mktemp("home")) as opened:
        yield opened


class Proxy:
    """Takes the path away that it has put in front."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def get(self, url: str) -> Any:
        assert url.startswith(f"{PUBLIC}/"), url
        return self._client.get(url.removeprefix(PUBLIC))


def told(house: House, job_id: str) -> dict[str, Any]:
    ((message, _),), _ = house.services.webhooks.messages(house.account_id, Which(job_id=job_id))
    return dict(json.loads(message.body)["data"])


def test_location_receipt_and_webhook(house: House) -> None:
    answer = house.post(JOBS, data={"model": "oracle", **HOOK}, files={"file": ("a.wav", SOUND)})
    job = answer.json()
    assert answer.headers["location"] == f"{PUBLIC}{JOBS}/{job['id']}"
    assert job["receipt_url"] == f"{PUBLIC}/v1/receipts?job_id={job['id']}"
    assert house.get(f"{JOBS}/{job['id']}").json()["receipt_url"] == job["receipt_url"]
    assert house.get(JOBS).json()["data"][0]["receipt_url"] == job["receipt_url"]
    house.work()
    assert told(house, job["id"])["transcript_url"] == f"{PUBLIC}{JOBS}/{job['id']}/transcript"


def test_a_job_that_is_tried_again(house: House) -> None:
    job = house.submit(SOUND)
    house.services.jobs.fail(house.claim(job["id"]), {"code": "internal_error", "message": "no", "retryable": True})
    again = house.post(f"{JOBS}/{job['id']}/retry")
    assert (again.status_code, again.headers["location"]) == (202, f"{PUBLIC}{JOBS}/{job['id']}")
    assert again.json()["receipt_url"] == job["receipt_url"]


def test_links(house: House) -> None:
    job = house.submit(SOUND, **HOOK, **{"webhook[link][format]": "text"})
    house.work()
    made = house.post(f"{JOBS}/{job['id']}/links", json={"format": "srt"}).json()
    proxy = Proxy(house.client)
    assert proxy.get(made["url"]).text.startswith("1\n")
    assert proxy.get(told(house, job["id"])["transcript_url"]).status_code == 200


def test_examples_and_the_document(house: House) -> None:
    examples = house.get("/v1/models/tts-1").json()["examples"]["speech"]
    assert all(f"{PUBLIC}/v1" in code for code in examples.values())
    assert house.client.get("/openapi.json").json()["servers"] == [{"url": PUBLIC}]


@pytest.mark.parametrize("wrong", ["example.org", "ftp://example.org", "https://", "https://a b", "https://x?y=1"])
def test_what_is_no_address(wrong: str) -> None:
    with pytest.raises(InvalidRequest, match="STENOPOOL_PUBLIC_URL"):
        Settings.from_env({"STENOPOOL_PUBLIC_URL": wrong})
