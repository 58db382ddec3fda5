"""How much JSON is taken: counted in elements and levels before anything is made of it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.requests.json_text import DEEPEST, MOST_ELEMENTS, TooManyElements, parsed
from pipeline.errors import InvalidRequest
from tests.api.conftest import JOBS, House

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='ab"\\,[{'), inner),
)


@given(VALUES, st.booleans())
def test_what_is_json_is_read_as_python_reads_it(value: Any, ascii_only: bool) -> None:
    assert parsed(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    "content",
    [
        b"[" + b"[]," * 2_000_000 + b"[]]",
        b'{"a":[' + b"0," * MOST_ELEMENTS + b"0]}",
        b"[" * 5_000_000,
        b'{"a":' * (DEEPEST + 1) + b"0" + b"}" * (DEEPEST + 1),
        b"[" * 40 + b'"' + b'\\"' * 2_000_000,
        b"{" * 40 + b'""' * 2_000_000,
    ],
    ids=["lists", "numbers", "open", "deep", "no end of a string", "strings"],
)
def test_more_than_that_is_refused_unread(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(json, "loads")
    with pytest.raises(TooManyElements, match=f"{MOST_ELEMENTS} elements|{DEEPEST} levels"):
        parsed(content)


def test_what_stands_in_a_text_is_no_element() -> None:
    text = 'one, two, [three] {"four"} \\' * MOST_ELEMENTS
    assert parsed(json.dumps({"text": text}).encode()) == {"text": text}


def test_as_many_as_may_be() -> None:
    whole = [0] * (MOST_ELEMENTS - 1)
    assert parsed(json.dumps(whole).encode()) == whole
    deep = "[" * DEEPEST + "]" * DEEPEST
    assert json.dumps(parsed(deep.encode())) == deep


@pytest.mark.parametrize(
    "content", [b"NaN", b"[Infinity]", b'{"a": -Infinity}', b"9" * 5000, '{"a": "ä"}'.encode("utf-16")]
)
def test_what_only_python_calls_json_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parsed(content)


def test_fractions_as_they_were_written() -> None:
    assert parsed(b'{"a": 0.10}', number=Decimal) == {"a": Decimal("0.10")}


@pytest.mark.parametrize("name", ["model", "client_reference_id"])
def test_nul_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidRequest, match="NUL") as caught:
        parsed(json.dumps({name: "a\0b"}).encode())
    assert caught.value.param == name


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"[" + b"[]," * 2_500_000 + b"[]]", 400, "json_too_complex"),
        (b'{"text": "' + b"a" * 8 * 1024**2 + b'"}', 413, "request_too_large"),
    ],
    ids=["elements", "bytes"],
)
def test_the_refusal_states_the_bound(house: House, content: bytes, status: int, code: str) -> None:
    answer = house.client.post(JOBS, content=content, headers=house.auth() | {"Content-Type": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert str(MOST_ELEMENTS if status == 400 else 8 * 1024**2) in error["message"]
