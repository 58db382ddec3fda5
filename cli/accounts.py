"""`stenopool accounts`: who may use this installation, and their money, directly in the database."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cli import exits
from cli.environment import settings
from cli.operator_database import AsCsv, AsJson, OperatorDatabase, moment, open_operator_database
from cli.output import print_json, print_table, remark
from infra.database.tables.accounts import Account
from infra.database.tables.money import LedgerEntry
from infra.keys.accounts import STATUSES
from infra.keys.tiers import Limits, limits_of
from infra.money.adjustments import Kind
from infra.money.export import ledger_csv
from infra.money.ledger import SIGN
from infra.money.usage import Wanted
from infra.privacy.account_erasure import folder_of
from infra.storage import open_storage
from pipeline.errors import InvalidRequest
from pipeline.money import micro_of, micro_or_zero, ratio_of, usd, usd_text

HELP = "Make accounts, change them, top up their balances, look into their ledger."
app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False)
OWN_LIMIT = re.compile(r"none|[0-9]{1,15}")
NEGATIVE = {"ignore_unknown_options": True}  # -2.50 is an amount, not an option
PAGE = 1000

AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT", help="acct_…")]
Amount = Annotated[str, typer.Argument(metavar="USD", help="US dollars, at most six places: 10 or 2.50.")]
Once = Annotated[
    str | None, typer.Option("--idempotency-key", help="Sent again with the same key, it counts only once.")
]
Own = Annotated[
    list[str] | None,
    typer.Option(
        "--own-limit",
        metavar="NAME=NUMBER",
        help=f"Its own number in place of its tier's, or none: {', '.join(Limits.model_fields)}.",
    ),
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What you call it.")] = "",
    *,
    tier: Annotated[str, typer.Option(help="free, pro or enterprise.")] = "free",
    plan: Annotated[str, typer.Option(help="What it subscribes to elsewhere; it never covers audio.")] = "",
    own_limit: Own = None,
    balance: Annotated[str | None, typer.Option(metavar="USD", help="What it begins with.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an account. It has no key yet: `stenopool keys create --account` makes one."""
    micro = micro_or_zero(balance, param="--balance")
    with open_operator_database(make=True) as operator:
        account = operator.accounts.create_account(name, tier, plan=plan, limits=_limits(own_limit))
        if micro:
            operator.adjustments.book("top_up", account.id, micro, note="to begin with")
        facts = _facts(operator, [operator.accounts.account(account.id)])[0]
    if as_json:
        print_json(facts)
        return
    typer.echo(account.id)
    remark(f"account {account.id}, tier {account.tier}, balance {usd_text(micro)} USD")


@app.command("list")
def list_accounts(
    *,
    tier: Annotated[str | None, typer.Option(help="Only of this tier.")] = None,
    status: Annotated[str | None, typer.Option(help=f"Only {', '.join(STATUSES)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest first.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """List the accounts and their balances, the newest first."""
    with open_operator_database() as operator:
        found, more = operator.operator_queries.accounts(limit=limit, tier=tier, status=status)
        facts = [fact for at in range(0, len(found), PAGE) for fact in _facts(operator, found[at : at + PAGE])]
    if as_json:
        print_json(facts)
        return
    columns = ("account_id", "name", "tier", "status", "balance_usd", "keys", "created_at")
    print_table(
        ("account", "name", "tier", "status", "balance", "keys", "created"), (_row(one, columns) for one in facts)
    )
    if more:
        remark(f"there are more; --limit shows more than {limit}")


@app.command()
def show(account_id: AccountId, *, as_json: AsJson = False) -> None:
    """Show everything about one account."""
    with open_operator_database() as operator:
        facts = _facts(operator, [operator.accounts.account(account_id)])[0]
        facts["held_usd"] = usd(operator.statements.held(account_id))
        facts["used"] = {
            name: one.used for name, one in operator.quota.limits(account_id).items() if one.used is not None
        }
    if as_json:
        print_json(facts)
        return
    flat = {name: value for name, value in facts.items() if name not in ("limits", "own_limits", "used", "created_at")}
    flat |= {f"limit: {name}": _limit(number, facts["used"].get(name)) for name, number in facts["limits"].items()}
    print_table(("", ""), [*flat.items(), ("created", moment(facts["created_at"]))])


def _limit(number: int | None, used: float | None) -> str:
    limit = "none" if number is None else str(number)
    return limit if used is None else f"{limit} (used: {used})"


@app.command("set")
def change(
    account_id: AccountId,
    *,
    name: Annotated[str | None, typer.Option(help="What you call it.")] = None,
    tier: Annotated[str | None, typer.Option(help="free, pro or enterprise.")] = None,
    plan: Annotated[str | None, typer.Option(help="What it subscribes to elsewhere.")] = None,
    status: Annotated[str | None, typer.Option(help=f"{', '.join(STATUSES)}: only active ones are let in.")] = None,
    own_limit: Own = None,
    no_limits: Annotated[bool, typer.Option("--no-own-limits", help="Back to its tier's numbers.")] = False,
    balance_low: Annotated[
        str | None, typer.Option(metavar="USD", help="Tell it by webhook when less is left, or none.")
    ] = None,
    audio_ratio: Annotated[
        str | None,
        typer.Option(metavar="RATIO", help="Multiplies what it pays for sound: 0.8 is a fifth less, 1 nothing."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change an account: what is given, in force within 5 seconds everywhere. --own-limit keeps its other own numbers."""
    low = micro_or_zero("0" if balance_low == "none" else balance_low, param="--balance-low")
    with open_operator_database() as operator:
        own = {} if no_limits else operator.accounts.account(account_id).limits or {}
        limits = {**own, **(_limits(own_limit) or {})} if own_limit or no_limits else None
        account = operator.accounts.update(
            account_id, name=name, tier=tier, plan=plan, status=status, limits=limits,
            audio_ratio=None if audio_ratio is None else ratio_of(audio_ratio, param="--audio-ratio"),
            balance_low=None if balance_low is None else low,
        )  # fmt: skip
        operator.jobs.stop_forbidden(account_id)
        facts = _facts(operator, [account])[0]
    if as_json:
        print_json(facts)
    else:
        remark(f"account {account_id}: tier {account.tier}, {account.status}")


@app.command("top-up")
def top_up(
    account_id: AccountId,
    amount: Amount,
    *,
    note: Annotated[str, typer.Option(help="Kept in the ledger.")] = "",
    once: Once = None,
    as_json: AsJson = False,
) -> None:
    """Add money to an account's balance."""
    _book("top_up", account_id, micro_of(amount, param="USD"), note, once, as_json=as_json)


@app.command(context_settings=NEGATIVE)
def adjust(
    account_id: AccountId,
    amount: Amount,
    *,
    note: Annotated[str, typer.Option(help="Why; kept in the ledger.")],
    once: Once = None,
    as_json: AsJson = False,
) -> None:
    """Correct a balance either way (-2.50 takes away), never below 0. Exit code 6 when it does not cover that."""
    _book("adjust", account_id, micro_of(amount, param="USD", signed=True), note, once, as_json=as_json)


@app.command()
def ledger(
    account_id: Annotated[str | None, typer.Argument(metavar="ACCOUNT", help="Only of this account.")] = None,
    *,
    kind: Annotated[str | None, typer.Option(help=f"Only {', '.join(SIGN)}.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only of this job or request.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest first.")] = 50,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """Show every movement of money, the newest first. --csv writes the whole ledger of the account or of all, the oldest
    first."""
    if kind is not None and kind not in SIGN:
        raise InvalidRequest(f"There is no kind {kind!r}. Kinds: {', '.join(SIGN)}.", param="--kind")
    with open_operator_database() as operator:
        if account_id is not None:
            operator.accounts.account(account_id)
        if as_csv:
            for part in ledger_csv(operator.database, Wanted(account_id=account_id)):
                typer.echo(part, nl=False)
            return
        found, _ = operator.statements.entries(account_id, kind=kind, subject=subject, limit=limit)
        names = operator.operator_queries.account_names([row.account_id for row in found])
    if as_json:
        print_json([{**_entry(row), "account_name": names.get(row.account_id, "")} for row in found])
        return
    columns = ("id", "at", "account", "name", "kind", "change", "amount", "subject", "note")
    print_table(columns, (_line(row, names.get(row.account_id, "")) for row in found))


@app.command()
def check(*, as_json: AsJson = False) -> None:
    """Compare balances, ledger, holds and jobs, as the scheduler does every night. Exit code 1 when they differ."""
    with open_operator_database() as operator:
        differences = operator.ledger.check()
    if as_json:
        print_json({"ok": not differences, "differences": differences})
    else:
        remark("\n".join(differences) or "the books agree")
    raise typer.Exit(exits.FAILED if differences else exits.OK)


@app.command()
def erase(account_id: AccountId, *, as_json: AsJson = False) -> None:
    """Erase an account for good: recordings, transcripts, prompts, metadata, log of deliveries, names.

    Its keys are revoked and its work stops. Ledger and receipts keep their numbers.

    The receipt of what was removed is shown again when it is erased once more.
    """
    with open_operator_database() as operator, contextlib.closing(open_storage(settings().storage)) as storage:
        operator.eraser.erase(account_id)
        storage.delete_prefix(folder_of(account_id))
        receipt = operator.eraser.receipt(account_id)
    if as_json:
        print_json(receipt)
        return
    removed = [(f"removed: {name}", count) for name, count in receipt["removed"].items()]
    kept = [(f"kept: {name}", count) for name, count in receipt["kept"].items()]
    print_table(("", ""), [("account", account_id), ("erased", moment(receipt["erased_at"])), *removed, *kept])


def _book(kind: Kind, account_id: str, micro: int, note: str, once: str | None, *, as_json: bool) -> None:
    with open_operator_database() as operator:
        entry, balance, replayed = operator.adjustments.book(kind, account_id, micro, note=note, key=once)
    if as_json:
        print_json({**_entry(entry), "balance_usd": usd(balance), "replayed": replayed})
    else:
        remark(f"{'booked before; ' if replayed else ''}the balance of {account_id} is {usd_text(balance)} USD")


def _limits(given: Sequence[str] | None) -> dict[str, int | None] | None:
    """NAME=NUMBER as they are typed. What they are called and how large they may be is checked further down."""
    if given is None:
        return None
    limits: dict[str, int | None] = {}
    for one in given:
        name, _, number = one.partition("=")
        if not OWN_LIMIT.fullmatch(number):
            raise InvalidRequest(f"--own-limit: write NAME=NUMBER or NAME=none, not {one!r}.", param="--own-limit")
        limits[name] = None if number == "none" else int(number)
    return limits


def _facts(operator: OperatorDatabase, accounts: Sequence[Account]) -> list[dict[str, Any]]:
    counts = operator.operator_queries.key_counts([account.id for account in accounts])
    return [
        {
            "account_id": account.id,
            "name": account.name,
            "tier": account.tier,
            "plan": account.plan,
            "status": account.status,
            "limits": limits_of(account.tier, account.limits).model_dump(),
            "own_limits": account.limits or {},
            "audio_ratio": account.audio_ratio or "1",
            "balance_usd": usd(account.balance_micro),
            "balance_low_usd": None if account.balance_low_micro is None else usd(account.balance_low_micro),
            "keys": counts[account.id],
            "created_at": int(account.created_at),
        }
        for account in accounts
    ]


def _row(facts: dict[str, Any], columns: Sequence[str]) -> list[object]:
    return [moment(facts[name]) if name == "created_at" else facts[name] for name in columns]


def _entry(row: LedgerEntry) -> dict[str, Any]:
    return {
        "id": row.id,
        "account_id": row.account_id,
        "kind": row.kind,
        "subject": row.subject,
        "part": row.part,
        "delta_usd": usd(row.delta),
        "amount_usd": usd(row.amount),
        "created_at": round(row.at, 3),
        "note": row.note,
    }


def _line(row: LedgerEntry, name: str) -> Sequence[object]:
    money = (usd_text(row.delta), usd_text(row.amount))
    return (row.id, moment(row.at), row.account_id, name, row.kind, *money, row.subject, row.note)
