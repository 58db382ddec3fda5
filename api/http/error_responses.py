"""The one table from what went wrong to what a client reads.

Every answer that is not a success is `{"error": {"message", "type", "param", "code"}}` (contract.md section 6), whatever
part of the stack it comes from: our own errors, validation, an unknown route, or a fault nobody foresaw.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from infra.requests.validation import as_invalid_request
from pipeline.errors import (
    AudioStalled,
    BrokerUnavailable,
    DamagedMedia,
    DatabaseUnavailable,
    DeadlineExceeded,
    DownloadFailed,
    EditConflict,
    EmptyMedia,
    Expired,
    Forbidden,
    IdempotencyConflict,
    InputMissing,
    InsufficientBalance,
    InvalidRequest,
    JobCancelled,
    LeaseLost,
    LimitExceeded,
    MediaTooLong,
    ModelUnavailable,
    NotFound,
    NoWorker,
    PaymentRequired,
    ProviderBusy,
    ProviderError,
    ProviderNonsense,
    ProviderRefused,
    RateLimited,
    RoutesExhausted,
    SandboxFailed,
    SecretUnreadable,
    StenopoolError,
    StorageFull,
    StorageUnavailable,
    Unauthenticated,
    UnsupportedMedia,
    WrongState,
)

# The first class in an error's own ancestry that is listed here decides its status.
STATUS: Mapping[type[StenopoolError], int] = {
    InvalidRequest: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    RateLimited: 429,
    InsufficientBalance: 402,  # not 429, which clients repeat
    PaymentRequired: 402,
    NotFound: 404,
    WrongState: 409,
    EditConflict: 409,
    IdempotencyConflict: 409,
    JobCancelled: 409,
    LeaseLost: 409,
    Expired: 410,
    InputMissing: 410,
    DownloadFailed: 400,
    ProviderBusy: 503,
    ProviderRefused: 502,
    ProviderNonsense: 502,
    ProviderError: 503,
    RoutesExhausted: 502,
    ModelUnavailable: 503,
    DeadlineExceeded: 504,
    StorageFull: 507,
    StorageUnavailable: 503,
    DatabaseUnavailable: 503,
    BrokerUnavailable: 503,
    NoWorker: 503,
    SecretUnreadable: 503,
    SandboxFailed: 503,
    StenopoolError: 500,
}
BESIDE: Mapping[type[StenopoolError], tuple[str, ...]] = {  # what these say beside the four keys
    WrongState: ("current_status", "allowed_statuses"),
    LimitExceeded: ("used", "limit"),
    EditConflict: ("current_revision", "current", "yours"),
    PaymentRequired: ("price",),
    IdempotencyConflict: ("earlier_id",),
    InvalidRequest: ("missing",),  # where it is more than one
}
ABOUT_THE_SOUND = (
    UnsupportedMedia,
    EmptyMedia,
    DamagedMedia,
    AudioStalled,
    MediaTooLong,
)  # found out far from any form's fields
RETRY_AFTER = 2  # seconds, where nobody knows better
LONGEST_SDK_WAIT = 60  # seconds; longer waits are not worth a client's automatic retry


class RequestTimeout(InvalidRequest):
    """The request's body arrived too slowly."""

    code = "request_timeout"


class BodyTooLarge(InvalidRequest):
    """The JSON body is larger than this endpoint takes."""

    code = "request_too_large"


class ClientGone(InvalidRequest):
    """The client hung up before its request was complete."""

    code = "client_closed_request"


class UnsupportedEncoding(InvalidRequest):
    """The body's Content-Encoding is not taken: gzip and deflate are, one of them, or none."""

    code = "unsupported_encoding"


class RangeNotSatisfiable(InvalidRequest):
    """The Range begins behind the end of what there is."""

    code = "range_not_satisfiable"


class ServerBusy(StenopoolError):
    """Too many requests are being served at this moment; try again shortly."""

    code = "server_busy"
    retryable = True


class ServerStopping(ServerBusy):
    """This server is being stopped and begins nothing new; another one, or its successor, takes the same request."""

    code = "server_stopping"


DOOR_STATUS: Mapping[type[StenopoolError], int] = {
    RequestTimeout: 408,
    BodyTooLarge: 413,
    ClientGone: 400,
    UnsupportedEncoding: 415,
    RangeNotSatisfiable: 416,
    ServerBusy: 503,
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ROUTE_CODES = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}


def status_of(error: StenopoolError) -> int:
    """The HTTP status of an error."""
    table = {**STATUS, **DOOR_STATUS}
    return next(table[cls] for cls in type(error).__mro__ if cls in table)


def error_body(status: int, message: str, *, code: str, param: str | None = None, **beside: Any) -> dict[str, Any]:
    """The body of an answer that is not a success."""
    kind = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request"
    return {"error": {"message": message, "type": kind, "param": param, "code": code, **beside}}


def error_response(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; `headers` are added to the usual ones."""
    content = json.dumps(body, ensure_ascii=False).encode()
    return Response(content, status_code=status, headers=dict(headers or {}), media_type="application/json")


def _message(error: StenopoolError) -> str:
    """What went wrong, and which providers were asked."""
    tried = error.details.get("tried") or [error.details]
    names = ", ".join(dict.fromkeys(str(one["provider"]) for one in tried if one.get("provider")))
    return error.message if names in error.message else f"{error.message.rstrip('.')}. Tried: {names}."


def _headers(error: StenopoolError, status: int) -> dict[str, str]:
    headers: dict[str, str] = {}
    waits = "retry_after" in error.details or not isinstance(error, LimitExceeded)
    if waits and (error.retryable or status in (429, 503, 507)):
        wait = max(1, math.ceil(float(error.details.get("retry_after") or RETRY_AFTER)))  # never too early
        headers["retry-after"] = str(wait)
        if wait > LONGEST_SDK_WAIT:
            headers["x-should-retry"] = "false"
    if (
        not waits
        or status == HTTPStatus.CONFLICT
        or (status > HTTPStatus.INTERNAL_SERVER_ERROR and not error.retryable)
    ):
        headers["x-should-retry"] = "false"  # clients retry these by default; the same question gets the same answer
    if isinstance(error, UnsupportedEncoding):
        headers["accept-encoding"] = "gzip, deflate"  # RFC 9110, 15.5.16
    if isinstance(error, RangeNotSatisfiable) and "size" in error.details:
        headers["content-range"] = f"bytes */{error.details['size']}"
    if isinstance(error, ServerStopping) or (isinstance(error, LimitExceeded) and error.param == "connections"):
        headers["connection"] = "close"
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return headers


def content_of(error: Exception) -> dict[str, Any]:
    """The body for any error. Of a fault that nobody foresaw nothing is shown."""
    if not isinstance(error, StenopoolError):
        return error_body(500, "The server had an error while processing your request.", code="internal_error")
    names = next((names for kind, names in BESIDE.items() if isinstance(error, kind)), ())
    beside = {name: error.details[name] for name in names if name in error.details}
    param = error.param or ("file" if isinstance(error, ABOUT_THE_SOUND) else None)
    return error_body(status_of(error), _message(error), code=error.code, param=param, **beside)


def render(error: StenopoolError) -> Response:
    """Any of our errors as an HTTP answer."""
    status = status_of(error)
    return error_response(status, content_of(error), _headers(error, status))


def unexpected() -> Response:
    """The answer to a fault that nobody foresaw."""
    return error_response(500, content_of(Exception()))


async def _ours(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StenopoolError)
    return render(error)


async def _fault(_request: Request, _error: Exception) -> Response:
    return unexpected()  # whoever stands outside logs it: it is raised again


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError | ValidationError)
    return render(as_invalid_request([dict(one) for one in error.errors()]))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, StenopoolError):
        return render(error.__cause__)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["allow"] = allowed(request.scope)
    messages = {
        404: f"Unknown request URL: {request.method} {request.url.path}.",
        405: f"{request.method} is not allowed for {request.url.path}; {headers.get('allow')} can be used.",
    }
    message = messages.get(error.status_code, str(error.detail))
    code = ROUTE_CODES.get(error.status_code, "invalid_request")
    return error_response(error.status_code, error_body(error.status_code, message, code=code), headers)


def allowed(scope: Scope) -> str:
    """The methods of all routes at this path (RFC 9110, 10.2.1); the router names those of the first that it finds."""

    def takes(method: str) -> bool:
        asked = {**scope, "method": method}
        return any(route.matches(asked)[0] is Match.FULL for route in scope["app"].routes)

    return ", ".join(filter(takes, METHODS))


def install(app: FastAPI) -> None:
    """Make every error of the application's routes come out in the one shape."""
    app.add_exception_handler(StenopoolError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _fault)
