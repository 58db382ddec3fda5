"""Whether the process lives and whether it can work, in a word. Public: load balancers hold no key. What it has counted and how its
parts are stands on a listener of its own (infra/monitoring)."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Response
from starlette.responses import JSONResponse

from api.dependencies import Context

NOT_READY = ("unavailable", "starting", "stopping")
router = APIRouter(tags=["health"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> dict[str, str]:
    """Asks nobody else: a database that is away is no reason to restart this process."""
    return {"status": "ok"}


@router.get("/readyz", summary="Can it work?")
async def readyz(context: Context) -> Response:
    """Says only its status. 503 when the database or the storage is away, until the engines of this machine are loaded, and while
    this process stops; `degraded` with 200 when only the broker or a worker is missing: jobs are taken, and begin when it is back;
    or when an engine cannot be loaded, and another one stands in. `doctor` and `--metrics` tell more."""
    status = "stopping" if context.shutting_down else await context.readiness.status()
    if status in NOT_READY:
        return JSONResponse({"status": status}, status_code=503, headers={"retry-after": "2"})
    return JSONResponse({"status": status})


@router.get("/version", summary="Which version runs here")
async def show_version() -> dict[str, str]:
    """The package's version."""
    return {"name": "stenopool", "version": version("stenopool")}
