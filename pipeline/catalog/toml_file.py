"""The catalog's files: the shipped one, and a deployment's own laid over it, model by model and table by table.

A list or a plain value replaces what was there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from pipeline import providers
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.model import Model, Route, Row
from pipeline.errors import CatalogBroken
from pipeline.options import Task

Table = TypeVar("Table", bound=Row)
List = TypeVar("List")

SHIPPED = Path(__file__).with_name("shipped.toml")


class _File(Row):
    models: dict[str, dict[str, Any]]
    providers: dict[str, dict[str, Any]] = Field({})
    embedded: dict[Task, Any] = Field({})
    languages: dict[str, tuple[str, ...]] = Field({})
    voices: dict[str, dict[str, str]] = Field({})
    facts: dict[str, dict[str, Any]] = Field({})
    nearest_voices: dict[str, str] = Field({})


class _StandIns(Row):
    routes: tuple[Route, ...]


def load_catalog(
    path: Path | None,
    *,
    embedded_engines: str,
    stock: Mapping[str, Mapping[str, str]] | None = None,
    speech: str = "",
    voices: str = "",
) -> Catalog:
    """The shipped catalog with the file `path` laid over it; `embedded_engines` is "auto" or "off".

    `speech`: the embedded provider that speaks first, if it is not the one that the catalog names first.

    `voices`: the folder of the model that tells speakers apart on this machine, where it is installed.

    `stock` are settings of providers by name, laid over both: keys come from the environment. A provider whose table has
    `needs` takes part only when at least one of the settings named there is given.

    Raises CatalogBroken, which says what is wrong where.
    """
    tables = _read(SHIPPED)
    if path is not None:
        tables = _laid_over(_without_stale_facts(tables, above := _read(path)), above)
    if stock:
        tables = _laid_over(tables, {"providers": {name: dict(given) for name, given in stock.items()}})
    file = _checked(_File, "the catalog", tables)
    catalog = Catalog(
        models={name: _model(name, table, file) for name, table in file.models.items()},
        providers=file.providers,
        embedded=_stand_ins(file, speech) if embedded_engines == "auto" else {},
        nearest_voices=file.nearest_voices,
        voices_folder=voices if embedded_engines == "auto" else "",
    )
    _check_routes(catalog)
    _check_aliases(catalog)
    _check_providers(file.providers)
    return replace(catalog, models={name: _configured(model, file.providers) for name, model in catalog.models.items()})


def _without_stale_facts(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Where a deployment names prices or limits of its own, those of the shipped file were not read where these come from."""
    own = above.get("models")
    tables = own.items() if isinstance(own, dict) else ()
    repriced = [name for name, table in tables if isinstance(table, dict) and {"prices", "limits"} & table.keys()]
    models = {
        name: {key: value for key, value in table.items() if key != "facts" or name not in repriced}
        for name, table in below["models"].items()
    }
    return {**below, "models": models}


def _model(name: str, table: Mapping[str, Any], file: _File) -> Model:
    """The model's table with the lists that it names by name put in."""
    what, given = f"the catalog's model {name!r}", dict(table)
    if "languages" in given:
        given["languages"] = _listed(what, given["languages"], file.languages)
    if isinstance(given.get("facts"), str):
        given["facts"] = _named(what, "facts", file.facts, given["facts"])
    given |= {name: _with_languages(what, given[name], file) for name in ("routes", "successors") if name in given}
    named = given.get("voices", ())
    sets = [_named(what, "voices", file.voices, one) for one in ((named,) if isinstance(named, str) else named)]
    described = {voice: text for voices in sets for voice, text in voices.items()}
    given["voices"] = [{"id": voice, "description": text} for voice, text in described.items()]
    return _checked(Model, what, given, id=name)


def _stand_ins(file: _File, speech: str) -> dict[Task, tuple[Route, ...]]:
    """By task, the embedded routes whose provider takes part; a single table is a list of one, and `speech` speaks first."""
    found: dict[Task, tuple[Route, ...]] = {}
    for task, given in file.embedded.items():
        what = f"the catalog's [embedded] {task}"
        told = _checked(
            _StandIns, what, {"routes": _with_languages(what, [given] if isinstance(given, dict) else given, file)}
        )
        usable = tuple(route for route in told.routes if _takes_part(file.providers.get(route.provider, {})))
        found |= {task: usable} if usable else {}
    if "speech" in found:
        found["speech"] = tuple(sorted(found["speech"], key=lambda route: route.provider != speech))
    return found


def _tables(given: Any) -> list[dict[str, Any]]:
    """Copies, to write in; nothing for what is no list of tables, which is refused later."""
    whole = isinstance(given, list) and all(isinstance(one, dict) for one in given)
    return [dict(one) for one in given] if whole else []


def _with_languages(what: str, routes: Any, file: _File) -> Any:
    """The routes' tables with the languages that they name by name put in; what is no list of tables as it is, to be refused."""
    tables = _tables(routes)
    for table in tables:
        if "languages" in table:
            table["languages"] = _listed(what, table["languages"], file.languages)
    return tables or routes


def _listed(what: str, given: Any, lists: Mapping[str, tuple[str, ...]]) -> Any:
    """The codes that are meant: a list's name stands for what is in it, alone and among codes."""
    if isinstance(given, str):
        return _named(what, "languages", lists, given)
    if not isinstance(given, list):
        return given
    codes = [lists.get(one, (one,)) if isinstance(one, str) else (one,) for one in given]
    return [code for several in codes for code in several]


def _named(what: str, place: str, lists: Mapping[str, List], name: Any) -> List:
    if not isinstance(name, str) or name not in lists:
        raise CatalogBroken(f"{what} is wrong at {place}: there is no [{place}] called {name!r}")
    return lists[name]


def _configured(model: Model, tables: Mapping[str, Mapping[str, Any]]) -> Model:
    def usable(routes: tuple[Route, ...]) -> tuple[Route, ...]:
        return tuple(route for route in routes if _takes_part(tables.get(route.provider, {})))

    return model.model_copy(update={"routes": usable(model.routes), "successors": usable(model.successors)})


def _takes_part(provider: Mapping[str, Any]) -> bool:
    return not provider.get("needs") or any(provider.get(setting) for setting in provider["needs"])


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


def _checked(kind: type[Table], what: str, values: dict[str, Any], **fixed: str) -> Table:
    try:
        return kind.model_validate(values | fixed)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CatalogBroken(f"{what} is wrong at {place}: {first['msg']}") from error


def key_variables(path: Path | None) -> dict[str, str]:
    """By provider, the environment variable that holds its key (`api_key_env` of its table). Raises CatalogBroken."""
    tables = _read(path).get("providers", {}) if path else {}
    named = {name: table.get("api_key_env") for name, table in tables.items() if isinstance(table, dict)}
    return {name: variable for name, variable in named.items() if isinstance(variable, str) and variable}


def _check_providers(tables: Mapping[str, Mapping[str, Any]]) -> None:
    """Settings that cannot work are found when the service starts, not at the first request."""
    for name, table in tables.items():
        kind = str(table.get("kind", name))
        if kind not in providers.names():
            raise CatalogBroken(f"the catalog's provider {name!r} is of the kind {kind!r}, which is no provider")
        if _takes_part(table):
            providers.check(kind, {"name": name, **table})


def _check_aliases(catalog: Catalog) -> None:
    taken = set(catalog.models)
    for name, model in catalog.models.items():
        for alias in model.aliases:
            if alias in taken:
                raise CatalogBroken(f"the catalog's {name!r} has the alias {alias!r}, which is another model's name")
            taken.add(alias)


def _check_routes(catalog: Catalog) -> None:
    """A route to a provider that does not exist is found when the service starts, not at the first request."""
    routes = [(name, route) for name, model in catalog.models.items() for route in (*model.routes, *model.successors)]
    stand_ins = [(task, route) for task, several in catalog.embedded.items() for route in several]
    for name, route in (*routes, *stand_ins):
        kind = catalog.provider_kind(route.provider)
        if kind not in providers.names():
            raise CatalogBroken(f"the catalog's {name!r} has a route to {kind!r}, which is no provider")
