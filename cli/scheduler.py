"""`stenopool scheduler`: this process becomes the scheduler."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.health_check import check_alive
from cli.roles import GRACE, GRACE_SECONDS, METRICS, become, listens

app = typer.Typer(add_completion=False)


@app.command()
def scheduler(
    grace: Annotated[int, typer.Option(min=0, max=3600, help=GRACE)] = GRACE_SECONDS,
    metrics: Annotated[str | None, typer.Option(metavar="HOST:PORT", help=METRICS)] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Do not run; tell whether one lives on this host: exit code 0 or 5.")
    ] = False,
) -> None:
    """Run the scheduler alone: the sweep that keeps promises when processes die. One is enough, several do no harm."""
    if check:
        check_alive("scheduler")
        return
    become("workers", "scheduler", "--grace", str(grace), *listens(metrics))
