"""The providers that a process has at hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline import providers
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.model import Route
from pipeline.engines.engine_placement import Engines
from pipeline.engines.pace import Paces
from pipeline.errors import EngineLost, ModelUnavailable, ProviderError
from pipeline.provider_protocol import Align, Provider, Speaker, Transcriber, is_aligner
from pipeline.speakers.diarizer import NAME as VOICES
from pipeline.speakers.diarizer import open_diarizer


class ProviderRegistry:
    """The catalog's providers, opened when first needed and shared by all threads; `close` ends their processes."""

    def __init__(self, catalog: Catalog, *, engine_processes: int, engine_socket: Path | None = None) -> None:
        """Each local engine gets at most `engine_processes` processes: those that are shared at `engine_socket`, or our own."""
        self.catalog = catalog
        self.paces = Paces()
        self._engines = Engines(engine_processes, engine_socket)
        self.troubles: dict[str, str] = {}  # by provider, why it could not be made ready: others stand in for it
        self._opened: dict[str, Provider] = {}
        voices = catalog.voices_folder
        self.diarizer = open_diarizer(Path(voices), self._engines, self.paces) if voices else None
        self._closed = False
        self._lock = threading.Lock()

    def transcriber(self, route: Route) -> Transcriber:
        """Who hears for this route. Raises ModelUnavailable when that provider does not transcribe."""
        found = self._provider(route.provider).transcriber
        if found is None:
            raise ModelUnavailable(f"The provider `{route.provider}` does not transcribe")
        return found

    def speaker(self, route: Route) -> Speaker:
        """Who speaks for this route. Raises ModelUnavailable when that provider does not speak."""
        found = self._provider(route.provider).speaker
        if found is None:
            raise ModelUnavailable(f"The provider `{route.provider}` does not speak")
        return found

    def has_line(self, route: Route) -> bool:
        """Whether whoever calls this route's provider may stand in its engine's line."""
        return self._provider(route.provider).has_line

    def aligner(self) -> Align | None:
        """Who tells when a text is said, where an embedded ear can."""
        for route in self.catalog.embedded.get("transcription", ()):
            transcriber = self.transcriber(route)
            if is_aligner(transcriber):
                return partial(transcriber.align, model=route.model)
        return None

    def warm(self) -> None:
        """Have loaded what takes its time and is asked first for some model; `troubles` tells of what cannot be."""
        catalog, first = self.catalog, dict[str, None]()
        for model in catalog.models.values():
            first |= dict.fromkeys(
                route.provider for task in model.tasks for route in catalog.served(model.id, task)[:1]
            )
        loading: dict[str, Callable[[], object]] = {name: partial(self._warm, name) for name in first}
        if self.diarizer is not None:
            loading[VOICES] = self.diarizer.warm
        for name, load in loading.items():
            try:
                load()
                self.troubles.pop(name, None)
            except ProviderError as error:
                self.troubles[name] = error.message

    def _warm(self, name: str) -> None:
        if (warm := self._provider(name).warm) is not None:
            warm()

    def close(self) -> None:
        """End every engine; whoever still waits for one gets EngineLost."""
        with self._lock:
            self._closed = True
            opened = tuple(self._opened.values())
        for provider in opened:
            provider.close()
        if self.diarizer is not None:
            self.diarizer.close()

    def __enter__(self) -> ProviderRegistry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _provider(self, name: str) -> Provider:
        with self._lock:
            if name not in self._opened:
                if self._closed:
                    raise EngineLost("The engines have been shut down", provider=name)
                kind = self.catalog.provider_kind(name)
                config = {"name": name, **self.catalog.providers.get(name, {})}
                self._opened[name] = providers.load(kind, config, self._engines)
            return self._opened[name]
