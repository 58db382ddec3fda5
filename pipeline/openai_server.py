"""A server that speaks the OpenAI audio API, as a place to send requests to: connections, turns, tries, errors of ours.

Nothing of a server's own words goes on: neither its body nor its address nor a key stands in an error or a log.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, ConfigDict, Field

from pipeline.circuit import Circuit
from pipeline.errors import (
    ProviderBusy,
    ProviderError,
    ProviderNonsense,
    ProviderRefused,
    ProviderUnavailable,
    UnsupportedValue,
)
from pipeline.providers.base import OPENAI_VOICES

T = TypeVar("T")

TROUBLE = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, httpx2.CookieConflict, OSError, ValueError)
_CALLERS = {"input", "voice", "language", "prompt", "temperature", "speed", "instructions"}


class Config(BaseModel):
    """One server."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: str = "openai"
    name: str = "openai"
    needs: tuple[str, ...] = ()
    base_url: str = ""
    default_base_url: str = ""
    api_key: str = Field("", repr=False, pattern=r"^[\x21-\x7e]*$")
    text_only: tuple[str, ...] = ()
    max_s: float = Field(300.0, ge=1, le=480)
    min_s: float = Field(150.0, ge=0)
    max_bytes: int = Field(
        round(0.95 * 25_000_000), ge=1000
    )  # of a file; the rest of the 25 MB is for the form around it
    timeout_s: float = Field(300.0, gt=0)
    retry_s: float = Field(30.0, ge=0)
    concurrency: int = Field(16, ge=1)
    circuit_failures: int = Field(5, ge=1)
    circuit_seconds: float = Field(30.0, gt=0)

    @property
    def url(self) -> str:
        return (self.base_url or self.default_base_url).rstrip("/")


class FormatRefused(ProviderRefused):
    """The provider does not answer in this format."""


class Server:
    """The pooled connections, and what every call shares: turns, tries, a circuit, and errors of ours."""

    def __init__(self, config: Config, transport: httpx2.BaseTransport | None = None) -> None:
        self.config = config
        headers = {"accept-encoding": "identity"}
        if config.api_key:
            headers["authorization"] = f"Bearer {config.api_key}"
        self._client = httpx2.Client(headers=headers, transport=transport, follow_redirects=False)
        self._turns = threading.BoundedSemaphore(config.concurrency)
        self._circuit = Circuit(config.name, failures=config.circuit_failures, seconds=config.circuit_seconds)
        self._closing = threading.Event()

    def persist(self, ask: Callable[[float], T]) -> T:
        """The answer of `ask(deadline)`, tried again with jitter while that can help. Raises ProviderError."""
        began = time.monotonic()
        pause = 0.5
        while True:
            try:
                with self._circuit.watching():
                    return ask(began + self.config.timeout_s)
            except ProviderError as error:
                wait = max(float(error.details.get("retry_after") or 0), pause * random.uniform(0.5, 1))  # noqa: S311
                left = began + min(self.config.retry_s, self.config.timeout_s) - time.monotonic()
                if not error.retryable or wait > left or self._closing.wait(wait):
                    raise
            pause = min(8.0, 2 * pause)

    @contextmanager
    def answer(self, path: str, deadline: float, **content: Any) -> Iterator[httpx2.Response]:
        """An answer with 200 whose body is still to come. Raises ProviderError, UnsupportedValue."""
        name, left = self.config.name, deadline - time.monotonic()
        if self._closing.is_set() or not self.config.url:
            kind = ProviderUnavailable if self._closing.is_set() else ProviderRefused
            raise kind("The provider is closed or has no address", provider=name)
        if left <= 0 or not self._turns.acquire(timeout=left):
            raise ProviderBusy("Too many calls to this provider at once", provider=name)
        try:
            timeout = httpx2.Timeout(max(0.01, deadline - time.monotonic()), connect=min(10.0, max(0.01, left)))
            with self._client.stream("POST", f"{self.config.url}{path}", timeout=timeout, **content) as response:
                if response.status_code != httpx2.codes.OK:
                    raise _refusal(response, b"".join(bounded(response, deadline, 65_536)), name)
                yield response
        except TROUBLE as error:
            raise translated(error, name) from None
        except RuntimeError:  # the client was closed meanwhile
            raise ProviderUnavailable(provider=name) from None
        finally:
            self._turns.release()

    def close(self) -> None:
        self._closing.set()
        self._client.close()


def translated(error: Exception, provider: str) -> ProviderError:
    """One of ours for anything the client can throw; nothing of its text goes on."""
    if isinstance(error, (httpx2.TimeoutException, TimeoutError)):
        return ProviderUnavailable("The provider did not answer in time", provider=provider)
    if isinstance(error, (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)):
        return ProviderRefused("The provider's address or key cannot be used", provider=provider)
    if isinstance(error, (httpx2.DecodingError, httpx2.TooManyRedirects)):
        return ProviderNonsense(provider=provider)
    return ProviderUnavailable(provider=provider)


def _refusal(response: httpx2.Response, body: bytes, provider: str) -> ProviderError | UnsupportedValue:
    status = response.status_code
    facts: dict[str, Any] = {"provider": provider, "status": status}
    with suppress(KeyError, ValueError):
        facts["retry_after"] = max(0.0, float(response.headers["retry-after"]))
    if status == 429 and b"insufficient_quota" not in body:  # noqa: PLR2004
        return ProviderBusy(**facts)
    if status >= 500 or status in (408, 409, 425):  # noqa: PLR2004
        return ProviderUnavailable(**facts)
    if status < 400:  # noqa: PLR2004
        return ProviderNonsense(**facts)
    if b"response_format" in body or b"verbose_json" in body or b"timestamp_granularities" in body:
        return FormatRefused(**facts)
    param = _param(body)
    if param in _CALLERS:
        known = f". Voices: {', '.join(OPENAI_VOICES)}, or the provider's own" if param == "voice" else ""
        return UnsupportedValue(f"The provider does not take this value of `{param}`{known}", param=param)
    return ProviderRefused(**facts)


def _param(body: bytes) -> str | None:
    try:
        found = json.loads(body)["error"]["param"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def bounded(response: httpx2.Response, deadline: float, limit: int) -> Iterator[bytes]:
    received = 0
    for block in response.iter_bytes():
        received += len(block)
        if received > limit:
            raise httpx2.DecodingError("too long")
        if time.monotonic() > deadline:
            raise TimeoutError
        yield block
