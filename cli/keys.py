"""`stenopool keys`: create, list and revoke API keys, directly in the database."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import typer

from cli.environment import settings
from cli.screen import print_json, print_table, remark
from infra.accounts import Accounts
from infra.database.session import Database
from infra.database.tables import ApiKey

app = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON value on stdout, for scripts.")]


class Tier(StrEnum):
    """The tiers an account can have."""

    FREE = "free"
    PRO = "pro"
    ENTERPRISE = "enterprise"


@contextlib.contextmanager
def open_accounts() -> Iterator[Accounts]:
    """The accounts of the configured database, its schema up to date. Raises DatabaseUnavailable."""
    chosen = settings()
    chosen.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.closing(Database(chosen.database)) as database:
        database.migrate()
        yield Accounts(database, chosen.peppers)


@app.command()
def create(
    tier: Annotated[Tier | None, typer.Option(help="Of the new account.", show_default="free")] = None,
    name: Annotated[str, typer.Option(help="What you call it: the key, and the account when one is made.")] = "",
    account: Annotated[
        str | None, typer.Option(help="Add the key to this account instead of making a new one.")
    ] = None,
    balance: Annotated[float | None, typer.Option(help="Taken, but not recorded: there is no ledger yet.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, for a new account unless --account names one. The key is shown this once.

    Alone on stdout, so that `export OPENAI_API_KEY=$(stenopool keys create)` works.
    """
    if account is not None and tier is not None:
        raise typer.BadParameter("an account has its tier already; leave out --tier or --account", param_hint="--tier")
    if balance is not None:
        remark("note: this version keeps no ledger; --balance is not recorded")
    with open_accounts() as accounts:
        owner = account or accounts.create_account(name or "default", (tier or Tier.FREE).value).id
        secret, key = accounts.create_key(owner, name)
    if as_json:
        print_json({"key": secret, "key_id": key.id, "account_id": owner})
        return
    typer.echo(secret)
    remark(f"key {key.id} of account {owner}; it is not shown again")


@app.command("list")
def list_keys(
    account: Annotated[str | None, typer.Option(help="Only of this account.")] = None, as_json: AsJson = False
) -> None:
    """List the keys, without their secrets."""
    with open_accounts() as accounts:
        owners = [owner for owner in accounts.list_accounts() if account in (None, owner.id)]
        found = [(owner, key) for owner in owners for key in accounts.list_keys(owner.id)]
    if as_json:
        print_json([_as_dict(key) | {"account_name": owner.name, "tier": owner.tier} for owner, key in found])
        return
    print_table(
        ("key id", "name", "account", "account name", "tier", "created", "last used", "state"),
        (
            (
                key.id,
                key.name,
                owner.id,
                owner.name,
                owner.tier,
                day(key.created_at),
                day(key.last_used_at),
                _state(key),
            )
            for owner, key in found
        ),
    )


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="As `keys list` shows it.")], as_json: AsJson = False) -> None:
    """Make a key worthless, within 5 seconds everywhere."""
    with open_accounts() as accounts:
        key = accounts.revoke_key(key_id)
    if as_json:
        print_json(_as_dict(key))
    else:
        remark(f"key {key.id} is revoked")


def day(seconds: float | None) -> str:
    """Epoch seconds as local time, to the second; nothing for None."""
    if seconds is None:
        return ""
    return datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC).astimezone().isoformat(" ", "seconds")[:19]


def _as_dict(key: ApiKey) -> dict[str, object]:
    return {
        "key_id": key.id,
        "account_id": key.account_id,
        "name": key.name,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }


def _state(key: ApiKey) -> str:
    return "revoked" if key.revoked_at is not None else "active"
