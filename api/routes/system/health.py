"""Whether the process lives, whether it can work, and what it has counted. Public: load balancers hold no key."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version

from fastapi import APIRouter, Response
from starlette.responses import JSONResponse

from api.dependencies import Context
from infra.metrics import MEDIA_TYPE

router = APIRouter(tags=["health"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> dict[str, str]:
    """Asks nobody else: a database that is away is no reason to restart this process."""
    return {"status": "ok"}


@router.get("/readyz", summary="Can it work?")
async def readyz(context: Context) -> Response:
    """Says only its status. 503 when the database or the storage is away; `degraded` with 200 when only the broker is: jobs are
    still taken, and begin when it is back. `stenopool doctor` tells more."""
    status = await context.readiness.status()
    if status == "unavailable":
        return JSONResponse({"status": status}, status_code=503, headers={"retry-after": "2"})
    return JSONResponse({"status": status})


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
