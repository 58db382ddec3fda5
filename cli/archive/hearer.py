"""Who hears a recording: a Stenopool by jobs, any server that speaks the OpenAI audio API, or this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from cli.archive.plan import Hearing
from cli.archive.throttle import Throttle
from infra.settings import Settings
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.model import Model, Route
from pipeline.errors import StenopoolError
from pipeline.options import DIARIZED, TranscriptionOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import transcribe
from pipeline.text.languages import asked_language
from pipeline.transcript import Transcript

FOREIGN = "server"  # the provider's name in the catalog of somebody else's server


class JobFailed(StenopoolError):
    """The job has failed. Details: code, retryable as the server says, job_id."""

    code = "job_failed"


class NotKnown(StenopoolError):
    """Nobody has heard it yet."""

    code = "not_known"


class SourceChanged(StenopoolError):
    """The recording was changed while it was read or sent; it is taken again when it stands still."""

    code = "source_changed"


@dataclass(frozen=True)
class Recording:
    """What is to be heard. `job_id`: as which job it was sent before. `again`: though that has failed by its own fault; `anew`:
    though it is heard; `only_known`: only if it was sent before."""

    path: Path
    filename: str
    name: str
    key: str
    sha256: str
    hearing: Hearing
    metadata: Mapping[str, str] = field(default_factory=dict)
    job_id: str | None = None
    again: bool = False
    anew: bool = False
    only_known: bool = False
    max_cost_micro: int | None = None


@dataclass(frozen=True)
class Answer:
    """What was heard. `cost_micro` in micro-dollars, None where nobody tells it."""

    transcript: Transcript
    duration_ms: int
    cost_micro: int | None = None


@dataclass(frozen=True)
class Price:
    """Micro-dollars for a millisecond of sound; `bound`: it may turn out to be less. `work`: seconds of an engine's work for it."""

    per_ms: Fraction = Fraction(0)
    bound: bool = False
    work: float | None = None
    minutes_left: float | None = None  # of the day's
    minutes_a_day: float | None = None

    def of(self, milliseconds: int) -> int:
        """Micro-dollars, rounded up."""
        return -(-self.per_ms.numerator * milliseconds // self.per_ms.denominator)


Waits = Callable[[str, str], None]  # code and message of why nobody works on it for now


class Hearer(Protocol):
    """Thread-safe."""

    def hear(self, recording: Recording, is_job: Callable[[str], None], waits: Waits) -> Answer:
        """Blocks until it is heard; `is_job` is told as which job, before that. Raises what is wrong, Stopped."""
        ...

    def price(self, hearing: Hearing) -> Price | None:
        """None where nobody tells it."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class CannotBegin(StenopoolError):
    """Nobody can be asked at all. Details: code, cause."""

    code = "cannot_begin"


class HearerOnDemand:
    """Opens who hears when there is something to hear: what is done already needs nobody."""

    def __init__(self, open_hearer: Callable[[], Hearer]) -> None:
        self._open_hearer = open_hearer
        self._opened: Hearer | None = None
        self._lock = threading.Lock()

    def hear(self, recording: Recording, is_job: Callable[[str], None], waits: Waits) -> Answer:
        """As theirs. Raises CannotBegin besides."""
        return self._hearer().hear(recording, is_job, waits)

    def price(self, hearing: Hearing) -> Price | None:
        """As theirs. Raises CannotBegin besides."""
        return self._hearer().price(hearing)

    def close(self) -> None:
        """Whoever was opened."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()

    def _hearer(self) -> Hearer:
        with self._lock:
            if self._opened is None:
                try:
                    self._opened = self._open_hearer()
                except StenopoolError as error:
                    raise CannotBegin(error.message, code=error.as_dict()["code"], cause=error) from error
            return self._opened


class LocalHearer:
    """Hears on this machine, or chunk by chunk through a server that has no jobs."""

    def __init__(self, catalog: Catalog, throttle: Throttle, *, processes: int, at_once: int) -> None:
        self._registry = ProviderRegistry(catalog, engine_processes=processes)
        self._throttle = throttle
        self._workers = max(1, processes // at_once)

    def hear(self, recording: Recording, is_job: Callable[[str], None], waits: Waits) -> Answer:
        if recording.only_known:
            raise NotKnown
        heard = transcribe(
            recording.path,
            options_of(recording.hearing),
            self._registry,
            on_progress=lambda _done, _decoded: self._throttle.check(),
            workers=self._workers,
        )
        return Answer(heard, heard.audio_ms, 0 if self._is_free(recording.hearing) else None)

    def price(self, hearing: Hearing) -> Price | None:
        return Price() if self._is_free(hearing) else None

    def close(self) -> None:
        self._registry.close()

    def _is_free(self, hearing: Hearing) -> bool:
        """Whether only engines of this machine hear it."""
        routes = self._registry.catalog.routes_for(options_of(hearing))
        return all(self._registry.transcriber(route).local for route in routes)


def options_of(hearing: Hearing) -> TranscriptionOptions:
    """The same as options of one recording. Raises UnsupportedLanguage."""
    return TranscriptionOptions(
        model=hearing.model,
        language=asked_language(hearing.language),
        response_format=DIARIZED if hearing.diarized else "verbose_json",
        timestamp_granularities=("word", "segment"),
    )


def local_catalog(chosen: Settings, hearing: Hearing) -> Catalog:
    """This machine's. Raises ModelNotFound, UnsupportedLanguage and so on, before any work."""
    catalog = chosen.load_catalog()
    options = options_of(hearing)
    catalog.routes_for(options)
    catalog.check_format_of(options)
    return catalog


def foreign_catalog(base_url: str, api_key: str | None, hearing: Hearing) -> Catalog:
    """One model, served by somebody else's server."""
    url = base_url.rstrip("/")
    versioned = url if urlsplit(url).path.rstrip("/").endswith("/v1") else f"{url}/v1"
    route = Route(provider=FOREIGN, model=hearing.model, diarizes=hearing.diarized)
    return Catalog(
        models={hearing.model: Model(id=hearing.model, tasks=("transcription",), routes=(route,))},
        providers={FOREIGN: {"kind": "openai", "base_url": versioned, "api_key": api_key or ""}},
    )
