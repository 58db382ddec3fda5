"""`stenopool worker`: this process becomes one worker role."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cli.health_check import check_alive
from cli.roles import GRACE, GRACE_SECONDS, METRICS, become, listens

app = typer.Typer(add_completion=False)


class Role(StrEnum):
    """What a worker is good for."""

    CPU = "cpu"
    IO = "io"


@app.command()
def worker(
    role: Annotated[
        Role, typer.Option(help="cpu: decode, cut, local engines, stitch. io: remote providers, webhooks, URLs.")
    ],
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Processes of cpu, threads of io.", show_default="from the settings")
    ] = None,
    grace: Annotated[int, typer.Option(min=0, max=3600, help=GRACE)] = GRACE_SECONDS,
    metrics: Annotated[str | None, typer.Option(metavar="HOST:PORT", help=METRICS)] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Do not run; tell whether one lives on this host: exit code 0 or 5.")
    ] = False,
) -> None:
    """Run one worker role alone. Stop it with SIGTERM: what it cannot finish in time goes back to the queue."""
    if check:
        check_alive(role.value)
        return
    at_once = ["--concurrency", str(concurrency)] if concurrency else []
    become("workers", role.value, *at_once, "--grace", str(grace), *listens(metrics))
