"""`stenopool models`: what this installation offers, and who is behind it."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.embedded_notice import served_by, stand_ins
from cli.environment import settings
from cli.output import print_json, print_table
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.toml_file import load_catalog

app = typer.Typer(add_completion=False)


def open_catalog() -> Catalog:
    """The catalog in force. Raises CatalogBroken."""
    chosen = settings()
    return load_catalog(chosen.catalog, embedded_engines=chosen.embedded_engines, stock=chosen.stock_providers)


@app.command()
def models(as_json: Annotated[bool, typer.Option("--json", help="A JSON list on stdout.")] = False) -> None:
    """List the models, what each can do, and who serves it."""
    catalog = open_catalog()
    if as_json:
        print_json(
            [
                {
                    "id": model.id,
                    "tasks": list(model.tasks),
                    "available": catalog.available(model.id),
                    "served_by": served_by(catalog, model.id),
                    "languages": list(catalog.languages(model.id)),
                    "routes": [route.model_dump(exclude={"languages"}) for route in model.routes],
                }
                for model in catalog.models.values()
            ]
        )
        return
    rows = ((model.id, ", ".join(model.tasks), served_by(catalog, model.id)) for model in catalog.models.values())
    print_table(("model", "tasks", "served by"), rows)
    typer.echo(f"\n{stand_ins(catalog)}", err=True)
