"""`stenopool usage`: what was used and what it cost, of all accounts or of one, directly in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from cli.operator_database import AsCsv, AsJson, day, open_operator_database
from cli.output import print_json, print_table
from infra.money.spreadsheet import csv_lines
from infra.money.usage import Group, Sums, Wanted
from pipeline.errors import InvalidRequest
from pipeline.money import usd, usd_text

app = typer.Typer(add_completion=False)
FIGURES = ("requests", "audio_seconds", "characters", "text_in", "audio_in", "text_out", "audio_out", "cost_usd")
EVERYTHING = 1_000_000  # lines


class By(StrEnum):
    """What each line of the report is about."""

    MODEL = "model"
    KEY = "key"
    DAY = "day"
    ACCOUNT = "account"


@app.command()
def usage(
    *,
    by: Annotated[By, typer.Option(help="What each line is about.")] = By.DAY,
    since: Annotated[str | None, typer.Option("--from", metavar="DAY", help="From this day (UTC), 2026-11-23.")] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="To this day (UTC), itself included.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Only of this account.")] = None,
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """Add up the receipts: requests, seconds of sound, characters, tokens and cost, by day, model, key or account."""
    wanted = Wanted(
        account_id=account, model=model, since=day(since, option="--from"), until=day(until, option="--to")
    )  # fmt: skip
    if wanted.since and wanted.until and wanted.since > wanted.until:
        raise InvalidRequest(f"--from {since} is after --to {until}.", param="--from")
    with open_operator_database() as operator:
        if account is not None:
            operator.accounts.account(account)
        groups, _ = operator.usage.grouped(wanted, by.value, limit=EVERYTHING)
        total = operator.usage.total(wanted)
        names = operator.operator_queries.account_names([group.id for group in groups]) if by is By.ACCOUNT else None
    _print(by, groups, total, names, as_csv=as_csv, as_json=as_json)


def _print(
    by: By, groups: Sequence[Group], total: Sums, names: Mapping[str, str] | None, *, as_csv: bool, as_json: bool
) -> None:
    """`names` by account, where each line is about one."""
    columns = (by.value, *(() if names is None else ("name",)))
    ids = [(group.id, *(() if names is None else (names.get(group.id, ""),))) for group in groups]
    rows = [(*named, *_figures(group.sums)) for named, group in zip(ids, groups, strict=True)]
    if as_csv:
        typer.echo(csv_lines([(*columns, *FIGURES), *rows]), nl=False)
    elif as_json:
        lines = [
            {**dict(zip(columns, named, strict=True)), **_as_dict(group.sums)}
            for named, group in zip(ids, groups, strict=True)
        ]
        print_json({"by": by.value, "usage": lines, "total": _as_dict(total)})
    else:
        heads = [column.replace("_", " ") for column in (*columns, *FIGURES)]
        print_table(heads, [*rows, ("total", *("" for _ in columns[1:]), *_figures(total))])


def _figures(sums: Sums) -> Sequence[object]:
    tokens = (sums.text_in, sums.audio_in, sums.text_out, sums.audio_out)
    return (sums.requests, f"{sums.audio_ms / 1000:.3f}", sums.characters, *tokens, usd_text(sums.cost))


def _as_dict(sums: Sums) -> dict[str, Any]:
    numbers = dict(zip(FIGURES, _figures(sums), strict=True))
    return numbers | {"audio_seconds": sums.audio_ms / 1000, "cost_usd": usd(sums.cost)}
