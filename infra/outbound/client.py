"""The only way to call a URL that a user gave us.

The name is resolved once, every address it has must pass `infra.outbound.ssrf_guard`, and the connection goes to that
very address, with the name kept for the Host header and for TLS: a name server that changes its answer in between gains
nothing. No proxy, no cookies, no environment, no connection kept; nothing is decompressed; everything happens before
one absolute deadline, however slowly the other side drips.

Calls block. Each one runs its own event loop, because only that can end a name lookup, a handshake or a header in the
middle.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any, TypeVar

import httpx2

from infra.outbound.failures import ANSWER_BYTES, DELIVERY_SECONDS, TROUBLE, failure_class, sentence
from infra.outbound.minimum_rate import at_minimum_rate
from infra.outbound.pinned_transport import PinnedTransport
from infra.outbound.ssrf_guard import Network, resolve
from infra.outbound.url_policy import Resolver, UrlPolicy, port_of
from pipeline.errors import DownloadFailed, MediaTooLarge, OutboundRefused

T = TypeVar("T")

MAX_REDIRECTS = 5
CONNECT_SECONDS = 5.0  # for one of several addresses
HEAD_SECONDS = 60.0  # until an answer has begun, however it drips
IDLE_SECONDS = 30.0  # without a single byte; long downloads have deadlines of hours
REDIRECTS = frozenset({301, 302, 303, 307, 308})
AGENT = "Stenopool/0.1"

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OUR_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization"}
    | {"proxy-connection", "range", "te", "trailer", "transfer-encoding", "upgrade"}
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call, for the log: an HTTP answer, or the kind of failure there was instead.

    `failure` is a code of `infra.outbound.failures`; `status` may be there with it, when an answer had begun. `headers` have
    lower-case names.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    failure: str | None = None
    duration_ms: int = 0

    @property
    def ok(self) -> bool:
        """Whether the receiver took it: an answer with 2xx, nothing else."""
        return self.failure is None and HTTPStatus.OK <= (self.status or 0) < HTTPStatus.MULTIPLE_CHOICES


class Outbound:
    """Calls URLs within the rules. `allow` opens networks besides the public internet, on any port. Thread-safe."""

    def __init__(
        self,
        allow: Iterable[Network] = (),
        allow_http: bool = True,
        *,
        resolver: Resolver = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._policy = UrlPolicy(allow, allow_http, resolver)
        self._given = tls

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made for the first call: it holds all certificates of the world, and most processes never call anybody."""
        return self._given or httpx2.create_ssl_context()

    def check(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        """Refuse what needs no name server to be refused: at the door, before anything is stored. Raises OutboundRefused."""
        check_headers(headers or {})
        self._policy.parsed(url)

    def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        deadline_s: float = DELIVERY_SECONDS,
        max_bytes: int = ANSWER_BYTES,
    ) -> Answer:
        """Post once, follow nothing, read at most `max_bytes` of the answer. Network trouble is an Answer, not an exception."""
        started = time.monotonic()
        seen: dict[str, Any] = {}

        async def call(client: httpx2.AsyncClient) -> None:
            async with _answered(client, "POST", self._policy.parsed(url), headers, body) as response:
                seen.update(status=response.status_code, headers=dict(response.headers))
                seen["body"] = bytearray()
                async for block in response.aiter_raw():
                    seen["body"] += block[: max_bytes - len(seen["body"])]
                    if len(seen["body"]) >= max_bytes:
                        return

        try:
            self._within(deadline_s, call)
        except TROUBLE as error:
            seen["failure"] = failure_class(error)
        seen["body"] = bytes(seen.get("body", b""))
        return Answer(**seen, duration_ms=round((time.monotonic() - started) * 1000))

    def download(
        self,
        url: str,
        headers: Mapping[str, str],
        sink: Callable[[bytes], object],
        *,
        max_bytes: int,
        deadline_s: float,
    ) -> Mapping[str, str]:
        """Get the body into `sink`, block by block; the answer's headers are returned, with lower-case names.

        At most five redirects are followed, each checked like the first URL; the caller's headers stay with the first origin.
        Raises OutboundRefused, MediaTooLarge, DownloadTooSlow, DownloadFailed (details: `failure` as in Answer, or
        "status" with `status`, or
        "redirects"), and what `sink` raises.
        """
        check_headers(headers)

        async def call(client: httpx2.AsyncClient) -> Mapping[str, str]:
            target, sent = self._policy.parsed(url), headers
            for _ in range(MAX_REDIRECTS + 1):
                async with asyncio.timeout(HEAD_SECONDS) as head, _answered(client, "GET", target, sent) as response:
                    head.reschedule(None)
                    if response.status_code not in REDIRECTS:
                        await _pour(response, sink, max_bytes)
                        return dict(response.headers)
                following = self._policy.parsed(_location(target, response))
                sent = sent if _origin(following) == _origin(target) else {}
                target = following
            raise DownloadFailed(f"The URL redirects more than {MAX_REDIRECTS} times.", failure="redirects")

        try:
            return self._within(deadline_s, call)
        except OutboundRefused:
            raise
        except TROUBLE as error:
            failure = failure_class(error)
            raise DownloadFailed(f"The URL could not be downloaded. {sentence(failure)}", failure=failure) from error

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def _within(self, seconds: float, call: Callable[[httpx2.AsyncClient], Coroutine[Any, Any, T]]) -> T:
        async def bounded() -> T:
            timeout = httpx2.Timeout(min(IDLE_SECONDS, seconds), connect=min(CONNECT_SECONDS, seconds))
            transport = PinnedTransport(self._policy, self._tls)
            client = httpx2.AsyncClient(transport=transport, trust_env=False, follow_redirects=False, timeout=timeout)
            async with asyncio.timeout(seconds), client:
                return await call(client)

        return asyncio.run(bounded())


def _answered(
    client: httpx2.AsyncClient, method: str, url: httpx2.URL, headers: Mapping[str, str], body: bytes | None = None
) -> AbstractAsyncContextManager[httpx2.Response]:
    sent = {"user-agent": AGENT, "accept": "*/*", **{name.lower(): value for name, value in headers.items()}}
    sent |= {"accept-encoding": "identity", "connection": "close"}
    return client.stream(method, url, headers=sent, content=body)


async def _pour(response: httpx2.Response, sink: Callable[[bytes], object], limit: int) -> None:
    status = response.status_code
    if not response.is_success:
        raise DownloadFailed(f"The URL answered with status {status}.", failure="status", status=status)
    if response.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
        raise DownloadFailed("The URL answered in a compression that was not asked for.", failure="protocol")
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise MediaTooLarge
    received = 0
    async for block in at_minimum_rate(response.aiter_raw()):
        received += len(block)
        if received > limit:
            raise MediaTooLarge
        sink(block)
        await asyncio.sleep(0)  # lets the deadline strike though sink and network always have something


def _location(url: httpx2.URL, response: httpx2.Response) -> str:
    try:
        return str(url.join(response.headers["location"]))
    except (KeyError, httpx2.InvalidURL, ValueError) as error:
        raise DownloadFailed("The URL redirects to nowhere.", failure="redirects") from error


def _origin(url: httpx2.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, port_of(url)


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises OutboundRefused for one that is malformed, or not the caller's to say."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value) or name.lower() in _OUR_HEADERS:
            raise OutboundRefused(f"The header {name[:100]!r} cannot be sent.", param="headers")
