"""A server that speaks the OpenAI audio API, as a place to send requests to: connections, turns, tries, errors of ours.

Nothing of a server's own words goes on: neither its body nor its address nor a key stands in an error or a log.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol, TypeVar
from urllib.request import getproxies

import httpx2
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import (
    ProviderError,
    ProviderNonsense,
    ProviderRefused,
    ProviderUnavailable,
)
from pipeline.http_client.connection import Content, HttpConnectionPool, InvalidTarget, Target
from pipeline.http_client.response_parser import ResponseUnreadable
from pipeline.http_client.socket_deadline import watch_over
from pipeline.openai_api.error_mapping import refusal
from pipeline.resilience.circuit_breaker import CircuitBreaker
from pipeline.resilience.deadline import Deadline
from pipeline.resilience.retry import RetryPolicy

T = TypeVar("T")

TROUBLE = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    httpx2.CookieConflict,
    OSError,
    ValueError,
)
LATE = "The provider did not answer in time"
Container = Literal["wav", "mp3", "flac", "ogg", "mp4", "matroska"]  # of OpenAI's list, as `audio.sniff` calls them
_LARGEST_REFUSAL = 65_536  # bytes; more of it is not read


class Config(BaseModel):
    """One server: the table `[providers.<name>]`, whose settings `pipeline/providers/openai.py` explains."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: str = "openai"
    name: str = "openai"
    needs: tuple[str, ...] = ()
    base_url: str = ""
    default_base_url: str = ""
    api_key: str = Field("", repr=False, pattern=r"^[\x21-\x7e]*$")
    api_key_env: str = ""  # the catalog has read it already

    text_only: tuple[str, ...] = ("gpt-4o*transcribe*", "gpt-transcribe*")
    diarizes: tuple[str, ...] = ("*diarize*",)
    logprobs: tuple[str, ...] = ("gpt-4o*transcribe*",)
    keywords: tuple[str, ...] = ("gpt-transcribe*",)
    containers: tuple[Container, ...] = ("wav", "mp3", "flac", "ogg", "mp4", "matroska")

    max_s: float = Field(300.0, ge=1, le=480)
    min_s: float = Field(150.0, ge=0)
    diarize_max_s: float = Field(1400.0, ge=1, le=3600)
    max_bytes: int = Field(round(0.95 * 25_000_000), ge=1000)  # the rest of the 25 MB is for the form around the file

    connect_s: float = Field(5.0, gt=0)
    answer_s: float = Field(30.0, gt=0)
    answer_ratio: float = Field(1.0, ge=0)
    timeout_s: float = Field(900.0, gt=0)
    retry_s: float = Field(10.0, ge=0)
    tries: int = Field(4, ge=1)
    concurrency: int = Field(16, ge=1)
    circuit_failures: int = Field(5, ge=1)
    circuit_seconds: float = Field(30.0, gt=0)

    @property
    def url(self) -> str:
        return (self.base_url or self.default_base_url).rstrip("/")


class Reply(Protocol):
    """An answer with its head; header names are in lower case, or matched in any case."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    def iter_bytes(self) -> Iterator[bytes]:
        """The body, as it comes."""
        ...


class Server:
    """The pooled connections, and what every call shares: turns, tries, a circuit, and errors of ours."""

    def __init__(self, config: Config, transport: httpx2.BaseTransport | None = None) -> None:
        self.config = config
        self._headers = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "stenopool"}
        if config.api_key:
            self._headers["authorization"] = f"Bearer {config.api_key}"
        # A proxy in the environment is asked by a client that knows how, and takes longer.
        proxied = transport is not None or bool(getproxies())
        self._wire = HttpConnectionPool(config.concurrency)
        self._client = _client(transport, config.concurrency) if proxied else None
        self._targets: dict[str, Target] = {}  # by path
        self._tries = RetryPolicy(
            config.name,
            timeout_s=config.timeout_s,
            retry_s=config.retry_s,
            concurrency=config.concurrency,
            most=config.tries,
            circuit=CircuitBreaker(config.name, failures=config.circuit_failures, seconds=config.circuit_seconds),
        )

    @property
    def in_greenlets(self) -> bool:
        """Whether `persist` may be used in a greenlet; the client that knows proxies blocks its thread."""
        return self._client is None

    def persist(self, ask: Callable[[Deadline], T], seconds: float) -> T:
        """The answer of `ask`, which has `seconds` for each try, tried again while that can help. Raises ProviderError."""
        return self._tries.persist(ask, seconds)

    @contextmanager
    def answer(self, path: str, deadline: Deadline, content: Content, media_type: str) -> Iterator[Reply]:
        """An answer with 200 whose body is still to come. Raises ProviderError, UnsupportedValue."""
        name = self.config.name
        if not self.config.url:
            raise ProviderRefused("The provider has no address", provider=name)
        with self._tries.turn(deadline):
            try:
                with self._asked(path, deadline, content, {"content-type": media_type}) as reply:
                    if reply.status_code != httpx2.codes.OK:
                        body = b"".join(bounded(reply, deadline, _LARGEST_REFUSAL))
                        raise refusal(reply.status_code, reply.headers, body, name)
                    yield reply
            except TROUBLE as error:
                raise translated(error, name) from None
            except RuntimeError:  # the client was closed meanwhile
                raise ProviderUnavailable(provider=name) from None

    def _asked(
        self, path: str, deadline: Deadline, content: Content, headers: Mapping[str, str]
    ) -> AbstractContextManager[Reply]:
        if self._client is None:
            return self._wire.post(self._target(path), headers, content, deadline, self.config.connect_s)
        timeouts = {"timeout": deadline.timeouts(self.config.connect_s)}
        every = self._headers | dict(headers)
        return self._client.stream(
            "POST", f"{self.config.url}{path}", headers=every, content=b"".join(content), extensions=timeouts
        )

    def _target(self, path: str) -> Target:
        """Taken apart once, not for every call. Raises InvalidURL, ValueError."""
        if path not in self._targets:
            url = httpx2.URL(f"{self.config.url}{path}")
            self._targets[path] = Target(url, self._headers | _credentials(url))
        return self._targets[path]

    def close(self) -> None:
        """Everything under way ends at its next read; nothing is asked any more."""
        self._tries.close()
        self._wire.close()
        if self._client is not None:
            self._client.close()


def _client(transport: httpx2.BaseTransport | None, concurrency: int) -> httpx2.Client:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=concurrency)  # turns are limit enough
    client = httpx2.Client(transport=transport, follow_redirects=False, limits=limits)
    watch_over(client)
    return client


def _credentials(url: httpx2.URL) -> dict[str, str]:
    """Those that stand in the address itself come before a key."""
    if not url.userinfo:
        return {}
    pair = f"{url.username}:{url.password}".encode()
    return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}


def translated(error: Exception, provider: str) -> ProviderError:
    """One of ours for anything the client can throw; nothing of its text goes on."""
    if isinstance(error, (httpx2.TimeoutException, TimeoutError)):
        return ProviderUnavailable(LATE, provider=provider)
    if isinstance(error, (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, InvalidTarget)):
        return ProviderRefused("The provider's address or key cannot be used", provider=provider)
    if isinstance(error, (httpx2.DecodingError, httpx2.TooManyRedirects, ResponseUnreadable)):
        return ProviderNonsense(provider=provider)
    return ProviderUnavailable(provider=provider)


def bounded(response: Reply, deadline: Deadline, limit: int) -> Iterator[bytes]:
    """The body while it comes. Raises DecodingError when it is longer than `limit` bytes, TimeoutError."""
    received = 0
    for block in response.iter_bytes():
        received += len(block)
        if received > limit:
            raise httpx2.DecodingError("too long")
        deadline.left()
        yield block
