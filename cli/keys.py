"""`stenopool keys`: create, list, rotate and revoke API keys, directly in the database."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated, Any

import typer

from cli.operator_database import AsJson, moment, open_operator_database
from cli.output import print_json, print_table, remark
from infra.database.tables.accounts import ApiKey
from infra.keys.accounts import OVERLAP_SECONDS
from infra.keys.scopes import SCOPES
from pipeline.errors import InvalidRequest
from pipeline.money import micro_or_zero, usd_text

app = typer.Typer(help="Create, list, rotate and revoke API keys.", no_args_is_help=True, add_completion=False)
DAY = 86_400.0
TIMES = ("_at", "_until")  # how the names of epoch seconds end
KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="As `keys list` shows it.")]


class Tier(StrEnum):
    """The tiers an account can have."""

    FREE = "free"
    PRO = "pro"
    ENTERPRISE = "enterprise"


@app.command()
def create(
    *,
    tier: Annotated[Tier | None, typer.Option(help="Of the new account.", show_default="free")] = None,
    name: Annotated[str, typer.Option(help="What you call it: the key, and the account when one is made.")] = "",
    account: Annotated[
        str | None, typer.Option(help="Add the key to this account instead of making a new one.")
    ] = None,
    balance: Annotated[
        str | None, typer.Option(metavar="USD", help="Top up the account's balance by so much: 10 or 2.50.")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help=f"May do only this, of {', '.join(SCOPES)}; all unless given.")
    ] = None,
    expires_in_days: Annotated[float | None, typer.Option(min=0, max=36_500, help="Worthless after so long.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, for a new account unless --account names one. The key is shown this once.

    Alone on stdout, so that `export OPENAI_API_KEY=$(stenopool keys create)` works.
    """
    if account is not None and tier is not None:
        raise typer.BadParameter("an account has its tier already; leave out --tier or --account", param_hint="--tier")
    micro = micro_or_zero(balance, param="--balance")
    _check_scopes(scope)
    ends = None if expires_in_days is None else time.time() + expires_in_days * DAY
    with open_operator_database(make=account is None) as operator:
        owner = account or operator.accounts.create_account(name or "default", (tier or Tier.FREE).value).id
        secret, key = operator.accounts.create_key(owner, name, ends, scopes=scope)
        if micro:
            operator.adjustments.book("top_up", owner, micro, note=f"with key {key.id}")
        left = operator.ledger.balance(owner)
    _show_new(secret, key, f"its account {owner} has {usd_text(left)} USD", as_json=as_json)


@app.command("list")
def list_keys(
    *, account: Annotated[str | None, typer.Option(help="Only of this account.")] = None, as_json: AsJson = False
) -> None:
    """List the keys, without their secrets."""
    with open_operator_database() as operator:
        owners = [owner for owner in operator.accounts.list_accounts() if account in (None, owner.id)]
        found = [(owner, key) for owner in owners for key in operator.accounts.list_keys(owner.id)]
    if as_json:
        print_json([_as_dict(key) | {"account_name": owner.name, "tier": owner.tier} for owner, key in found])
        return
    columns = ("key id", "name", "account", "account name", "tier", "created", "last used", "state", "scopes")
    print_table(
        columns, ((key.id, key.name, owner.id, owner.name, owner.tier, *_rest(key)) for owner, key in found)
    )  # fmt: skip


@app.command()
def rotate(
    key_id: KeyId,
    *,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=24 * 365, help="How long the old key works beside the new one.")
    ] = OVERLAP_SECONDS / 3600,
    as_json: AsJson = False,
) -> None:
    """Replace a key by a new one that may do the same. The new one is shown this once; the old one works on for a while."""
    with open_operator_database() as operator:
        secret, key = operator.accounts.rotate_key(key_id, overlap_hours * 3600)
    _show_new(secret, key, f"key {key_id} works for {overlap_hours:g} hours more", as_json=as_json)


@app.command()
def revoke(key_id: KeyId, *, as_json: AsJson = False) -> None:
    """Make a key worthless, within 5 seconds everywhere. Jobs that were made with it are cancelled."""
    with open_operator_database() as operator:
        key = operator.accounts.revoke_key(key_id)
        operator.jobs.stop_forbidden(key.account_id)
    if as_json:
        print_json(_as_dict(key))
    else:
        remark(f"key {key.id} is revoked")


@app.command()
def show(key_id: KeyId, *, as_json: AsJson = False) -> None:
    """Show everything about one key but its secret."""
    with open_operator_database() as operator:
        facts = _as_dict(operator.operator_queries.key(key_id))
    if as_json:
        print_json(facts)
        return
    print_table(("", ""), ((name, moment(value) if name.endswith(TIMES) else value) for name, value in facts.items()))


def _show_new(secret: str, key: ApiKey, remarks: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"key": secret, "key_id": key.id, "account_id": key.account_id})
        return
    typer.echo(secret)
    remark(f"key {key.id} of account {key.account_id}; it is not shown again; {remarks}")


def _check_scopes(scopes: list[str] | None) -> None:
    """Before an account is made for nothing."""
    unknown = [scope for scope in scopes or () if scope not in SCOPES]
    if unknown:
        raise InvalidRequest(f"There is no scope {unknown[0]!r}. Scopes: {', '.join(SCOPES)}.", param="--scope")


def _as_dict(key: ApiKey) -> dict[str, Any]:
    return {
        "key_id": key.id,
        "account_id": key.account_id,
        "name": key.name,
        "scopes": key.scopes,
        "state": _state(key),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "replaced_by": key.replaced_by,
        "rotated_until": key.rotated_until,
    }


def _rest(key: ApiKey) -> tuple[object, ...]:
    scopes = "all" if key.scopes is None else " ".join(key.scopes)
    return (moment(key.created_at), moment(key.last_used_at), _state(key), scopes)


def _state(key: ApiKey) -> str:
    """By this machine's clock; what counts is the database's."""
    now = time.time()
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    if key.rotated_until is None:
        return "active"
    return "rotating" if key.rotated_until > now else "rotated"
