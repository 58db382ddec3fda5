"""Every number that the OpenAPI document names, and a few that it calls text, with values that no machine word, column or clock
can hold: the answer is a refusal or a success, never a fault of ours, and never long in coming.

On both databases, because each has its own ways of saying no.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from api.access.admin_key import is_admin_path
from api.main import create_app
from infra.settings import Settings
from infra.wiring import Services, build
from tests.api.conftest import ADMIN_KEY, CATALOG, recording
from tests.api.serving import running
from tests.support.accounts import rich

pytestmark = pytest.mark.processes

POWERS = tuple(sign * 2**exponent for sign in (1, -1) for exponent in (31, 63, 70))
WRITTEN = (
    "1e308",
    "-1e308",
    "1e-320",
    "NaN",
    "Infinity",
    "-Infinity",
    "9" * 5000,
    "1" + "0" * 20 + ".5",
    "0" * 5000,
    "",
)
VALUES = (*map(str, POWERS), *WRITTEN)
TEXTS = ("\0", "a\0b", "\ud800", "x" * 20_000, "٣", "..", "%")
NUMERIC = ("integer", "number")
TEXT_WITH_DIGITS = (
    "after",
    "before",
    "from",
    "to",
    "range",
    "Last-Event-ID",
    "If-None-Match",
    "Idempotency-Key",
    "Prefer",
)
IDS = {"model": "oracle", "model_id": "oracle", "report": "ledger", "n": "1"}
VALID: dict[str, Any] = {  # what a body needs beside the number that is tried
    "model": "oracle",
    "input": "hello",
    "voice": "alloy",
    "name": "x",
    "url": "http://127.0.0.1:1/",
    "event_types": ["audio.job.completed"],
    "amount_usd": "1",
    "note": "x",
    "ratio": "1",
}


def kinds(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema itself and all that it may be instead."""
    yield schema
    for name in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(name, ()):
            yield from kinds(one)


def is_number(schema: dict[str, Any]) -> bool:
    told = schema.get("type")
    return any(kind in NUMERIC for kind in (told if isinstance(told, list) else [told]))


def numbers(schema: dict[str, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Each number within, and by which names one gets there."""
    for kind in kinds(schema):
        if is_number(kind):
            yield place, kind
        for name, inner in kind.get("properties", {}).items():
            yield from numbers(inner, (*place, name))
        if isinstance(inner := kind.get("items"), dict):
            yield from numbers(inner, (*place, "0"))
        if isinstance(inner := kind.get("additionalProperties"), dict):
            yield from numbers(inner, (*place, "concurrent_jobs"))


def resolved(node: Any, document: dict[str, Any]) -> Any:
    """The document with what it refers to in place."""
    if isinstance(node, list):
        return [resolved(one, document) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return resolved(document["components"]["schemas"][node["$ref"].rsplit("/", 1)[-1]], document)
    return {name: resolved(one, document) for name, one in node.items()}


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    told: dict[str, Any]

    @property
    def parameters(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.told.get("parameters", [])
        return listed

    @property
    def bodies(self) -> dict[str, dict[str, Any]]:
        content = self.told.get("requestBody", {}).get("content", {})
        return {kind: one["schema"] for kind, one in content.items()}

    def numbers(self) -> Iterator[tuple[str, tuple[str, ...], dict[str, Any]]]:
        """Where each stands, its names and its schema."""
        for one in self.parameters:
            for place, schema in numbers(one["schema"], (one["name"],)):
                yield one["in"], place, schema
        for kind, body in self.bodies.items():
            for place, schema in numbers(body):
                yield kind, place, schema


@pytest.fixture(scope="module")
def operations(services: Services) -> list[Operation]:
    document = create_app(services).openapi()
    return [
        Operation(method.upper(), path, resolved(told, document))
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]


def test_the_document_states_the_bounds_of_every_number(operations: list[Operation]) -> None:
    found = [(one.method, one.path, *number) for one in operations for number in one.numbers()]
    assert len(found) > 60
    unbounded = [
        f"{method} {path}: {'.'.join(place)}"
        for method, path, _, place, schema in found
        if not ({"minimum", "exclusiveMinimum"} & schema.keys() and {"maximum", "exclusiveMaximum"} & schema.keys())
    ]
    assert unbounded == []


@dataclass(frozen=True)
class Door:
    """A running server, and who may ask it."""

    client: httpx2.Client
    key: str
    ids: dict[str, str]

    def ask(self, one: Operation, **sent: Any) -> httpx2.Response:
        path = sent.pop("path", None) or self.path(one)
        secret = ADMIN_KEY if is_admin_path(one.path) else self.key
        headers = {"Authorization": f"Bearer {secret}", **sent.pop("headers", {})}
        return self.client.request(one.method, path, headers=headers, **sent)

    def path(self, one: Operation, **instead: str) -> str:
        """Of the thing that is there; `instead` as it stands in the URL."""
        names = [each["name"] for each in one.parameters if each["in"] == "path"]
        return one.path.format_map({name: quote(self.ids.get(name, "1"), safe="") for name in names} | instead)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def door(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    home: Path = tmp_path_factory.mktemp("numbers")
    (home / "catalog.toml").write_text(CATALOG)
    settings = {"home": home, "catalog": home / "catalog.toml", "admin_key": ADMIN_KEY, "outbound_allow": "127.0.0.0/8"}
    if request.param == "postgresql":
        template = request.getfixturevalue("postgres_template")
        with request.getfixturevalue("postgres").fresh(template) as url:
            yield from opened(Settings(**settings, database_url=url))
    else:
        yield from opened(Settings(**settings))


def opened(settings: Settings) -> Iterator[Door]:
    with build(settings, engine_processes=1) as services, running(create_app(services)) as server:
        account = rich(services.database, "numbers")
        key, row = services.accounts.create_key(account)
        with httpx2.Client(base_url=server.url, timeout=60) as client:
            auth = {"Authorization": f"Bearer {key}"}
            made = client.post("/v1/audio/jobs", json={"model": "oracle", "url": "http://127.0.0.1:1/"}, headers=auth)
            ended = client.post(f"/v1/audio/jobs/{made.json()['id']}/cancel", headers=auth)
            assert ended.status_code == 200, ended.text
            hook = client.post("/v1/webhook_endpoints", json=VALID, headers=auth)
            assert hook.status_code in (200, 201), hook.text
            ids = IDS | {
                "job_id": made.json()["id"],
                "account_id": account,
                "key_id": row.id,
                "endpoint_id": hook.json()["id"],
            }
            yield Door(client, key, ids)


def put(place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A body with nothing but `value` at its place."""
    for name in reversed(place):
        value = [value] if name == "0" else {name: value}
    return value


def as_json(place: tuple[str, ...], written: str) -> bytes:
    """The number as it is written here, which may be no JSON, with what such bodies need."""
    whole = json.dumps(VALID | put(place, "the number"))
    return whole.replace('"the number"', written or '""').encode()


def name_in_form(place: tuple[str, ...]) -> str:
    return place[0] + "".join("[]" if name == "0" else f"[{name}]" for name in place[1:])


def tries(door: Door, one: Operation) -> Iterator[tuple[str, httpx2.Response]]:
    """Every number of the operation with every value."""
    for kind, place, _ in one.numbers():
        for value in VALUES:
            told = f"{one.method} {one.path} {kind} {'.'.join(place)}={value[:24]}"
            if kind == "query":
                yield told, door.ask(one, params={place[0]: value})
            elif kind == "path":
                yield told, door.ask(one, path=door.path(one, **{place[0]: quote(value, safe="")}))
            elif kind == "header":
                yield told, door.ask(one, headers={place[0]: value, "Accept": "text/event-stream"})
            elif kind == "application/json":
                content = as_json(place, value)
                yield told, door.ask(one, content=content, headers={"Content-Type": "application/json"})
            else:
                fields = {"model": "oracle", name_in_form(place): value}
                yield told, door.ask(one, data=fields, files={"file": ("a.wav", SOUND)})


SOUND, _ = recording(0.4)


def test_no_number_is_a_fault_of_ours(door: Door, operations: list[Operation]) -> None:
    answers = [(told, answer) for one in operations for told, answer in tries(door, one)]
    assert len(answers) > 1000
    assert [(told, answer.text[:200]) for told, answer in answers if answer.status_code >= 500] == []
    refusals = [(told, answer.json()["error"]) for told, answer in answers if answer.status_code == 400]
    unnamed = {told for told, error in refusals if not error["param"] and "JSON" not in error["message"]}
    assert unnamed == set()


def text_tries(door: Door, one: Operation) -> Iterator[tuple[str, httpx2.Response]]:
    """Cursors, dates, ids and headers, none of them a number in the document, with numbers and with strange texts."""
    named = [(each["in"], each["name"]) for each in one.parameters if not any(numbers(each["schema"]))]
    asked = [*named, *(("header", name) for name in TEXT_WITH_DIGITS if name[0].isupper())]
    for place, name in asked:
        for value in (*VALUES, *TEXTS):
            told = f"{one.method} {one.path} {place} {name}={value[:24]!r}"
            raw = quote(value.encode("utf-8", "surrogatepass"), safe="")
            if place == "query":
                yield told, door.ask(one, path=f"{door.path(one)}?{quote(name)}={raw}")
            elif place == "path":
                yield told, door.ask(one, path=door.path(one, **{name: raw}))
            elif value.isascii() and value.isprintable():
                yield told, door.ask(one, headers={name: value})


def test_no_text_in_the_place_of_a_number_is_a_fault_of_ours(door: Door, operations: list[Operation]) -> None:
    reading = [one for one in operations if one.method in ("GET", "HEAD")]
    answers = [(told, answer) for one in reading for told, answer in text_tries(door, one)]
    assert len(answers) > 500
    assert [(told, answer.text[:200]) for told, answer in answers if answer.status_code >= 500] == []


def texts(schema: dict[str, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for kind in kinds(schema):
        if kind.get("type") == "string" and kind.get("format") != "binary":
            yield place
        for name, inner in kind.get("properties", {}).items():
            yield from texts(inner, (*place, name))
        if isinstance(inner := kind.get("items"), dict):
            yield from texts(inner, (*place, "0"))
        if isinstance(inner := kind.get("additionalProperties"), dict):
            yield from texts(inner, (*place, "a"))


STRANGE = (
    '"\\u0000"',
    '"a\\u0000b"',
    '"\\ud800"',
    '"\\udc00x"',
    '"' + "x" * 300_000 + '"',
    "[" * 5000 + "]" * 5000,
    "9" * 5000,
)


def test_no_text_of_a_body_is_a_fault_of_ours(door: Door, operations: list[Operation]) -> None:
    answers = []
    for one in operations:
        for place in texts(one.bodies.get("application/json", {})):
            for value in STRANGE:
                told = f"{one.method} {one.path} {'.'.join(place)}={value[:24]}"
                headers = {"Content-Type": "application/json"}
                answers.append((told, door.ask(one, content=as_json(place, value), headers=headers)))
    assert len(answers) > 200
    assert [(told, answer.text[:200]) for told, answer in answers if answer.status_code >= 500] == []


@pytest.mark.parametrize("value", ["a\0b", "\0"])
def test_nul_in_a_form_is_refused_by_name(door: Door, value: str) -> None:
    one = Operation("POST", "/v1/audio/jobs", {})
    for name in ("model", "prompt", "client_reference_id", "metadata[a]"):
        answer = door.ask(one, data={"model": "oracle", name: value}, files={"file": ("a.wav", SOUND)})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)
