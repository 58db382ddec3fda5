"""`stenopool prices`: what the models cost, as the catalog says."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.models import open_catalog
from cli.screen import print_json, print_table
from pipeline.catalog import Model

app = typer.Typer()


@app.command()
def prices(as_json: Annotated[bool, typer.Option("--json", help="A JSON list on stdout.")] = False) -> None:
    """List what the models cost, in US dollars."""
    models = open_catalog().models.values()
    if as_json:
        print_json(
            [{"id": model.id, "prices": _prices(model), "audio_ratio": str(model.audio_ratio)} for model in models]
        )
        return
    print_table(("model", "USD"), ((model.id, _words(model)) for model in models))


def _prices(model: Model) -> dict[str, str]:
    """Money is text: a float cannot hold 0.006."""
    return {name: str(value) for name, value in model.prices.model_dump().items() if value is not None}


def _words(model: Model) -> str:
    prices = [f"{value} / {name.replace('_', ' ')}" for name, value in _prices(model).items()]
    ratio = f"  (audio x {model.audio_ratio})" if model.audio_ratio != 1 else ""
    return (", ".join(prices) or "free") + ratio
