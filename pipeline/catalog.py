"""The models a deployment offers: what each can do, what it costs, and which providers serve it in which order.

The shipped catalog is `catalog.toml` beside this file. A deployment's own file is laid over it, model by model and table
by table; a list or a plain value replaces what was there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline import providers
from pipeline.errors import CatalogBroken, ModelNotFound, ModelUnavailable, UnsupportedValue
from pipeline.options import Task

Row = TypeVar("Row", bound="_Row")

SHIPPED = Path(__file__).with_name("catalog.toml")


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Route(_Row):
    """One provider (a name in `[providers]`, or a kind) and what the model is called there."""

    provider: str
    model: str


class Prices(_Row):
    """US dollars per unit of each dimension; None where the model is not priced by it."""

    audio_minute: Decimal | None = None
    audio_hour: Decimal | None = None
    thousand_characters: Decimal | None = None
    million_text_tokens_in: Decimal | None = None
    million_audio_tokens_in: Decimal | None = None
    million_text_tokens_out: Decimal | None = None
    million_audio_tokens_out: Decimal | None = None


class Model(_Row):
    """One model as callers know it; `languages` are ISO 639-1 codes, empty where nobody can list them."""

    id: str
    tasks: tuple[Task, ...] = Field(min_length=1)
    formats: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    prices: Prices = Prices()
    audio_ratio: Decimal = Decimal(1)
    owned_by: str = "stenopool"
    routes: tuple[Route, ...] = ()


class _File(_Row):
    models: dict[str, dict[str, Any]]
    providers: dict[str, dict[str, Any]] = {}
    embedded: dict[Task, Route] = {}


@dataclass(frozen=True)
class Catalog:
    """All models by id, and the settings of the providers by name."""

    models: Mapping[str, Model]
    providers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)  # with keys in it
    embedded: Mapping[Task, Route] = field(default_factory=dict)  # who stands in for a model without routes

    def model(self, model_id: str) -> Model:
        """Raises ModelNotFound."""
        try:
            return self.models[model_id]
        except KeyError:
            raise ModelNotFound(f"The model `{model_id}` does not exist", param="model") from None

    def available(self, model_id: str) -> bool:
        """Whether anybody would serve the model's first task. Raises ModelNotFound."""
        return bool(self._served(self.model(model_id), self.model(model_id).tasks[0]))

    def routes(self, model_id: str, task: Task) -> tuple[Route, ...]:
        """Who serves it, best first. Raises ModelNotFound, UnsupportedValue (not this task), ModelUnavailable."""
        model = self.model(model_id)
        if task not in model.tasks:
            offered = " and ".join(model.tasks)
            raise UnsupportedValue(f"The model `{model_id}` does {offered}, not {task}", param="model")
        served = self._served(model, task)
        if not served:
            raise ModelUnavailable(f"The model `{model_id}` has no configured route", param="model")
        return served

    def provider_kind(self, name: str) -> str:
        """The file in `pipeline/providers` that serves the provider `name`."""
        return str(self.providers.get(name, {}).get("kind", name))

    def _served(self, model: Model, task: Task) -> tuple[Route, ...]:
        if model.routes:
            return model.routes
        return (self.embedded[task],) if task in self.embedded else ()


def load_catalog(
    path: Path | None, *, embedded_engines: str, stock: Mapping[str, Mapping[str, str]] | None = None
) -> Catalog:
    """The shipped catalog with the file `path` laid over it; `embedded_engines` is "auto" or "off".

    `stock` are settings of providers by name, laid over both: keys come from the environment. A provider whose table has
    `needs` takes part only when at least one of the settings named there is given.

    Raises CatalogBroken, which says what is wrong where.
    """
    tables = _read(SHIPPED)
    if path is not None:
        tables = _laid_over(tables, _read(path))
    if stock:
        tables = _laid_over(tables, {"providers": {name: dict(given) for name, given in stock.items()}})
    file = _checked(_File, "the catalog", tables)
    catalog = Catalog(
        models={
            name: _checked(Model, f"the catalog's model {name!r}", table, id=name)
            for name, table in file.models.items()
        },
        providers=file.providers,
        embedded=file.embedded if embedded_engines == "auto" else {},
    )
    _check_routes(catalog)
    return replace(catalog, models={name: _configured(model, file.providers) for name, model in catalog.models.items()})


def _configured(model: Model, tables: Mapping[str, Mapping[str, Any]]) -> Model:
    def usable(route: Route) -> bool:
        table = tables.get(route.provider, {})
        return not table.get("needs") or any(table.get(setting) for setting in table["needs"])

    return model.model_copy(update={"routes": tuple(route for route in model.routes if usable(route))})


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogBroken(f"the catalog {path.name} cannot be read: {error}") from error


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both_tables = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _laid_over(merged[key], value) if both_tables else value
    return merged


def _checked(kind: type[Row], what: str, values: dict[str, Any], **fixed: str) -> Row:
    try:
        return kind.model_validate(values | fixed)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CatalogBroken(f"{what} is wrong at {place}: {first['msg']}") from error


def _check_routes(catalog: Catalog) -> None:
    """A route to a provider that does not exist is found when the service starts, not at the first request."""
    routes = [(name, route) for name, model in catalog.models.items() for route in model.routes]
    for name, route in (*routes, *catalog.embedded.items()):
        kind = catalog.provider_kind(route.provider)
        if kind not in providers.names():
            raise CatalogBroken(f"the catalog's {name!r} has a route to {kind!r}, which is no provider")
