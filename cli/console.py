"""`stenopool console`: links that sign in at the console, made directly in the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.environment import settings
from cli.operator_database import open_operator_database
from cli.output import remark
from infra.console.sign_in_links import SignInLinks, local_account
from infra.settings import Settings

ADDRESS = "address"  # the file in the home that says where `stenopool up` listens
LOCAL = "http://127.0.0.1:8000"

app = typer.Typer(help="Sign in at the console.", no_args_is_help=True, add_completion=False)


@app.callback()
def _only_subcommands() -> None:
    """Sign in at the console."""


@app.command()
def link(
    *,
    account: Annotated[
        str | None, typer.Option(help="Whose console it opens.", show_default="this machine's own, `local`")
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            envvar="STENOPOOL_BASE_URL",
            help="Of a running installation.",
            show_default="STENOPOOL_PUBLIC_URL, else where `stenopool up` listens",
        ),
    ] = None,
) -> None:
    """Print a link that signs in: good once, and for 15 minutes.

    Alone on stdout. Whoever opens it first is signed in as that account: give it to nobody else.
    """
    with open_operator_database() as operator:
        owner = account or local_account(operator.database, operator.accounts)
        made = SignInLinks(operator.database, operator.accounts).make(owner, base_url or _address(settings()))
    typer.echo(made)
    remark(f"signs in as account {owner}, once and within 15 minutes")


def note_address(home: Path, url: str) -> None:
    """For `stenopool console link`: where the server of this home listens."""
    (home / ADDRESS).write_text(f"{url}\n", "utf-8")


def _address(chosen: Settings) -> str:
    path = chosen.home / ADDRESS
    if chosen.public_url:
        return chosen.public_url
    return path.read_text("utf-8").strip() if path.is_file() else LOCAL
