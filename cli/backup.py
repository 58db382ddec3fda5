"""`stenopool backup`: the database of the embedded default in one file, while everything runs."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.environment import named_database, settings
from cli.output import remark

app = typer.Typer(add_completion=False)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A new file; a folder gets one named by the day and time.")],
) -> None:
    """Copy the database as it is at this moment, while everything runs. Copy the storage folder after it, and keep `keys/` apart.

    With PostgreSQL use pg_dump; see docs/operations.md.
    """
    chosen = settings()
    path = file / f"stenopool-{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d-%H%M%S}.db" if file.is_dir() else file
    with named_database(chosen, migrate=False) as database:
        database.copy_to(path)
    remark(f"{path}: {path.stat().st_size} bytes; now copy the storage, {chosen.storage}")
