"""Whether a role of this host has lately said that it lives: for container health checks."""

from __future__ import annotations

import contextlib
import socket

import typer

from cli.environment import settings
from cli.exits import AWAY
from cli.output import remark
from infra.database.session import Database, has_file
from infra.settings import Settings
from infra.worker_heartbeats import WorkerStore, signs_of_life
from pipeline.errors import DatabaseUnavailable

SILENCE_SECONDS = 30.0  # several beats; a busy machine may miss one


def check_alive(role: str) -> None:
    """Return when one lives, else leave with exit code 5. While the database is away the sign in the home is enough: whoever
    kills what waits for a database makes an outage longer."""
    host, chosen = socket.gethostname(), settings()
    try:
        found, by = _in_database(chosen, role, host), ""
    except DatabaseUnavailable:
        found, by = signs_of_life(chosen.home, role, SILENCE_SECONDS), ", by its sign in the home: the database is away"
    if not found:
        remark(f"no {role} on {host} has said within {SILENCE_SECONDS:.0f} s that it lives{by}")
        raise typer.Exit(AWAY)
    remark(f"{found} {role} on {host} alive{by}")


def _in_database(chosen: Settings, role: str, host: str) -> int:
    """Raises DatabaseUnavailable."""
    if not has_file(chosen.database):  # and whoever asks makes none
        return 0
    with contextlib.closing(Database(chosen.database)) as database:
        alive = WorkerStore(database).alive(SILENCE_SECONDS)
    return sum(worker.role == role and worker.host == host for worker in alive)
