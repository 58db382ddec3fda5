"""What every answer carries, whatever happens inside: a request id, the time it took, permission for browsers."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.compatibility.groq import with_our_path
from api.http.error_responses import METHODS, ClientGone, ServerStopping, allowed, render, unexpected
from api.http.peers import Peers
from api.http.repeated_headers import fields_once
from api.http.unknown_names import ignored_header
from infra.database.ids import new_request_id
from infra.logs import log_context
from infra.tracing.spans import TRACEPARENT, rename_span, span
from pipeline.errors import InvalidRequest, StenopoolError

log = logging.getLogger("stenopool.api")

SYNCHRONOUS = frozenset({"/v1/audio/speech", "/v1/audio/transcriptions", "/v1/audio/translations"})
WHISPER_ASR = frozenset({"/asr", "/detect-language"})  # as whisper-asr-webservice has them, for Bazarr
HEALTH = frozenset({"/healthz", "/readyz"})  # served beside all slots
NAMES = frozenset(
    {"/v1/audio/models", "/v1/audio/voices"}
)  # asked for without a key, so nothing but names stands there
PUBLIC = HEALTH | NAMES | frozenset({"/", "/version", "/docs", "/openapi.json", "/redoc"})
LINK = re.compile(r"/v1/audio/jobs/[^/]+/links/[^/]+")  # whoever holds one may open it
CONSOLE = "/console"  # pages, which look themselves who is signed in; see api/console/door.py
SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
LONGEST_CLIENT_ID = 512  # characters of X-Client-Request-Id, as OpenAI has it
EXPOSED = (
    b"x-request-id, x-perf-request-id, x-perf-model-used, x-perf-cost-usd, x-perf-cost-usd-max, x-perf-latency-ms, "
    b"x-perf-gaps, x-perf-warnings, x-perf-ignored, openai-processing-ms, deprecation, sunset, "
    b"location, retry-after, x-should-retry, etag, idempotent-replayed, content-disposition, accept-ranges, content-range, "
    b"x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, ratelimit, ratelimit-policy"
)
ANY_ORIGIN = ((b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", EXPOSED))
POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1
CUT_OFF = "This server was stopped before the answer was there; send the request again."
PREFLIGHT_SECONDS = "86400"
LIST_NAME = re.compile(rb"(^|&)([^=&]*)(?:\[\]|%5[Bb]%5[Dd])=")


def is_link(method: str, path: str) -> bool:
    """Whether this opens a link, which needs no key."""
    return method == "GET" and LINK.fullmatch(path) is not None


def is_console(path: str) -> bool:
    """Whether it is a page of the console, or something that one consists of."""
    return path == CONSOLE or path.startswith(CONSOLE + "/")


def request_id(headers: Headers, own: str) -> str:
    """The caller's own id where it is harmless to repeat, else ours."""
    given = headers.get("x-request-id", "")
    return given if SANE_ID.fullmatch(given) else own


def check_client_id(given: str | None) -> None:
    """The id by which the caller's own log knows the request must be fit for ours. Raises InvalidRequest."""
    if given is not None and not (given.isascii() and len(given) <= LONGEST_CLIENT_ID):
        told = f"X-Client-Request-Id has at most {LONGEST_CLIENT_ID} characters, all of them ASCII."
        raise InvalidRequest(told, param="X-Client-Request-Id")


@dataclass
class _Response:
    """What is known of the answer while it goes out."""

    send: Send
    path: str
    request_id: str
    own_id: str
    started_at: float
    state: Mapping[str, Any]
    started: bool = False
    status: int = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], *self._headers()]}
        await self.send(message)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        """What no answer brings itself, so nothing has to be looked for."""
        latency = b"%d" % round((time.monotonic() - self.started_at) * 1000)
        told = [
            (b"x-request-id", self.request_id.encode()),
            (b"x-perf-request-id", self.own_id.encode()),
            (b"openai-processing-ms", latency),
            *(() if is_console(self.path) else ANY_ORIGIN),
            *self.state.get("shutdown_headers", ()),
            *ignored_header(self.state),
        ]
        if self.path in SYNCHRONOUS and self.status >= HTTPStatus.BAD_REQUEST:  # failed work is free
            told += [(b"x-perf-latency-ms", latency), (b"x-perf-cost-usd", b"0")]
        return told


class RequestMiddleware:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp, *, peers: Peers | None = None, public_path: str = "") -> None:
        self.app = app
        self.public_path = public_path
        self.peers = peers or Peers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await outside_http(self.app, scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope["query_string"] = LIST_NAME.sub(rb"\1\2=", scope["query_string"])  # as SDKs write lists: `name[]=`
        own = new_request_id()  # in the ledger and on the receipt: never what a caller sends, who may send it twice
        state = scope.setdefault("state", {})
        _without_public_path(scope, self.public_path)
        with_our_path(scope)
        answer = _Response(send, scope["path"], request_id(headers, own), own, time.monotonic(), state)
        state.update(request_id=answer.request_id, own_id=own, started_at=answer.started_at)
        state["peer"] = self.peers.of_request(scope)
        if scope["method"] == "OPTIONS" and (told := _options(scope, headers)) is not None:
            await told(scope, receive, answer)
            return
        theirs = headers.get("x-client-request-id")
        who = {"request_id": answer.request_id, "client_request_id": theirs, "client": state["peer"].name}
        with log_context(**who), span("request", parent=headers.get(TRACEPARENT), serves=True):
            await self._serve(scope, receive, answer, theirs)
            _record(scope, answer)

    async def _serve(self, scope: Scope, receive: Receive, answer: _Response, client_id: str | None) -> None:
        try:
            fields_once(scope)
            _refuse_nul(scope)
            check_client_id(client_id)
            await self.app(scope, receive, answer)
        except asyncio.CancelledError:  # by the server alone, whose grace has run out
            if not answer.started:
                await render(ServerStopping(CUT_OFF))(scope, receive, answer)
        except Exception as error:  # noqa: BLE001 - nothing below may leave a caller without an answer
            _note(error)
            if not answer.started:
                fault = render(error) if isinstance(error, StenopoolError) else unexpected()
                await fault(scope, receive, answer)
            # else: the server sees an unfinished answer and cuts the connection, which is the one way to tell the client


def _without_public_path(scope: Scope, prefix: str) -> None:
    """What came as /speech/v1/… becomes /v1/…, before anybody asks what it is. A proxy that serves us below a path may take it away
    or leave it; and whoever comes past the proxy can follow the links of our pages, which have it."""
    if prefix and scope["path"].startswith(f"{prefix}/"):
        scope["path"] = scope["path"].removeprefix(prefix)
        scope["raw_path"] = scope.get("raw_path", b"").removeprefix(prefix.encode())


async def outside_http(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """The application's own start and end pass; a WebSocket, which no key, scope, rate or slot would see, is refused.
    Raises ValueError for a scope of another kind."""
    if scope["type"] == "lifespan":
        await app(scope, receive, send)
    elif scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})  # before it is accepted: 403
    else:
        raise ValueError(f"nobody checks a scope of the type {scope['type']!r}")


def _note(error: Exception) -> None:
    if isinstance(error, ClientGone):
        log.info("the client hung up")
    elif isinstance(error, StenopoolError):
        log.warning("%s: %s", error.code, error.message)
    else:
        log.error("a request failed", exc_info=error)


def _record(scope: Scope, answer: _Response) -> None:
    """A line in the log, never with the query, which may hold a secret; and a timing by the route's template, so that ids
    do not make a thousand series."""
    route = getattr(scope.get("route"), "path", "none")
    seconds = time.monotonic() - answer.started_at
    level = logging.DEBUG if scope["path"] in PUBLIC else logging.INFO
    rename_span(f"{scope['method']} {route}", **{"http.route": route, "http.response.status_code": answer.status})
    facts = {"method": scope["method"], "route": route, "status": answer.status, "ms": round(1000 * seconds)}
    if job_id := scope.get("path_params", {}).get("job_id"):
        facts["job_id"] = job_id
    path = scope.get("raw_path", b"").decode("latin-1")  # still encoded: a line stays one line
    log.log(level, "%s %s %d", scope["method"], path, answer.status, extra=facts)
    context = getattr(scope["app"].state, "context", None)
    if context is not None:
        context.services.metrics.http.labels(scope["method"], route, str(answer.status)).observe(seconds)


def _options(scope: Scope, headers: Headers) -> Response | None:
    """To a browser, and to anybody else who asks what a path takes; None for a path that takes nothing."""
    if "access-control-request-method" in headers:
        return _preflight(headers)
    methods = ", ".join(METHODS) if scope["path"] == "*" else allowed(scope)
    return Response(status_code=204, headers={"allow": f"{methods}, OPTIONS"}) if methods else None


def _preflight(headers: Headers) -> Response:
    """Browsers ask first. Keys travel in a header, never in a cookie, so any origin may ask."""
    allowed = {
        "access-control-allow-methods": ", ".join((*METHODS, "OPTIONS")),
        "access-control-allow-headers": headers.get("access-control-request-headers", "authorization, content-type"),
        "access-control-max-age": PREFLIGHT_SECONDS,
        "vary": "access-control-request-headers",
    }
    return Response(status_code=204, headers=allowed)


def _refuse_nul(scope: Scope) -> None:
    """Raises InvalidRequest: no id and no parameter has one."""
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:
        raise InvalidRequest("The URL contains the character NUL (%00), which is in no id and no parameter.")
