"""`stenopool schema`: at which step the database is, and the way back to an older one before an older version is installed."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.environment import named_database, settings
from cli.operator_database import AsJson
from cli.output import print_json, remark

app = typer.Typer(add_completion=False)


@app.command()
def schema(
    *,
    to: Annotated[str | None, typer.Option(metavar="STEP", help="Go back to this step: 0025.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell at which step the database is and which one this version wants; with --to, go back to an older one.

    Stop every process before, and install the older version before you start them again. What only newer steps know is lost.
    """
    with named_database(settings(), migrate=False) as database:
        if to is not None:
            database.go_back(to)
        facts = database.check()
    if as_json:
        print_json({"step": facts["migration"], "expected": facts["expected"]})
        return
    remark(f"the database is at step {facts['migration'] or 'none'}; this version wants {facts['expected']}")
