"""`stenopool api`: this process becomes the API."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.roles import GRACE, GRACE_SECONDS, METRICS, become, listens

app = typer.Typer(add_completion=False)


@app.command()
def api(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    grace: Annotated[int, typer.Option(min=0, max=3600, help=GRACE)] = GRACE_SECONDS,
    metrics: Annotated[str | None, typer.Option(metavar="HOST:PORT", help=METRICS)] = None,
) -> None:
    """Run the API alone. It needs a broker: STENOPOOL_REDIS_URL, or a `stenopool up` over the same STENOPOOL_HOME."""
    become("api", "--host", host, "--port", str(port), "--grace", str(grace), *listens(metrics))
