"""Any server that speaks the OpenAI audio API: OpenAI, Groq, one at home, another Stenopool.

Settings in `[providers.<name>]`, with `kind = "openai"`:

    base_url, api_key           at least one of them; the URL ends in /v1
    text_only = ["model", …]    models that answer text without times
    max_s, min_s                how long its chunks may be, in seconds
    timeout_s, retry_s          for one call with all its tries; for how long failed tries are repeated
    concurrency                 calls at the same time from one process
"""

from __future__ import annotations

import io
import json
import random
import threading
import time
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.audio.encode import encode
from pipeline.circuit import Circuit
from pipeline.cut import CutProfile
from pipeline.errors import (
    CatalogBroken,
    ProviderBusy,
    ProviderError,
    ProviderNonsense,
    ProviderRefused,
    ProviderUnavailable,
    SandboxFailed,
    UnsupportedValue,
)
from pipeline.openai_answers import heard
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.providers.base import OPENAI_VOICES, Provider
from pipeline.transcript import SAMPLE_RATE, Heard, samples_to_ms

T = TypeVar("T")

TROUBLE = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, httpx2.CookieConflict, OSError, ValueError)
_SHORTEST = SAMPLE_RATE // 10  # samples; OpenAI refuses less
_SMALL = 30 * 2 * SAMPLE_RATE  # bytes sent as they are: an encoder takes longer to start
_LARGEST_ANSWER = 32 * 1024**2
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
    timeout_s: float = Field(300.0, gt=0)
    retry_s: float = Field(30.0, ge=0)
    concurrency: int = Field(16, ge=1)
    circuit_failures: int = Field(5, ge=1)
    circuit_seconds: float = Field(30.0, gt=0)

    @property
    def url(self) -> str:
        return (self.base_url or self.default_base_url).rstrip("/")


class _FormatRefused(ProviderRefused):
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
                    raise _refusal(response, b"".join(_bounded(response, deadline, 65_536)), name)
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


class OpenAI:
    """Hears and speaks through one server."""

    local = False
    sample_rate = 24_000  # Hz, of OpenAI's pcm

    def __init__(self, server: Server) -> None:
        config = server.config
        self.name = config.name
        self.profile = CutProfile(max_s=config.max_s, min_s=min(config.min_s, config.max_s / 2))
        self._server = server
        self._plain = set(config.text_only)  # models that refuse verbose_json

    def hear(self, pcm: bytes, options: TranscriptionOptions, model: str) -> Heard:
        """Words and segments where the server tells them, else its text over the whole chunk."""
        samples = len(pcm) // 2
        if samples < _SHORTEST:
            return Heard(model_used=model)
        sound = _encoded(pcm[: 2 * samples])
        if model not in self._plain:
            try:
                return self._heard(sound, samples, options, model, plain=False)
            except _FormatRefused:
                self._plain.add(model)
        return self._heard(sound, samples, options, model, plain=True)

    def speak(self, options: SpeechOptions, model: str) -> Iterator[bytes]:
        """Sound as it arrives; only what comes before the first block is tried again."""
        asked = {"model": model, "input": options.input, "voice": options.voice, "response_format": "pcm"}
        extra = {"instructions": options.instructions, "speed": options.speed if options.speed != 1 else None}
        body = asked | {name: value for name, value in extra.items() if value is not None}

        def begin(deadline: float) -> tuple[bytes, Iterator[bytes]]:
            blocks = self._blocks(body, deadline)
            return next(blocks, b""), blocks

        first, rest = self._server.persist(begin)
        odd = b""
        yield from (first,) if len(first) % 2 == 0 else ()
        odd = first if len(first) % 2 else b""
        for block in rest:
            whole = odd + block
            odd = whole[len(whole) // 2 * 2 :]
            yield whole[: len(whole) // 2 * 2]

    def _blocks(self, body: Mapping[str, Any], deadline: float) -> Iterator[bytes]:
        with self._server.answer("/audio/speech", deadline, json=body) as response:
            if response.headers.get("content-type", "").startswith(("text/", "application/json")):
                raise ProviderNonsense(provider=self.name)
            yield from response.iter_bytes()

    def _heard(self, sound: Any, samples: int, options: TranscriptionOptions, model: str, *, plain: bool) -> Heard:
        translation = options.task == "translation"
        data: dict[str, Any] = {"model": model, "response_format": "json" if plain else "verbose_json"}
        if not plain and not translation:
            data["timestamp_granularities[]"] = ["word", "segment"]
        given = {"language": None if translation else options.language, "prompt": options.prompt}
        data |= {name: value for name, value in given.items() if value}
        if options.temperature:
            data["temperature"] = str(options.temperature)
        path = "/audio/translations" if translation else "/audio/transcriptions"

        def ask(deadline: float) -> Heard:
            with self._server.answer(path, deadline, data=data, files={"file": sound}) as response:
                body = b"".join(_bounded(response, deadline, _LARGEST_ANSWER))
                used = response.headers.get("x-perf-model-used") or model  # another Stenopool tells who it was
            return heard(body, duration=samples_to_ms(samples), model=used, provider=self.name)

        return self._server.persist(ask)


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
        return _FormatRefused(**facts)
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


def _bounded(response: httpx2.Response, deadline: float, limit: int) -> Iterator[bytes]:
    received = 0
    for block in response.iter_bytes():
        received += len(block)
        if received > limit:
            raise httpx2.DecodingError("too long")
        if time.monotonic() > deadline:
            raise TimeoutError
        yield block


def _encoded(pcm: bytes) -> tuple[str, bytes, str]:
    if len(pcm) > _SMALL:
        try:
            flac = b"".join(encode(iter([pcm]), sample_rate=SAMPLE_RATE, target="flac"))
        except SandboxFailed:
            pass
        else:
            # A pipe cannot be rewound: put in how many samples there are (the low 36 bits), which some readers insist on.
            count = int.from_bytes(flac[18:26], "big") | len(pcm) // 2
            return "audio.flac", flac[:18] + count.to_bytes(8, "big") + flac[26:], "audio/flac"
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(pcm)
    return "audio.wav", held.getvalue(), "audio/wav"


def open_provider(config: Mapping[str, Any], engine_processes: int) -> Provider:
    """Raises CatalogBroken for settings that make no sense."""
    try:
        checked = Config.model_validate(config)
    except ValidationError as error:
        raise CatalogBroken(f"a provider's {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from None
    if checked.url and (urlsplit(checked.url).scheme not in ("http", "https") or not urlsplit(checked.url).hostname):
        raise CatalogBroken(f"the base_url of the provider {checked.name!r} is no http:// or https:// address")
    server = Server(checked)
    opened = OpenAI(server)
    return Provider(transcriber=opened, speaker=opened, resources=(server,))
