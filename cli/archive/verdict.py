"""What a failure means for an archive: this recording's end, another try, a wait for all, or the end of the command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

from cli.archive.hearer import CannotBegin, JobFailed, SourceChanged
from cli.exits import AWAY, BAD_INPUT, NOT_ALLOWED, ApiAway, ApiRefused, exit_code
from pipeline.errors import (
    CostLimitExceeded,
    InsufficientBalance,
    InvalidRequest,
    ModelNotFound,
    ModelUnavailable,
    ProviderError,
    RoutesExhausted,
    StenopoolError,
    UnsupportedLanguage,
)

DAY = "transcription_minutes_per_day"
ABOUT_ALL = ("model", "language", "response_format")  # fields that are the same for every recording
FULL = ("stored_bytes", "stored_results")  # limits that no waiting lifts
TRIES = 3  # of one recording whose job fails by something that may pass
_ENDING = (HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN)


class Kind(Enum):
    """What is to be done."""

    OWN = "own"  # the recording's own fault: no other try helps
    PASSING = "passing"  # not its fault, but not now either: the next run tries again
    AGAIN = "again"  # a few times
    PATIENT = "patient"  # until it works: it is the server that has to
    TOMORROW = "tomorrow"  # the day's minutes are used up
    STOP = "stop"


@dataclass(frozen=True)
class Verdict:
    """`seconds` to wait first; `code` to leave with; `blamed`: it may be this recording that the server fails at."""

    kind: Kind
    seconds: float | None = None
    code: int = AWAY
    blamed: bool = False


def verdict(error: StenopoolError) -> Verdict:
    """Of one failure."""
    for kinds, judge in _JUDGES:
        if isinstance(error, kinds):
            return judge(error)
    return Verdict(Kind.AGAIN if error.retryable else Kind.PASSING)


def _of_refusal(error: StenopoolError) -> Verdict:
    status, wait = error.details["status"], error.details.get("retry_after")
    told = _BY_CODE.get(error.details["code"]) or _BY_STATUS.get(status)
    if told is not None:
        return told
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _of_limit(error.param, wait)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Verdict(Kind.PATIENT, wait, blamed=True)
    return Verdict(Kind.STOP, code=BAD_INPUT) if error.param in ABOUT_ALL else Verdict(Kind.OWN)


def _of_limit(param: str | None, wait: float | None) -> Verdict:
    if param == DAY:
        return Verdict(Kind.TOMORROW, wait) if wait is not None else Verdict(Kind.OWN)
    if param in FULL:
        return Verdict(Kind.STOP)
    return Verdict(Kind.PATIENT, wait)


def _of_job(error: StenopoolError) -> Verdict:
    return _BY_CODE.get(error.details["code"]) or Verdict(Kind.AGAIN if error.details["retryable"] else Kind.OWN)


def _of_provider(error: StenopoolError) -> Verdict:
    """Without a server of ours in between it is asked directly: a key that it refuses, it refuses for all."""
    if error.details.get("status") in _ENDING:
        return Verdict(Kind.STOP, code=NOT_ALLOWED)
    return (
        Verdict(Kind.PATIENT, error.details.get("retry_after"), blamed=True) if error.retryable else Verdict(Kind.OWN)
    )


_BY_CODE = {
    CostLimitExceeded.code: Verdict(Kind.PASSING),  # our own bound
    InsufficientBalance.code: Verdict(Kind.STOP, code=NOT_ALLOWED),
    ModelNotFound.code: Verdict(Kind.STOP, code=BAD_INPUT),
    ModelUnavailable.code: Verdict(Kind.STOP),
}
_BY_STATUS = {
    **{status: Verdict(Kind.STOP, code=NOT_ALLOWED) for status in _ENDING},
    HTTPStatus.CONFLICT: Verdict(Kind.AGAIN, 1.0),  # its first request is still being answered
    HTTPStatus.NOT_FOUND: Verdict(Kind.AGAIN),  # somebody has deleted the job
    HTTPStatus.GONE: Verdict(Kind.AGAIN),
}
_JUDGES: tuple[tuple[tuple[type[StenopoolError], ...], Callable[[StenopoolError], Verdict]], ...] = (
    ((CannotBegin,), lambda error: Verdict(Kind.STOP, code=exit_code(error.details["cause"]))),
    ((ApiAway,), lambda _: Verdict(Kind.PATIENT, blamed=True)),
    ((ApiRefused,), _of_refusal),
    ((JobFailed,), _of_job),
    ((SourceChanged,), lambda _: Verdict(Kind.PASSING)),
    (
        (ModelNotFound, ModelUnavailable, InsufficientBalance, UnsupportedLanguage),
        lambda error: Verdict(Kind.STOP, code=exit_code(error)),
    ),
    ((ProviderError, RoutesExhausted), _of_provider),
    ((InvalidRequest,), lambda _: Verdict(Kind.OWN)),
)
