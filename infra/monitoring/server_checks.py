"""What `doctor` looks at, as far as a running server can tell it of itself without trying anything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from infra.encryption.key_file import HOW
from infra.metrics import ALIVE_SECONDS
from infra.wiring import Services

GIB = 1024**3
ROOMY, TIGHT = 5 * GIB, GIB // 2  # bytes free: below the first a warning, below the second broken
ISOLATED = "bubblewrap"


class ServerCheck(NamedTuple):
    """One thing looked at, and what to do where it is not ok."""

    name: str
    state: Literal["ok", "warning", "broken"]
    detail: str
    advice: str = ""


def server_checks(services: Services) -> Iterator[ServerCheck]:
    """Disk, encryption, sandbox, engines, models that end. Raises DatabaseUnavailable."""
    yield _disk(services)
    yield _encryption(services)
    yield _sandbox(services)
    yield _engines(services.registry.troubles)
    yield _shutdowns(services)


def _disk(services: Services) -> ServerCheck:
    free = shutil.disk_usage(services.settings.home).free
    detail = f"{free / GIB:.1f} GiB free where {services.settings.home} is"
    if free < TIGHT:
        return ServerCheck("home", "broken", detail, "Make room: uploads will be refused.")
    return ServerCheck("home", "ok" if free >= ROOMY else "warning", detail, "" if free >= ROOMY else "Make room soon.")


def _encryption(services: Services) -> ServerCheck:
    if services.secrets.seals:
        return ServerCheck("encryption", "ok", "secrets are sealed in the database")
    return ServerCheck("encryption", "warning", "secrets are written in plain text", HOW)


def _sandbox(services: Services) -> ServerCheck:
    told = {str((worker.facts or {}).get("sandbox", "")) for worker in services.workers.alive(ALIVE_SECONDS)} - {""}
    if told <= {ISOLATED}:
        return ServerCheck("sandbox", "ok", ", ".join(told) or "no worker has told yet")
    return ServerCheck(
        "sandbox", "warning", ", ".join(sorted(told)), f"With {ISOLATED} installed, ffmpeg is isolated too."
    )


def _engines(troubles: dict[str, Any]) -> ServerCheck:
    if not troubles:
        return ServerCheck("engines", "ok", "none of this machine has failed to load")
    told = "; ".join(f"{name}: {trouble}" for name, trouble in troubles.items())
    return ServerCheck(
        "engines", "warning", told, "Another one stands in. `stenopool models verify` tells about weights."
    )


def _shutdowns(services: Services) -> ServerCheck:
    ending = [f"{model.id}: {model.shutdown.told}" for model in services.catalog.ending() if model.shutdown]
    if not ending:
        return ServerCheck("shutdowns", "ok", "no model here is served by a vendor that has said when it ends")
    return ServerCheck(
        "shutdowns", "warning", f"their vendors end {'; '.join(ending)}", "Give them a route that stays."
    )
