"""The `stenopool` command: a menu of sub-commands, one file each, opened when one is chosen.

To add a command, write `cli/<name>.py` with a `typer.Typer(add_completion=False)` called `app`, and give it a line in COMMANDS.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from cli.exits import exit_code
from cli.output import complain
from infra.memory_tuning import loading
from pipeline.errors import StenopoolError

COMMANDS = {
    "up": "Start everything here: API, workers, scheduler and, unless configured, a private Redis.",
    "demo": "Try it all in one go, in a folder that is removed again.",
    "transcribe": "Recordings to text, subtitles or JSON, on this machine and without any service.",
    "bulk": "Whole archives, from a folder or a bucket: resumable, and nothing paid twice.",
    "speak": "Text to sound, on this machine and without any service.",
    "console": "Print a link that signs in at the console, the pages of a running server.",
    "keys": "Create, list, rotate and revoke API keys.",
    "accounts": "Make accounts, top up their balances, look into their ledger.",
    "jobs": "Submit, list, show, cancel and retry jobs.",
    "webhooks": "List the webhook endpoints of all accounts, and which of them fail.",
    "listen": "The account's events on your own machine, as they happen and as webhooks.",
    "models": "List the models this installation offers, and install the weights of local engines.",
    "prices": "Show what the models cost, and set the audio ratios.",
    "usage": "Add up what was used and what it cost.",
    "backup": "Copy the embedded database into a file, while everything runs.",
    "schema": "Tell at which step the database is, and go back to an older one.",
    "storage": "Look through the object store for what nothing leads to.",
    "audit": "Show what administrators did, and when.",
    "doctor": "Check that everything Stenopool needs is there and works.",
    "api": "Run the API alone, for production.",
    "worker": "Run one worker role alone, for production.",
    "scheduler": "Run the scheduler alone, for production.",
}


class Menu(TyperGroup):
    """Lists the commands without importing them: a command's libraries are loaded only when it is the one to run."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, placeholder, rest = super().resolve_command(ctx, args)
        if name is None:
            return name, placeholder, rest
        # A plug-in loader, for speed: `stenopool --help` takes 0.2 s this way and 2 s with every command imported.
        with loading():
            command = importlib.import_module(f"cli.{name}")
        return name, typer.main.get_command(command.app), rest


app = typer.Typer(
    cls=Menu,
    name="stenopool",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _placeholder() -> None:
    raise AssertionError("the menu opens the real command before it runs")


for _name, _summary in COMMANDS.items():
    app.command(_name, help=_summary)(_placeholder)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stenopool {importlib.metadata.version('stenopool')}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Self-hosted speech jobs behind the OpenAI audio API."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and leave with its exit code (docs/cli.md); an error of ours is one line, never a traceback."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="stenopool")
    except StenopoolError as error:
        complain(error)
        sys.exit(exit_code(error))
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        sys.exit(0)
    raise AssertionError("unreachable: typer leaves by SystemExit")
