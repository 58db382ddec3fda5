"""How long an engine of this deployment would work for a job."""

from __future__ import annotations

from typing import Any

from infra.metrics import ALIVE_SECONDS
from infra.wiring import Services
from pipeline import providers
from pipeline.catalog.model import Route
from pipeline.speakers.diarizer import NAME, PACE


def work_ahead(services: Services, route: Route, audio_ms: int, *, speakers: bool = False) -> dict[str, Any] | None:
    """Seconds of work of this deployment's engines for so much sound, by the route that is asked first; waiting is not counted.

    `speakers`: they are told apart here, besides; where somebody else hears, that is all the work there is.
    `measured`: by what it has taken here lately, else as it usually is. None where nobody knows.
    """
    seen = services.workers.paces(ALIVE_SECONDS) | services.registry.paces.known()
    usual = {route.model: providers.pace(services.catalog.provider_kind(route.provider), route.model)}
    if speakers and services.registry.diarizer is not None:
        usual[NAME] = PACE
    paces = {name: pace for name in usual if (pace := seen.get(name, usual[name])) is not None}
    if not paces:
        return None
    return {
        "model": next(iter(paces)),
        "seconds": round(sum(paces.values()) * audio_ms / 1000, 1),
        "measured": all(name in seen for name in paces),
    }
