"""A key that was used before for something else: the answer names what that was, and the first field that differs."""

from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from infra.database.tables.idempotency import IdempotencyKey
from tests.api.conftest import JOBS, House, recording

SOUND, OTHER = recording(0.5, seed=1)[0], recording(0.5, seed=2)[0]


def post(house: House, *, name: str = "talk.wav", sound: bytes = SOUND, **fields: str) -> Any:
    headers = house.auth() | {"Idempotency-Key": "episode-42"}
    data = {"model": "oracle", "language": "en", "webhook[url]": "http://127.0.0.1:9/hook", **fields}
    return house.post(JOBS, data=data, files={"file": (name, sound)}, headers=headers)


def conflict(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 409, answer.text
    error = dict(answer.json()["error"])
    assert error["code"] == "idempotency_conflict"
    return error


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"name": "walk.wav"}, "file.filename"),
        ({"sound": OTHER}, "file.sha256"),
        ({"language": "de"}, "language"),
        ({"prompt": "A talk."}, "prompt"),
        ({"webhook[url]": "http://127.0.0.1:9/other"}, "webhook.url"),
        ({"webhook[secret]": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}, "webhook.secret"),
        ({"language": "de", "name": "walk.wav"}, "language"),
    ],
)
def test_the_first_field_that_differs_is_named(house: House, changed: dict[str, Any], param: str) -> None:
    first = post(house)
    assert post(house).headers["idempotent-replayed"] == "true"
    error = conflict(post(house, **changed))
    assert (error["param"], error["earlier_id"]) == (param, first.json()["id"])
    assert first.json()["id"] in error["message"] and f"`{param}`" in error["message"]


def test_what_was_left_out_this_time_is_named_too(house: House) -> None:
    post(house, prompt="A talk.")
    assert conflict(post(house))["param"] == "prompt"


def test_of_keys_that_an_older_version_kept_only_the_object_is_known(house: House) -> None:
    first = post(house)
    with house.services.database.write() as session:
        session.execute(
            update(IdempotencyKey).where(col(IdempotencyKey.object_id) == first.json()["id"]).values(parts=None)
        )
    error = conflict(post(house, language="de"))
    assert (error["param"], error["earlier_id"]) == (None, first.json()["id"])
    assert post(house).headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("path", "asked", "changed", "param"),
    [
        (
            "/v1/webhook_endpoints",
            {"name": "a", "url": "http://127.0.0.1:9/a", "event_types": ["webhook.test"]},
            {"url": "http://127.0.0.1:9/b"},
            "url",
        ),
        (
            "/v1/uploads",
            {"bytes": 5, "filename": "a.wav", "mime_type": "audio/wav", "purpose": "user_data"},
            {"bytes": 6},
            "bytes",
        ),
    ],
)
def test_on_every_route_that_knows_keys(
    house: House, path: str, asked: dict[str, Any], changed: dict[str, Any], param: str
) -> None:
    headers = house.auth() | {"Idempotency-Key": "k"}
    first = house.post(path, json=asked, headers=headers)
    assert first.is_success, first.text
    error = conflict(house.post(path, json=asked | changed, headers=headers))
    assert (error["param"], error["earlier_id"]) == (param, first.json()["id"])


def test_files_name_the_files_part(house: House) -> None:
    headers = house.auth() | {"Idempotency-Key": "k"}
    sent: dict[str, Any] = {"data": {"purpose": "user_data"}, "headers": headers}
    assert house.post("/v1/files", files={"file": ("a.wav", SOUND)}, **sent).is_success
    assert conflict(house.post("/v1/files", files={"file": ("b.wav", SOUND)}, **sent))["param"] == "file.filename"
