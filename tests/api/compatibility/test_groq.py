"""Groq's paths lead where ours lead, past the same doors."""

from typing import Any

import pytest

from infra.keys import scopes
from tests.api.conftest import House, recording

HEAR, OURS = "/openai/v1/audio/transcriptions", "/v1/audio/transcriptions"


def hear(house: House, path: str, **fields: Any) -> Any:
    return house.post(path, data={"model": "oracle", **fields}, files={"file": ("talk.wav", recording()[0])})


@pytest.mark.processes
@pytest.mark.parametrize("shape", ["json", "verbose_json"])
def test_a_transcript_by_such_a_path_carries_its_id(house: House, shape: str) -> None:
    theirs, ours = (hear(house, path, response_format=shape) for path in (HEAR, OURS))
    assert theirs.json()["x_groq"] == {"id": theirs.headers["x-perf-request-id"]}
    assert "x_groq" not in ours.json()
    assert theirs.json()["text"] == ours.json()["text"]


@pytest.mark.processes
def test_text_and_events_stay_as_they_are(house: House) -> None:
    assert "x_groq" not in hear(house, HEAR, response_format="srt").text
    assert "x_groq" not in hear(house, HEAR, stream="true").text


def test_the_models_and_an_unknown_path(house: House) -> None:
    assert house.get("/openai/v1/models").json() == house.get("/v1/models").json()
    assert house.get("/openai/v1/nothing").status_code == 404
    assert house.get("/openai/admin/accounts").status_code == house.get("/openai/healthz").status_code == 404


def test_no_door_is_passed_by(house: House) -> None:
    assert house.client.post(HEAR).status_code == 401
    limited, _ = house.services.accounts.create_key(house.account_id, scopes=[scopes.SPEECH])
    answer = house.client.post(HEAR, headers={"Authorization": f"Bearer {limited}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "missing_scope")
