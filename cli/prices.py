"""`stenopool prices`: what the models cost, and by what an administrator multiplies the price of sound."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import typer

from cli.models import open_catalog
from cli.operator_database import AsJson, open_operator_database
from cli.output import print_json, print_table, remark
from infra.money.ratios import EVERY_MODEL, Ratios
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.model import Model
from pipeline.money import ratio_of

app = typer.Typer(
    help="Show what the models cost, and set the audio ratios.", invoke_without_command=True, add_completion=False
)


@app.callback()
def prices(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List what the models cost, in US dollars, or set the audio ratios."""
    if context.invoked_subcommand is None:
        _list(None, as_json=as_json)


@app.command()
def show(
    *,
    account: Annotated[str | None, typer.Option(help="As this account pays them, which may have a ratio.")] = None,
    as_json: AsJson = False,
) -> None:
    """List what the models cost, in US dollars, with the audio ratios in force."""
    _list(account, as_json=as_json)


@app.command()
def ratio(
    words: Annotated[list[str] | None, typer.Argument(metavar="[MODEL] [VALUE]", help="whisper-1 1.5")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="The global ratio, on top of each model's own.")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Back to the catalog's own.")] = False,
    as_json: AsJson = False,
) -> None:
    """Set the audio ratio of a model, or of all with --all, or --clear it; without a value, show those that were set. An account's
    own is set by `accounts set`.

    It multiplies the price of sound (seconds and audio tokens) of everything accepted from now on, by every
    process. What was accepted before keeps its own.
    """
    left = list(words or ())
    model = EVERY_MODEL if every else left.pop(0) if left else None
    if len(left) != (model is not None and not clear) or (clear and model is None):
        raise typer.BadParameter("write MODEL VALUE, --all VALUE, MODEL --clear or --all --clear", param_hint="words")
    catalog = open_catalog()
    with open_operator_database() as operator:
        ratios = Ratios(operator.database, catalog)
        if model is not None and clear:
            ratios.clear(model)
        elif model is not None:
            ratios.set(model, ratio_of(left[0], param="VALUE"))
        found = {row.model: row.ratio for row in ratios.all()}
    if as_json:
        print_json(found)
    elif model is None:
        print_table(("model", "audio ratio"), found.items())
    else:
        remark(f"the audio ratio of {model} is {found.get(model, 'the one of the catalog')}")


def _list(account: str | None, *, as_json: bool) -> None:
    catalog = open_catalog()
    with open_operator_database() as operator:
        if account is not None:
            operator.accounts.account(account)
        ratios = _in_force(catalog, Ratios(operator.database, catalog), account)
    models = catalog.models.values()
    if as_json:
        print_json(
            [
                {"id": model.id, "prices": _prices(model), "audio_ratio": _number(ratios[model.id])}
                for model in models
            ]
        )  # fmt: skip
        return
    print_table(("model", "USD"), ((model.id, _words(model, ratios[model.id])) for model in models))


def _in_force(catalog: Catalog, ratios: Ratios, account: str | None) -> dict[str, Decimal]:
    return {model: ratios.of(model, account) for model in catalog.models}


def _prices(model: Model) -> dict[str, str]:
    """Money is text: a float cannot hold 0.006."""
    return {name: str(value) for name, value in model.prices.model_dump().items() if value is not None}


def _words(model: Model, ratio: Decimal) -> str:
    prices = [f"{value} / {name.replace('_', ' ')}" for name, value in _prices(model).items()]
    times = f"  (audio x {_number(ratio)})" if ratio != 1 and prices else ""
    return (", ".join(prices) or "free") + times


def _number(ratio: Decimal) -> str:
    """Without zeros at its end."""
    return f"{ratio.normalize():f}"
