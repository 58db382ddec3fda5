"""`stenopool audit`: what administrators did, over HTTP or on the command line, directly from the database."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from cli.operator_database import AsJson, moment, open_operator_database
from cli.output import print_json, print_table, remark
from infra.audit.audit_log import ACTS
from infra.database.tables.accounts import AuditEntry
from pipeline.errors import InvalidRequest

app = typer.Typer(add_completion=False)


@app.command()
def audit(
    *,
    account: Annotated[str | None, typer.Option(help="Only of this account.")] = None,
    act: Annotated[str | None, typer.Option(help=f"Only {', '.join(ACTS)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show what administrators did: who, from where, what and when, the newest first."""
    if act is not None and act not in ACTS:
        raise InvalidRequest(f"There is no act {act!r}. Acts: {', '.join(ACTS)}.", param="--act")
    with open_operator_database() as operator:
        found, more = operator.audit.entries(limit=limit, account_id=account, act=act)
    if as_json:
        print_json([_as_dict(entry) for entry in found])
        return
    columns = ("id", "at", "who", "from", "act", "subject", "account", "details")
    print_table(columns, (_line(entry) for entry in found))
    if more:
        remark(f"there are more; --limit shows more than {limit}")


def _as_dict(entry: AuditEntry) -> dict[str, Any]:
    return {**entry.model_dump(exclude={"at"}), "created_at": round(entry.at, 3)}


def _line(entry: AuditEntry) -> tuple[object, ...]:
    details = json.dumps(entry.details, ensure_ascii=False) if entry.details else ""
    return (entry.id, moment(entry.at), entry.who, entry.source, entry.act, entry.subject, entry.account_id, details)
