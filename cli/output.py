"""How commands talk: results on stdout, everything else on stderr, JSON where a script asks for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.errors import StenopoolError

MOST_REMARKS = 20  # of a kind about one recording; the rest is in its JSON


def stderr() -> Console:
    """For progress and remarks; plain text when it is not a terminal."""
    return Console(stderr=True, highlight=False)


def stdout() -> Console:
    """For tables that people read. Wide in a pipe, so that no id is cut."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def remark(text: str) -> None:
    """One line on stderr."""
    typer.echo(text, err=True)


def complain(error: StenopoolError) -> None:
    """One clear line on stderr: what was wrong, and its code."""
    remark(f"stenopool: {' '.join(error.message.split())} [{error.as_dict()['code']}]")


def remark_on_omissions(name: str, gaps: Sequence[Mapping[str, Any]], warnings: Sequence[Mapping[str, Any]]) -> None:
    """What was not heard of a recording, and what else its owner should know, as the API tells it: a line each on stderr."""
    for kind, text, found in (("not heard", "reason", gaps), ("warning", "message", warnings)):
        for one in found[:MOST_REMARKS]:
            where = f"{_clock(one['start'])} to {_clock(one['end'])}"
            remark(f"{name}: {kind}, {where}: {' '.join(str(one[text]).split())} [{one['code']}]")
        if len(found) > MOST_REMARKS:
            remark(f"{name}: {kind}, {len(found) - MOST_REMARKS} more")


def _clock(seconds: float) -> str:
    whole, tenths = divmod(round(10 * seconds), 10)
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02d}.{tenths}"


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """A plain table on stdout; markup in values is shown, not obeyed."""
    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    stdout().print(table)
