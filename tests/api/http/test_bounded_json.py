"""Bodies of JSON: bounded in bytes and in elements, whatever stands in their texts, and built only within the bounds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http import bounded_json
from api.http.bounded_json import MOST_ELEMENTS, TooManyElements, load
from tests.api.conftest import JOBS, House

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(values, st.booleans())
def test_whatever_is_json_says_what_it_says(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert load(text) == value
    assert load(text.encode("utf-8", "surrogatepass")) == value


@pytest.mark.parametrize("piece", ["[]", "{}", "0", '""', "[[", '{"a":[', "\n1"])
def test_more_elements_than_allowed_are_not_built(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    built = list[str]()
    monkeypatch.setattr(bounded_json.json, "loads", lambda *_args, **_options: built.append("built"))
    for text in ("[" + ",".join([piece] * (MOST_ELEMENTS + 1)), piece * MOST_ELEMENTS + "[" * MOST_ELEMENTS):
        with pytest.raises(TooManyElements, match=str(MOST_ELEMENTS)):
            load(text + "]")
    assert not built


@pytest.mark.parametrize("text", ['[{,\\"' * MOST_ELEMENTS, "\\\\" * MOST_ELEMENTS + "," * MOST_ELEMENTS])
def test_what_stands_in_a_text_is_no_element(text: str) -> None:
    assert len(load('["' + text + '"]')) == 1


def test_a_text_without_an_end_is_looked_through_once() -> None:
    with pytest.raises(json.JSONDecodeError):
        load('["' + '\\",' * 10 * MOST_ELEMENTS)


def test_the_refusal_says_the_bound(house: House) -> None:
    body = '{"model": "oracle", "text": [' + ",".join(["[]"] * 100_000) + "]}"
    answer = house.post(JOBS, content=body, headers={**house.auth(), "content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == f"The JSON has more than {MOST_ELEMENTS} elements."


def test_the_same_in_a_field_of_a_form(house: House) -> None:
    many = "[" + ",".join(["{}"] * MOST_ELEMENTS) + "]"
    answer = house.post(
        JOBS, files={"model": (None, "oracle"), "url": (None, "https://example.com/a.wav"), "metadata": (None, many)}
    )
    assert answer.status_code == 400
    assert f"{MOST_ELEMENTS} elements" in answer.json()["error"]["message"]
