"""The table from our errors to what a client reads."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from api.http.error_responses import render, status_of
from infra.requests.validation import field_name
from pipeline.errors import (
    BeyondLimit,
    LimitExceeded,
    ModelUnavailable,
    ProviderBusy,
    ProviderNonsense,
    ProviderRefused,
    ProviderUnavailable,
    RoutesExhausted,
    StenopoolError,
    UnsupportedMedia,
    WrongState,
)

OURS = {
    "internal_error",
    "worker_lost",
    "input_corrupt",
    "result_lost",
    "catalog_broken",
}  # nobody outside could do anything about these


def all_errors(root: type[StenopoolError] = StenopoolError) -> Iterator[type[StenopoolError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__.startswith(("pipeline.errors", "api.", "pipeline.catalog")):
            yield from all_errors(child)


def body(error: StenopoolError) -> dict[str, Any]:
    return json.loads(bytes(render(error).body))["error"]


@pytest.mark.parametrize(
    "kind", sorted(set(all_errors()), key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__
)
def test_every_error_has_a_status_of_its_own_choice(kind: type[StenopoolError]) -> None:
    status = status_of(kind())
    assert (status == 500) == (kind.code in OURS), "add it to the table in api/http/error_responses.py"
    said = body(kind())
    assert set(said) == {"message", "type", "param", "code"}
    assert said["type"] == ("invalid_request" if status < 500 else "server_error")
    assert said["message"] and said["code"] == kind.code
    headers = render(kind()).headers
    waits = (status in (429, 503, 507) or kind.retryable) and not issubclass(kind, LimitExceeded)
    assert ("retry-after" in headers) == waits


def test_a_limit_tells_how_much_is_used_and_when_to_come_back_where_that_is_known() -> None:
    full = LimitExceeded("Full.", param="stored_bytes", used=7, limit=8)
    assert body(full) == {
        "message": "Full.", "type": "invalid_request", "param": "stored_bytes", "code": "limit_exceeded", "used": 7, "limit": 8
    }  # fmt: skip
    assert "retry-after" not in render(full).headers  # only its account can make room
    assert render(full).headers["x-should-retry"] == "false"
    assert render(BeyondLimit(param="stored_bytes", used=7, limit=8)).headers["x-should-retry"] == "false"
    busy = render(LimitExceeded(param="concurrent_jobs", used=7, limit=7, retry_after=10)).headers
    assert busy["retry-after"] == "10"
    assert "x-should-retry" not in busy


def test_details_are_not_shown_but_those_of_a_conflict() -> None:
    conflict = body(WrongState("No.", current_status="failed", allowed_statuses=["completed"], key="s3cr3t"))
    assert conflict["allowed_statuses"] == ["completed"]
    assert conflict["current_status"] == "failed"
    assert "key" not in conflict
    assert set(body(UnsupportedMedia(path="/var/x"))) == {"message", "type", "param", "code"}


def test_providers_are_named_without_their_words() -> None:
    tried = [
        {"provider": "openai", "model": "whisper-1", "code": "provider_busy"},
        {"provider": "groq", "model": "w", "code": "x"},
    ]
    assert body(RoutesExhausted(tried=tried))["message"].endswith("Tried: openai, groq.")
    assert "groq" in body(ProviderBusy(provider="groq"))["message"]


@pytest.mark.parametrize(("wait", "header", "hint"), [(0.2, "1", None), (7.6, "8", None), (3600, "3600", "false")])
def test_long_waits_are_not_for_automatic_retries(wait: float, header: str, hint: str | None) -> None:
    answer = render(ProviderBusy(retry_after=wait))
    assert answer.headers["retry-after"] == header
    assert answer.headers.get("x-should-retry") == hint


def test_a_model_without_a_route_is_unavailable() -> None:
    assert status_of(ModelUnavailable()) == 503


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (ModelUnavailable(), "false"),
        (ProviderRefused(), "false"),
        (ProviderUnavailable(), None),
        (ProviderNonsense(), None),
    ],
)
def test_what_will_not_pass_is_not_for_automatic_retries(error: StenopoolError, hint: str | None) -> None:
    assert render(error).headers.get("x-should-retry") == hint


def test_the_places_of_fields_read_as_callers_write_them() -> None:
    assert field_name(("body", "webhook", "url")) == "webhook.url"
    assert field_name(("query", "limit")) == "limit"
    assert field_name(()) is None
