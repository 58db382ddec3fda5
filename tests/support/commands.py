"""Every command of `stenopool`, found by walking its menu."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from cli import main


def every_command() -> dict[str, Any]:
    """By the words that call it: 'keys', 'keys create' and so on; '' is `stenopool` itself."""
    return dict(_below("", typer.main.get_command(main.app)))


def options(command: Any) -> set[str]:
    """The long options it takes, and the negative spellings of those that have one; `--help`, which all have, is left out."""
    found = (word for parameter in command.params for word in (*parameter.opts, *parameter.secondary_opts))
    return {word for word in found if word.startswith("--")} - {"--help"}


def _below(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield words, command
    for name in getattr(command, "commands", ()):
        _, inner, _ = command.resolve_command(typer.Context(command), [name])
        yield from _below(f"{words} {name}".strip(), inner)
