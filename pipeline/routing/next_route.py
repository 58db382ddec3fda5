"""The routes of a model, one after the other, until somebody answers.

A route that fails is followed by the next one. One whose model is gone has not failed: it is remembered (`GoneRoutes`), and where
all of them are gone those are asked that stand in for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from pipeline.catalog.catalog import Catalog
from pipeline.catalog.gone_routes import GoneRoutes
from pipeline.catalog.model import Route
from pipeline.errors import (
    ModelGone,
    ProviderError,
    RoutesExhausted,
    RoutesRefused,
    StenopoolError,
    UnsupportedValue,
)
from pipeline.measurement.process_counters import provider_call
from pipeline.options import SpeechOptions, Task
from pipeline.resilience.fallback import fallback_available

Answer = TypeVar("Answer")


def first_there(
    gone: GoneRoutes, task: Task, routes: Callable[[], Sequence[Route]], ask: Callable[[Route], Answer]
) -> Answer:
    """The answer of the `routes` that there are; once all are gone, of those that there are then. Raises as `first_that_can`,
    and what `routes` raises."""
    while True:
        lost, now = list[Route](), routes()

        def noting(route: Route, lost: list[Route] = lost) -> Answer:
            try:
                with provider_call(route.provider):
                    return ask(route)
            except ModelGone:
                gone.note(route, task)
                lost.append(route)
                raise

        try:
            return first_that_can(now, noting)
        except (ModelGone, RoutesRefused):
            if len(lost) < len(now):
                raise


def first_that_speaks(
    options: SpeechOptions, catalog: Catalog, ask: Callable[[Route, SpeechOptions], Answer]
) -> Answer:
    """The first route's speech. Who does not know a voice of the model's speaks with the nearest one. Raises as `first_there`."""
    nearest = catalog.nearest_voice(options.model, options.voice)

    def voiced(route: Route) -> Answer:
        try:
            return ask(route, options)
        except UnsupportedValue as error:
            if error.param != "voice" or nearest in (None, options.voice):
                raise
        return ask(route, options.model_copy(update={"voice": nearest}))

    return first_there(catalog.gone, "speech", lambda: catalog.routes(options.model, "speech"), voiced)


def first_that_can(routes: Sequence[Route], ask: Callable[[Route], Answer]) -> Answer:
    """The first route's answer that is one. One failure is raised as it is; several as RoutesExhausted, naming all.

    Whose model is gone has not failed: it counts only where nobody else was asked.
    """
    failures: list[tuple[Route, StenopoolError]] = []
    for route in routes:
        try:
            with fallback_available(route is not routes[-1]):
                return ask(route)
        except (ProviderError, UnsupportedValue) as error:
            failures.append((route, error))
    failures = [failed for failed in failures if not isinstance(failed[1], ModelGone)] or failures
    if len(failures) == 1 or all(isinstance(failed, UnsupportedValue) for _, failed in failures):
        raise failures[0][1]
    tried = [{"provider": route.provider, "model": route.model, "code": failed.code} for route, failed in failures]
    kind = RoutesExhausted if any(failed.retryable for _, failed in failures) else RoutesRefused
    waits = [failed.details["retry_after"] for _, failed in failures if failed.details.get("retry_after") is not None]
    raise kind(tried=tried, **({"retry_after": min(waits)} if waits else {})) from failures[-1][1]
