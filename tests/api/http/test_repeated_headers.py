"""A header that is sent twice means one thing to all who read it."""

import re

import pytest
from starlette.datastructures import Headers

from api.http.repeated_headers import LISTS, SINGLE, fields_once, wants_async
from infra.keys import scopes
from pipeline.errors import InvalidRequest
from tests.api.conftest import JOBS, House, recording
from tests.support.repository import ROOT

UNDECIDING = {b"x-request-id", b"content-disposition"}  # the first is repeated in the answer; that of an answer
SPEECH = "/v1/audio/speech"


def once(*fields: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    scope = {"headers": [(name.encode(), value.encode()) for name, value in fields]}
    fields_once(scope)
    return scope["headers"]


def test_lists_are_joined_in_their_order_and_the_rest_stays() -> None:
    assert once(("prefer", "wait=5"), ("x-a", "1"), ("prefer", "respond-async"), ("x-a", "2")) == [
        (b"x-a", b"1"),
        (b"x-a", b"2"),
        (b"prefer", b"wait=5, respond-async"),
    ]


@pytest.mark.parametrize("name", sorted(name.decode() for name in SINGLE))
def test_what_is_no_list_stands_once(name: str) -> None:
    assert once((name, "a")) == [(name.encode(), b"a")]
    with pytest.raises(InvalidRequest, match="more than once"):
        once((name, "a"), ("x-a", "b"), (name, "a"))


def test_every_header_that_is_read_has_a_rule() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "api").rglob("*.py"))
    read = re.findall(r"headers\.get(?:list)?\(\"([a-z-]+)\"", sources)
    read += re.findall(r"\"([a-z-]+)\" (?:not )?in headers\b", sources)
    assert {"authorization", "prefer", "transfer-encoding"} <= set(read)
    assert {name.encode() for name in read} <= LISTS | SINGLE | UNDECIDING


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("respond-async", True),
        ("wait=5, Respond-Async; x=y", True),
        ('respond-async=""', True),
        ("wait=5", False),
        ("respond-asynchronously", False),
        ("x=respond-async", False),
    ],
)
def test_preferences(given: str, meant: bool) -> None:
    assert wants_async(Headers({"prefer": given})) is meant


@pytest.mark.parametrize("preferences", [("wait=5", "respond-async"), ("respond-async", "wait=5")])
def test_a_key_that_may_make_no_jobs_makes_none_by_a_second_header(house: House, preferences: tuple[str, str]) -> None:
    key, _ = house.services.accounts.create_key(house.account_id, scopes=[scopes.TRANSCRIBE])
    headers = [("Authorization", f"Bearer {key}"), *(("Prefer", one) for one in preferences)]
    files = {"file": ("a.wav", recording()[0])}
    answer = house.client.post("/v1/audio/transcriptions", headers=headers, data={"model": "oracle"}, files=files)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "missing_scope")
    assert house.get(JOBS).json()["data"] == []


@pytest.mark.parametrize("name", ["Authorization", "Idempotency-Key", "Content-Type"])
def test_two_that_might_be_chosen_between_are_refused(house: House, name: str) -> None:
    values = {"Authorization": f"Bearer {house.key}", "Idempotency-Key": "a", "Content-Type": "application/json"}
    second = {"Authorization": f"Bearer {house.other_key}", "Idempotency-Key": "b", "Content-Type": "text/plain"}
    answer = house.client.post(JOBS, headers=[*values.items(), (name, second[name])], content=b"{}")
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, name)
