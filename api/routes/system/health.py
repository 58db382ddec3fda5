"""Whether the process lives, whether it can work, and what it has counted. Public: load balancers hold no key."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Response
from starlette.responses import JSONResponse

from api.dependencies import AppContext, Context
from infra.metrics import MEDIA_TYPE
from pipeline.audio.ffmpeg.sandbox import sandbox_level
from pipeline.errors import StenopoolError

router = APIRouter(tags=["health"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> dict[str, str]:
    """Asks nobody else: a database that is away is no reason to restart this process."""
    return {"status": "ok"}


@router.get("/readyz", summary="Can it work?")
async def readyz(context: Context) -> Response:
    """Each part with its milliseconds. 503 when the database or the storage is away; `degraded` with 200 when only the
    broker is: jobs are still taken, and begin when it is back."""
    services = context.services
    database = await _probe(context, services.database.check)
    storage = await _probe(context, services.storage.check)
    broker = await _probe(context, services.queue.check)
    able = database["ok"] and storage["ok"]
    body = {
        "status": "ok" if able and broker["ok"] else "degraded" if able else "unavailable",
        "database": database,
        "storage": storage,
        "broker": broker,
        "sandbox": await context.query(sandbox_level),
        "version": version("stenopool"),
    }
    return JSONResponse(body, status_code=200 if able else 503, headers={} if able else {"retry-after": "2"})


async def _probe(context: AppContext, check: Callable[[], Any]) -> dict[str, Any]:
    began = time.monotonic()
    try:
        facts = await context.query(check)
    except StenopoolError as error:
        return {"ok": False, "ms": _since(began), "error": error.code}
    return {"ok": True, "ms": _since(began), **(facts if isinstance(facts, dict) else {})}


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)


@router.get("/metrics", summary="Counters and timings, for Prometheus")
async def metrics(context: Context) -> Response:
    """The text exposition format."""
    services = context.services
    asked = (services.jobs, services.queue, services.webhooks, services.workers)
    content = await context.query(partial(services.metrics.render, *asked))
    return Response(content, media_type=MEDIA_TYPE)


@router.get("/version", summary="Which version runs here")
async def show_version() -> dict[str, str]:
    """The package's version."""
    return {"name": "stenopool", "version": version("stenopool")}
