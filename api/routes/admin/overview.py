"""/admin/overview: what the installation is doing at this moment."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter

from api.access.admin_key import ADMIN
from api.dependencies import AppContext, Context
from infra.jobs.queue.queue_load import RoleBacklog
from infra.jobs.queue.queue_position import ARCHIVE
from infra.metrics import ALIVE_SECONDS
from infra.monitoring.parts import parts_of
from infra.monitoring.server_checks import server_checks
from infra.requests.job_object import epoch

router = APIRouter(prefix=ADMIN, tags=["administration"])


@router.get("/overview", summary="What the installation is doing")
async def overview(context: Context) -> dict[str, Any]:
    """The queue by lane in seconds of sound, jobs by state, workers and what each does, providers with what is away of them,
    whether database, storage and broker answer, and what `stenopool doctor` would say that a running server knows."""
    return await context.query(partial(_overview, context))


def _overview(context: AppContext) -> dict[str, Any]:
    services = context.services
    counts = services.jobs.counts()
    return {
        "object": "overview",
        "version": version("stenopool"),
        "parts": parts_of(services),
        "queue": [_lane(backlog) for backlog in services.jobs.backlogs()],
        "oldest_queued_seconds": counts["oldest_queued_seconds"],
        "jobs": counts["jobs"],
        "workers": _workers(context),
        "providers": _providers(context),
        "checks": [check._asdict() for check in server_checks(services)],
    }


def _lane(backlog: RoleBacklog) -> dict[str, Any]:
    seconds = backlog.waiting_ms / backlog.ms_per_second if backlog.ms_per_second else None
    return {
        "lane": f"{backlog.role} {ARCHIVE}" if backlog.is_archive else backlog.role,
        "pieces": backlog.pieces,
        "audio_seconds": round(backlog.waiting_ms / 1000, 1),
        "seconds_to_begin": None if seconds is None else round(seconds, 1),
    }


def _workers(context: AppContext) -> list[dict[str, Any]]:
    busy = defaultdict[str, list[dict[str, Any]]](list)
    for worker, job_id, chunk in context.services.operator_queries.at_work():
        busy[worker].append({"job_id": job_id, "chunk": None if chunk < 0 else chunk})
    return [
        {
            "id": worker.id,
            "role": worker.role,
            "host": worker.host,
            "pid": worker.pid,
            "started_at": epoch(worker.started_at),
            "seen_at": epoch(worker.seen_at),
            "busy_with": busy.get(worker.id, []),
            "sandbox": (worker.facts or {}).get("sandbox"),
        }
        for worker in context.services.workers.alive(ALIVE_SECONDS)
    ]


def _providers(context: AppContext) -> list[dict[str, Any]]:
    """Everybody who serves a model; `away_seconds` is how long work has waited for him, null where none does."""
    catalog, away = context.services.catalog, context.services.jobs.away()
    routes = [
        route for model in catalog.models.values() for task in model.tasks for route in catalog.served(model.id, task)
    ]
    return [
        {
            "name": name,
            "models": sum(1 for route in routes if route.provider == name),
            "away_seconds": max((seconds for place, seconds in away.items() if f" {name}/" in place), default=None),
        }
        for name in sorted({route.provider for route in routes})
    ]
