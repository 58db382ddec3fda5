"""`stenopool webhooks`: where accounts want their events, and which of these places fail, directly in the database."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.operator_database import AsJson, moment, open_operator_database
from cli.output import print_json, print_table, remark

app = typer.Typer(help="List the webhook endpoints of all accounts.", no_args_is_help=True, add_completion=False)


@app.callback()
def _menu() -> None:
    """List the webhook endpoints of all accounts."""


@app.command("list")
def list_endpoints(
    *,
    failing: Annotated[bool, typer.Option("--failing", help="Only those to which something was sent in vain.")] = False,
    account: Annotated[str | None, typer.Option(help="Only of this account.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List them: whose they are, since when they fail, by what, and how many messages wait for them."""
    with open_operator_database() as operator:
        if account is not None:
            operator.accounts.account(account)
        found, more = operator.all_endpoints.health(limit=limit, account_id=account, failing=failing)
    if as_json:
        print_json([one.as_dict() for one in found])
        return
    columns = ("endpoint", "name", "account", "account name", "status", "failing since", "last error", "waiting", "url")
    rows = (
        (
            *(one.endpoint.id, one.endpoint.name, one.endpoint.account_id, one.account_name, one.endpoint.status),
            *(moment(one.failing_since), one.error and one.error["message"], one.waiting, one.endpoint.url),
        )
        for one in found
    )
    print_table(columns, rows)
    if more:
        remark(f"there are more; --limit shows more than {limit}")
