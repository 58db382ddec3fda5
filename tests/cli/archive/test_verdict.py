"""What a failure means: this recording's end, another try, a wait for all, or the end of the command."""

from typing import Any

import pytest

from cli import exits
from cli.archive.hearer import CannotBegin, JobFailed, SourceChanged
from cli.archive.verdict import Kind, Verdict, verdict
from cli.exits import ApiAway, ApiRefused
from pipeline.errors import (
    EmptyMedia,
    EngineLost,
    ModelNotFound,
    ProviderRefused,
    ProviderUnavailable,
    StenopoolError,
    StorageUnavailable,
    UnsupportedMedia,
)

DAY = "transcription_minutes_per_day"


def refused(status: int, code: str = "x", param: str | None = None, retry_after: float | None = None) -> ApiRefused:
    return ApiRefused("no", status=status, code=code, param=param, retry_after=retry_after)


def job(code: str, *, retryable: bool) -> JobFailed:
    return JobFailed("failed", code=code, retryable=retryable)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EmptyMedia(), Kind.OWN),
        (UnsupportedMedia(), Kind.OWN),
        (refused(400, "empty_media", "file"), Kind.OWN),
        (refused(413, "request_too_large"), Kind.OWN),
        (job("unsupported_media", retryable=False), Kind.OWN),
        (ProviderRefused(), Kind.OWN),
        (refused(429, "limit_exceeded", DAY), Kind.OWN),
        (SourceChanged(), Kind.PASSING),
        (job("cost_limit_exceeded", retryable=False), Kind.PASSING),
        (job("worker_lost", retryable=True), Kind.AGAIN),
        (refused(409, "idempotency_conflict"), Kind.AGAIN),
        (refused(404, "not_found"), Kind.AGAIN),
        (StorageUnavailable(), Kind.AGAIN),
        (ApiAway(), Kind.PATIENT),
        (refused(503, "server_busy"), Kind.PATIENT),
        (ProviderUnavailable(), Kind.PATIENT),
        (EngineLost(), Kind.PATIENT),
    ],
)
def test_what_concerns_one_recording(error: StenopoolError, kind: Kind) -> None:
    assert verdict(error).kind == kind


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refused(401, "invalid_api_key"), exits.NOT_ALLOWED),
        (refused(402, "insufficient_balance"), exits.NOT_ALLOWED),
        (refused(403, "account_suspended"), exits.NOT_ALLOWED),
        (job("insufficient_balance", retryable=False), exits.NOT_ALLOWED),
        (ProviderRefused(status=401), exits.NOT_ALLOWED),
        (refused(404, "model_not_found", "model"), exits.BAD_INPUT),
        (refused(400, "unsupported_language", "language"), exits.BAD_INPUT),
        (refused(503, "model_unavailable", "model"), exits.AWAY),
        (refused(429, "limit_exceeded", "stored_bytes"), exits.AWAY),
        (CannotBegin("no", code="api_unavailable", cause=ApiAway()), exits.AWAY),
        (ModelNotFound(), exits.NOT_THERE),
    ],
)
def test_what_concerns_all(error: StenopoolError, code: int) -> None:
    assert verdict(error) == Verdict(Kind.STOP, code=code)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"param": "concurrent_jobs", "retry_after": 10.0}, Kind.PATIENT),
        ({"param": None, "retry_after": 10.0}, Kind.PATIENT),
        ({"param": DAY, "retry_after": 10.0}, Kind.TOMORROW),
    ],
)
def test_waits_are_as_long_as_the_server_says(given: dict[str, Any], kind: Kind) -> None:
    assert verdict(refused(429, "limit_exceeded", **given)) == Verdict(kind, 10.0)
