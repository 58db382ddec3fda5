"""What the exit codes mean. Scripts rely on them; docs/cli.md shows this table."""

from __future__ import annotations

from http import HTTPStatus

from infra.database.migrations.newer_schema import NewerSchema
from infra.diagnosis.fault import Misconfigured
from infra.model_store.errors import ModelStoreUnwritable, WeightsUnavailable
from pipeline.errors import (
    BrokerUnavailable,
    DatabaseUnavailable,
    Expired,
    FfmpegUnusable,
    Forbidden,
    IdempotencyConflict,
    InsufficientBalance,
    InvalidRequest,
    ModelUnavailable,
    NotFound,
    PaymentRequired,
    ProviderBusy,
    ProviderUnavailable,
    RateLimited,
    StenopoolError,
    StorageUnavailable,
    Unauthenticated,
    WrongState,
)

OK = 0
FAILED = 1
USAGE = 2  # typer's own, for a command line that makes no sense
BAD_INPUT = 3
NOT_THERE = 4
AWAY = 5
NOT_ALLOWED = 6
CAPPED = 7
INTERRUPTED = 130  # 128 + SIGINT, as shells count

MEANINGS = {
    OK: "done",
    FAILED: "it was tried and failed",
    USAGE: "the command line makes no sense",
    BAD_INPUT: "a file, value or setting cannot be used, and waiting does not help: a wrong password, a newer schema",
    NOT_THERE: "unknown, expired, or in a state that does not allow it (also: port or home in use)",
    AWAY: "a service is away: API, database, Redis, storage or provider; trying later can help",
    NOT_ALLOWED: "no API key, a wrong one, not enough rights, or not enough money",
    CAPPED: "a cap was reached before all was done: money, hours or files, or with --no-wait the day's minutes",
    INTERRUPTED: "stopped by Ctrl-C before it was done",
}


class ApiAway(StenopoolError):
    """The API did not answer."""

    code = "api_unavailable"
    retryable = True


class ApiRefused(StenopoolError):
    """The API refused the request. Details: status (HTTP), code (the API's own), param, retry_after in seconds."""

    code = "api_refused"


_BY_KIND: tuple[tuple[int, tuple[type[StenopoolError], ...]], ...] = (
    (BAD_INPUT, (InvalidRequest, Misconfigured, FfmpegUnusable, NewerSchema, ModelStoreUnwritable)),
    (NOT_THERE, (NotFound, WrongState, Expired, IdempotencyConflict)),
    (NOT_ALLOWED, (Unauthenticated, Forbidden, InsufficientBalance, PaymentRequired)),
    (
        AWAY,
        (
            DatabaseUnavailable,
            BrokerUnavailable,
            StorageUnavailable,
            ModelUnavailable,
            ProviderUnavailable,
            ProviderBusy,
            RateLimited,
            ApiAway,
            WeightsUnavailable,
        ),
    ),
)
_BY_CODE = {"catalog_broken": BAD_INPUT}
_BY_STATUS = {401: NOT_ALLOWED, 402: NOT_ALLOWED, 403: NOT_ALLOWED, 404: NOT_THERE, 409: NOT_THERE, 410: NOT_THERE}


def exit_code(error: StenopoolError) -> int:
    """The code a command leaves with after `error`."""
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    if isinstance(error, ApiRefused):
        return _of_status(int(error.details["status"]))
    return next((code for code, kinds in _BY_KIND if isinstance(error, kinds)), FAILED)


def _of_status(status: int) -> int:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    later = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
    return AWAY if later else BAD_INPUT
