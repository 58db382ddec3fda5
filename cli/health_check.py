"""Whether a role of this host has lately said that it lives: for container health checks."""

from __future__ import annotations

import contextlib
import socket

import typer

from cli.environment import settings
from cli.exits import AWAY
from cli.output import remark
from infra.database.session import Database
from infra.worker_heartbeats import WorkerStore

SILENCE_SECONDS = 30.0  # several beats; a busy machine may miss one


def check_alive(role: str) -> None:
    """Return when one lives, else leave with exit code 5. Raises DatabaseUnavailable."""
    with contextlib.closing(Database(settings().database)) as database:
        alive = WorkerStore(database).alive(SILENCE_SECONDS)
    host = socket.gethostname()
    mine = [worker for worker in alive if worker.role == role and worker.host == host]
    if not mine:
        remark(f"no {role} on {host} has said within {SILENCE_SECONDS:.0f} s that it lives")
        raise typer.Exit(AWAY)
    remark(f"{len(mine)} {role} on {host} alive")
