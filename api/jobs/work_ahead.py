"""How long an engine of this deployment would work for a job."""

from __future__ import annotations

from typing import Any

from infra.metrics import ALIVE_SECONDS
from infra.wiring import Services
from pipeline import providers
from pipeline.catalog.model import Route
from pipeline.speakers.diarizer import NAME, PACE


def work_ahead(services: Services, route: Route, audio_ms: int, *, speakers: bool = False) -> dict[str, Any] | None:
    """Seconds of one engine's work for so much sound, by the route that is asked first; waiting is not counted.

    `speakers`: they are told apart here, besides.
    `measured`: by what it has taken here lately, else as it usually is. None where nobody knows.
    """
    seen = services.workers.paces(ALIVE_SECONDS) | services.registry.paces.known()
    pace = seen.get(route.model, providers.pace(services.catalog.provider_kind(route.provider), route.model))
    if pace is None:
        return None
    if speakers and services.registry.diarizer is not None:
        pace += seen.get(NAME, PACE)
    return {"model": route.model, "seconds": round(pace * audio_ms / 1000, 1), "measured": route.model in seen}
