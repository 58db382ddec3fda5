"""Gemini's speech through Google's SDK, sent on as its parts arrive.

Settings in `[providers.<name>]`:

    api_key                     of the Gemini API
    base_url, api_version       another address than Google's own; another version than v1beta, which has the previews
    voices = ["Name", …]        further voices of Google's that this file does not know yet
    timeout_s, retry_s          for one call with all its tries; for how long failed tries are repeated
    concurrency                 calls at the same time from one process
    circuit_failures, circuit_seconds   after so many failures in a row it is left alone for so long

The names of OpenAI's voices stand for thirteen of Gemini's that fit what OpenAI says of them; Gemini's own names pass through,
in capital or small letters. Gemini has no speed: its sound is stretched here, at the same pitch. A model may say no to a text
(its filters), and sometimes stops in the middle; the first is refused, the second is never passed off as the whole.

Importing the SDK takes about half a second of computing (its types are a thousand pydantic models), hence at the first call.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.audio.time_stretch import stretched
from pipeline.engines.engine_placement import Engines
from pipeline.errors import (
    CatalogBroken,
    ProviderError,
    ProviderNonsense,
    ProviderRefused,
    ProviderUnavailable,
    UnsupportedValue,
)
from pipeline.gemini_response import SAMPLE_RATE, Parts, refusal
from pipeline.options import SpeechOptions
from pipeline.providers.base import Provider, Voice
from pipeline.resilience.circuit_breaker import CircuitBreaker
from pipeline.resilience.deadline import Deadline
from pipeline.resilience.retry import RetryPolicy

if TYPE_CHECKING:
    from google.genai import Client, types

GOOGLE = "https://generativelanguage.googleapis.com"
# What Google says of each: https://ai.google.dev/gemini-api/docs/speech-generation
GEMINI_VOICES = (
    *("Achernar", "Achird", "Algenib", "Algieba", "Alnilam", "Aoede", "Autonoe", "Callirrhoe", "Charon", "Despina"),
    *("Enceladus", "Erinome", "Fenrir", "Gacrux", "Iapetus", "Kore", "Laomedeia", "Leda", "Orus", "Puck"),
    *("Pulcherrima", "Rasalgethi", "Sadachbia", "Sadaltager", "Schedar", "Sulafat", "Umbriel", "Vindemiatrix"),
    *("Zephyr", "Zubenelgenubi"),
)
VOICES: Mapping[str, str] = {
    "alloy": "Schedar",  # even
    "ash": "Iapetus",  # clear
    "ballad": "Algieba",  # smooth
    "cedar": "Achird",  # friendly
    "coral": "Sulafat",  # warm
    "echo": "Zubenelgenubi",  # casual
    "fable": "Sadachbia",  # lively
    "marin": "Aoede",  # breezy
    "nova": "Laomedeia",  # upbeat
    "onyx": "Alnilam",  # firm
    "sage": "Gacrux",  # mature
    "shimmer": "Vindemiatrix",  # gentle
    "verse": "Puck",  # upbeat
}

_SHORTEST_DEADLINE_S = 10  # what Google lets a client say; its servers refuse less
_SPEAKS_VERBATIM = re.compile(r"gemini-(3\.[89]|[4-9])")  # these take the text alone and the style beside it


class Config(BaseModel):
    """One account of the Gemini API."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: str = "gemini"
    name: str = "gemini"
    needs: tuple[str, ...] = ()
    base_url: str = GOOGLE
    api_version: str = "v1beta"  # the SDK's own default, v1, lacks some preview models
    api_key: str = Field("", repr=False, pattern=r"^[\x21-\x7e]*$")
    voices: tuple[str, ...] = ()
    timeout_s: float = Field(300.0, gt=0)
    retry_s: float = Field(30.0, ge=0)
    concurrency: int = Field(16, ge=1)
    circuit_failures: int = Field(5, ge=1)
    circuit_seconds: float = Field(30.0, gt=0)


class Gemini:
    """Speaks."""

    local = False
    sample_rate = SAMPLE_RATE

    def __init__(self, config: Config) -> None:
        self.name = config.name
        self._config = config
        circuit = CircuitBreaker(config.name, failures=config.circuit_failures, seconds=config.circuit_seconds)
        self._tries = RetryPolicy(
            config.name,
            timeout_s=config.timeout_s,
            retry_s=config.retry_s,
            concurrency=config.concurrency,
            circuit=circuit,
        )
        self._http: httpx2.Client | None = None
        self._client: Client | None = None
        self._lock = threading.Lock()

    def speak(self, options: SpeechOptions, model: str) -> Spoken:
        """Sound as it arrives; only what comes before the first block is tried again. Counts its tokens."""
        voice = self._voice(options.voice)
        if not self._config.api_key:
            raise ProviderRefused("The provider has no API key: set STENOPOOL_GEMINI_API_KEY", provider=self.name)

        def begin(deadline: Deadline) -> tuple[bytes, Iterator[bytes], Parts]:
            parts = Parts(self.name)
            blocks = self._blocks(options, voice, model, parts, deadline)
            return next(blocks, b""), blocks, parts

        return Spoken(model, lambda: self._tries.persist(begin), options.speed)

    def close(self) -> None:
        """End all connections; who calls later gets ProviderUnavailable."""
        self._tries.close()
        with self._lock:
            if self._http:
                self._http.close()

    def _voice(self, name: str) -> str:
        own = {voice.lower(): voice for voice in (*GEMINI_VOICES, *self._config.voices)}
        found = VOICES.get(name) or own.get(name.lower())
        if found is None:
            known = f"{', '.join(VOICES)}; or Gemini's own: {', '.join(own.values())}"
            raise UnsupportedValue(f"No voice is called {name!r}. Voices: {known}", param="voice")
        return found

    def _blocks(
        self, options: SpeechOptions, voice: str, model: str, parts: Parts, deadline: Deadline
    ) -> Iterator[bytes]:
        """The sound of one try. Raises ProviderError for whatever the SDK throws."""
        with self._tries.turn(deadline):
            try:
                sdk = _sdk()
                asked = _asked(sdk, options, voice, model, deadline.at - time.monotonic())
                answers = _answers(sdk, self._opened(sdk), asked)
                yield from parts.sound(_before(deadline.at, answers))
            except ProviderError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever an SDK throws is the provider's failure, not ours
                raise translated(error, self.name) from None

    def _opened(self, sdk: ModuleType) -> Client:
        """The one client, made at the first call."""
        with self._lock:
            if self._client is None:
                # Our own HTTP client and no setting left open, or the SDK would take them from Google's variables in the shell.
                self._http = httpx2.Client(follow_redirects=False, headers={"accept-encoding": "identity"})
                self._client = sdk.Client(
                    api_key=self._config.api_key,
                    vertexai=False,
                    http_options={
                        "base_url": self._config.base_url.rstrip("/"),
                        "api_version": self._config.api_version,
                        "httpx_client": self._http,
                        "retry_options": {"attempts": 1},
                    },
                )
            return self._client


class Spoken(Voice):
    """Asks when its first block is wanted. The tokens are those of the try that succeeded."""

    def __init__(self, model: str, begin: Callable[[], tuple[bytes, Iterator[bytes], Parts]], speed: float) -> None:
        self.model_used = model
        self._begin = begin
        blocks = self._begun()
        self._blocks = stretched(blocks, 1 / speed, SAMPLE_RATE) if speed != 1 else blocks

    def __next__(self) -> bytes:
        return next(self._blocks)

    def close(self) -> None:
        """Stop, and hang up."""
        close = getattr(self._blocks, "close", None)
        if close:
            close()

    def _begun(self) -> Iterator[bytes]:
        first, rest, parts = self._begin()
        yield first
        yield from rest
        self.usage = parts.usage


def translated(error: Exception, provider: str) -> ProviderError:
    """One of ours for anything the SDK and its HTTP client can throw; nothing of its text goes on."""
    errors = _sdk().errors
    if isinstance(error, errors.APIError):
        return refusal(error, provider)
    if isinstance(error, (httpx2.TimeoutException, TimeoutError)):
        return ProviderUnavailable("The provider did not answer in time", provider=provider)
    if isinstance(error, (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)):
        return ProviderRefused("The provider's address or key cannot be used", provider=provider)
    if isinstance(error, (httpx2.DecodingError, httpx2.TooManyRedirects)):
        return ProviderNonsense(provider=provider)
    if isinstance(error, (httpx2.HTTPError, httpx2.StreamError, OSError, RuntimeError)):
        return ProviderUnavailable(provider=provider)  # a RuntimeError: the client was closed meanwhile
    return ProviderNonsense(provider=provider)  # what the SDK could not read


def _asked(sdk: ModuleType, options: SpeechOptions, voice: str, model: str, left: float) -> dict[str, Any]:
    types = sdk.types
    prebuilt = types.PrebuiltVoiceConfig(voice_name=voice)
    speech = types.SpeechConfig(voice_config=types.VoiceConfig(prebuilt_voice_config=prebuilt))
    deadline = max(_SHORTEST_DEADLINE_S, math.ceil(left))
    http = types.HttpOptions(timeout=max(1, round(1000 * left)), headers={"X-Server-Timeout": str(deadline)})
    config = types.GenerateContentConfig(
        response_modalities=["AUDIO"],
        speech_config=speech,
        http_options=http,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(
            disable=True
        ),  # else it logs a line for each call
    )
    if _SPEAKS_VERBATIM.match(model):
        style = types.SpeechMetadata(style=options.instructions) if options.instructions else None
        part = types.Part(text=options.input, speech_metadata=style)
    else:
        part = types.Part(text=_prompt(options.input, options.instructions))
    return {"model": model, "contents": types.Content(role="user", parts=[part]), "config": config}


def _prompt(text: str, instructions: str | None) -> str:
    """The text with the preamble and the label that Google advises.

    Without them a model may answer a text that is a question, or read the instructions aloud.
    """
    notes = f"\n\n### DIRECTOR'S NOTES\n{instructions}" if instructions else ""
    return f"Synthesize speech of the transcript below, word for word.{notes}\n\n#### TRANSCRIPT\n{text}"


def _answers(sdk: ModuleType, client: Client, asked: dict[str, Any]) -> Iterator[types.GenerateContentResponse]:
    """As they come; in one piece from a model, or a server in between, that does not stream. That is said by a 404."""
    try:
        yield from client.models.generate_content_stream(**asked)
    except sdk.errors.ClientError as error:
        if error.code != HTTPStatus.NOT_FOUND:
            raise
        yield client.models.generate_content(**asked)


def _before(
    deadline: float, answers: Iterable[types.GenerateContentResponse]
) -> Iterator[types.GenerateContentResponse]:
    for answer in answers:
        if time.monotonic() > deadline:
            raise TimeoutError
        yield answer


def _sdk() -> ModuleType:
    """The vendor's library. Loaded when the first call comes, never by a process that only lists or opens providers."""
    from google import genai  # noqa: PLC0415 - see above
    from google.genai import errors, types  # noqa: F401, PLC0415 - so that they are attributes of the package

    return genai


def check(config: Mapping[str, Any]) -> Config:
    """Raises CatalogBroken for settings that make no sense."""
    try:
        checked = Config.model_validate(config)
    except ValidationError as error:
        raise CatalogBroken(f"a provider's {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from None
    address = urlsplit(checked.base_url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise CatalogBroken(f"the base_url of the provider {checked.name!r} is no http:// or https:// address")
    return checked


def open_provider(config: Mapping[str, Any], engines: Engines) -> Provider:
    """Raises CatalogBroken for settings that make no sense."""
    opened = Gemini(check(config))
    return Provider(speaker=opened, resources=(opened,))
