"""Whether each part of an installation answers, and what it says of itself: for its operator alone."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from infra.metrics import ALIVE_SECONDS
from infra.wiring import Services
from pipeline.errors import StenopoolError


def status_of(role: str, services: Services | None) -> dict[str, Any]:
    """Of a process with that role; without services only what it is."""
    return {
        "role": role,
        "version": version("stenopool"),
        "parts": {} if services is None else parts_of(services),
        "embedded_models": {} if services is None else _embedded_models(services),
        "engine_troubles": {} if services is None else services.registry.troubles,
    }


def parts_of(services: Services) -> dict[str, dict[str, Any]]:
    """By name: `ok`, and what it tells; of one that does not answer `code` and `message`."""
    checks: dict[str, Callable[[], Any]] = {
        "database": services.database.check,
        "storage": services.storage.check,
        "broker": services.queue.check,
        "work": lambda: {"waits_for": services.jobs.away(), "no_worker": services.jobs.unserved(ALIVE_SECONDS)},
    }
    return {name: _checked(check) for name, check in checks.items()}


def _embedded_models(services: Services) -> dict[str, list[str]]:
    """By task, who stands in for models without a route of their own, best first."""
    return {task: [route.model for route in routes] for task, routes in services.catalog.embedded.items()}


def _checked(check: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"ok": True, **(check() or {})}
    except StenopoolError as error:
        return {"ok": False, "code": error.code, "message": error.message}
