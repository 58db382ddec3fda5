"""`stenopool models`: what this installation offers, who is behind it, and the weights of the engines on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from cli.embedded_notice import served_by, serving, stand_ins
from cli.environment import settings
from cli.exits import FAILED
from cli.output import print_json, print_table, remark, stderr
from infra.model_store.fetching import OnFetched
from infra.model_store.store import MIB, ModelStore
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.model import Model, Route
from pipeline.weights.description import Weights
from pipeline.weights.folder import WeightsFolder

app = typer.Typer(
    help="List the models this installation offers, and install the weights of local engines.",
    invoke_without_command=True,
    add_completion=False,
)
Name = Annotated[str, typer.Argument(help="As `stenopool models list` shows it: whisper-base, kokoro, speakers")]
AsJson = Annotated[bool, typer.Option("--json", help="A JSON list on stdout.")]


def open_catalog() -> Catalog:
    """The catalog in force. Raises CatalogBroken."""
    chosen = settings()
    return chosen.load_catalog()


def open_store() -> ModelStore:
    """The folder of weights in force."""
    chosen = settings()
    return ModelStore(chosen.weights, offline=chosen.offline)


@app.callback()
def models(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the models, what each can do, and who serves it; or, with a command, look after the weights of local engines."""
    if context.invoked_subcommand is not None:
        return
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
                    "prices": model.prices.model_dump(mode="json", exclude_none=True),
                    "limits": model.limits.model_dump(mode="json", exclude_none=True),
                    "facts": model.facts and model.facts.model_dump(mode="json"),
                    "routes": _routes(model.routes),
                    "successors": _routes(model.successors),
                    "shutdown_date": model.shutdown and model.shutdown.on.isoformat(),
                }
                for model in catalog.models.values()
            ]
        )
        return
    rows = (
        (
            model.id,
            ", ".join(model.tasks),
            served_by(catalog, model.id),
            _afterwards(model),
            str(model.facts.as_of) if model.facts else "",
        )
        for model in catalog.models.values()
    )
    print_table(("model", "tasks", "served by", "ends, then", "prices as of"), rows)
    typer.echo(f"\n{stand_ins(catalog, settings().weights.cut_short)}", err=True)


def _routes(routes: Iterable[Route]) -> list[dict[str, Any]]:
    return [route.model_dump(exclude={"languages"}) for route in routes]


def _afterwards(model: Model) -> str:
    """When its vendor ends it, and which models answer for it then."""
    then = " → ".join(dict.fromkeys(route.model for route in model.successors))
    return ", ".join(filter(None, (str(model.shutdown.on) if model.shutdown else "", then)))


@app.command("list")
def list_weights(*, as_json: AsJson = False) -> None:
    """List the weights there are for local engines: which are installed, where, and under which licence."""
    folder, serves = settings().weights, serving(open_catalog())
    weights = list(folder.described.values())
    if as_json:
        print_json([_told(one, folder, serves) for one in weights])
        return
    rows = (
        (
            one.name,
            "yes" if folder.installed(one.name) else "no",
            f"{one.sources[0].size / MIB:.0f} MiB",
            one.licence,
            ", ".join(task for task, model in serves.items() if model == one.name),
            one.description,
        )
        for one in weights
    )
    print_table(("weights", "installed", "size", "licence", "serves", ""), rows)
    remark(f"\nin {folder.root}; " + ", ".join(f"{task}: {model}" for task, model in serves.items()))


def _told(weights: Weights, folder: WeightsFolder, serves: Mapping[str, str]) -> dict[str, Any]:
    first = weights.sources[0]
    return {
        "name": weights.name,
        "installed": folder.installed(weights.name) is not None,
        "path": str(folder.path(weights.name)),
        "size": first.size,
        "sha256": max(first.files, key=lambda file: file.size).sha256,
        "licence": weights.licence,
        "sources": [source.told for source in weights.sources],
        "description": weights.description,
        "serves": [task for task, model in serves.items() if model == weights.name],
    }


@app.command()
def install(
    name: Name,
    *,
    given: Annotated[
        Path | None, typer.Option("--from", help="A folder or file with its files or packages, instead of the network.")
    ] = None,
) -> None:
    """Fetch a model's weights, check them against their published hash, and put them in place whole.

    What is there and whole already is left as it is; what is damaged is replaced. A download that was cut goes on where it was.
    """
    store = open_store()
    with _bar() as on_fetched:
        fresh = store.install(name, given=given, on_fetched=on_fetched, say=remark)
    place = store.folder.path(name)
    remark(
        f"{name} is installed in {place}; what runs uses it from its next start on"
        if fresh
        else f"{name} is installed and whole: {place}"
    )


@app.command()
def verify() -> None:
    """Read all installed weights and compare them with their published hashes. Exit code 1, naming each that is damaged."""
    store = open_store()
    damaged = store.damaged()
    for name in store.folder.described:
        if name in damaged:
            remark(f"{name}: damaged, {damaged[name]}; `stenopool models install {name}` replaces it")
        elif store.folder.installed(name):
            remark(f"{name}: whole")
    raise typer.Exit(FAILED if damaged else 0)


@app.command()
def remove(name: Name) -> None:
    """Take a model's weights away, and what an unfinished download has left."""
    open_store().remove(name)
    remark(f"{name} is removed; what runs keeps it until its next start")


@contextlib.contextmanager
def _bar() -> Iterator[OnFetched]:
    """A bar for people; nothing in a pipe."""
    console = stderr()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield show
