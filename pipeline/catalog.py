"""The models a deployment offers: what each can do, what it costs, and which providers serve it in which order.

The shipped catalog is `catalog.toml` beside this file. A deployment's own file is laid over it, model by model and table
by table; a list or a plain value replaces what was there.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline import formats, providers
from pipeline.errors import (
    CatalogBroken,
    InvalidRequest,
    MediaTooLarge,
    ModelNotFound,
    ModelUnavailable,
    UnsupportedLanguage,
    UnsupportedValue,
)
from pipeline.options import DIARIZED, SPEECH_FORMATS, Task, TranscriptionOptions
from pipeline.text.languages import NAMES, english_name, language_code

Row = TypeVar("Row", bound="_Row")
List = TypeVar("List")

_NOBODY_DIARIZES = "No provider that tells speakers apart is configured here; a route with `diarizes = true` is one."
_NAMED_IN_FULL = 12  # languages in a refusal; of more only as many, and how many there are
SHIPPED = Path(__file__).with_name("catalog.toml")


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Route(_Row):
    """One provider (a name in `[providers]`, or a kind) and what the model is called there.

    `diarizes` says that it tells speakers apart: diarized_json is asked of such routes only. `languages` are those that it
    hears, where its provider does not say and the model's own list is wrong for it.
    """

    provider: str
    model: str
    diarizes: bool = False
    languages: tuple[str, ...] = ()


class Prices(_Row):
    """US dollars per unit of each dimension; None where the model is not priced by it."""

    audio_minute: Decimal | None = None
    audio_hour: Decimal | None = None
    thousand_characters: Decimal | None = None
    million_text_tokens_in: Decimal | None = None
    million_audio_tokens_in: Decimal | None = None
    million_text_tokens_out: Decimal | None = None
    million_audio_tokens_out: Decimal | None = None


class Voice(_Row):
    """What a caller may name as `voice`, and how it sounds."""

    id: str
    description: str


class Limits(_Row):
    """What one call of a synchronous endpoint may have at most, where that is less than the endpoint takes; None: as it takes.

    A provider's own limits do not belong here: what is too much for one call to it is cut and put together again.
    """

    max_bytes: int | None = Field(None, gt=0)
    max_seconds: int | None = Field(None, gt=0)
    max_characters: int | None = Field(None, gt=0)

    def check_file(self, size: int) -> None:
        """Raises MediaTooLarge."""
        if self.max_bytes is not None and size > self.max_bytes:
            most = f"This model takes files of at most {self.max_bytes} bytes here"
            raise MediaTooLarge(f"{most}; POST /v1/audio/jobs takes larger ones.", param="file")

    def check_text(self, text: str) -> None:
        """Raises InvalidRequest."""
        if self.max_characters is not None and len(text) > self.max_characters:
            most = f"The input text is longer than the {self.max_characters} characters that this model takes here"
            raise InvalidRequest(f"{most}; POST /v1/audio/jobs takes longer ones.", param="input")

    def seconds(self, general: int) -> int:
        """How long a recording may be, where `general` holds for all models."""
        return general if self.max_seconds is None else min(self.max_seconds, general)


class Model(_Row):
    """One model as callers know it.

    `aliases` are further names of it; `formats` what it writes, where that is not everything; `languages` ISO 639 codes,
    empty where nobody can list them. In the file, `languages`, here and in a route, may name a list of `[languages]` or have
    such names among its codes, and `voices` names tables of `[voices]`.
    """

    id: str
    description: str = ""
    aliases: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = Field(min_length=1)
    formats: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    voices: tuple[Voice, ...] = ()
    limits: Limits = Limits()
    prices: Prices = Prices()
    audio_ratio: Decimal = Decimal(1)
    owned_by: str = "stenopool"
    routes: tuple[Route, ...] = ()


class _File(_Row):
    models: dict[str, dict[str, Any]]
    providers: dict[str, dict[str, Any]] = {}
    embedded: dict[Task, Route] = {}
    languages: dict[str, tuple[str, ...]] = {}
    voices: dict[str, dict[str, str]] = {}


@dataclass(frozen=True)
class Catalog:
    """All models by id, and the settings of the providers by name."""

    models: Mapping[str, Model]
    providers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)  # with keys in it
    embedded: Mapping[Task, Route] = field(default_factory=dict)  # who stands in for a model without routes

    def model(self, model_id: str) -> Model:
        """Raises ModelNotFound."""
        found = self.models.get(model_id)
        found = found or next((model for model in self.models.values() if model_id in model.aliases), None)
        if found is None:
            raise ModelNotFound(f"The model `{model_id}` does not exist", param="model")
        return found

    def available(self, model_id: str) -> bool:
        """Whether anybody would serve the model's first task. Raises ModelNotFound."""
        return bool(self._served(self.model(model_id), self.model(model_id).tasks[0]))

    def served(self, model_id: str, task: Task) -> tuple[Route, ...]:
        """Who serves it, best first; nobody where no route is configured. Raises ModelNotFound."""
        return self._served(self.model(model_id), task)

    def stands_in(self, model_id: str, task: Task) -> bool:
        """Whether an embedded engine does what no route of the model's own does. Raises ModelNotFound."""
        return not self.model(model_id).routes and task in self.embedded

    def voices(self, model_id: str) -> tuple[Voice, ...]:
        """Whom the model can sound like here and now: where an embedded voice stands in, like that. Raises ModelNotFound."""
        model = self.model(model_id)
        return self._voiced_by(model).voices if model.voices else ()

    def languages(self, model_id: str) -> tuple[str, ...]:
        """What it hears or speaks here and now, as ISO 639 codes: all that any of those who serve it hears.

        Empty where one of them does not say, and where nobody serves it. Raises ModelNotFound.
        """
        model = self.model(model_id)
        tasks: list[Task] = [task for task in model.tasks if task != "speech"]
        if not tasks:
            return self._voiced_by(model).languages
        claims = [self._heard_by(model, route) for task in tasks for route in self._served(model, task)]
        return tuple(dict.fromkeys(code for claim in claims for code in claim)) if all(claims) else ()

    def check_language(self, model_id: str, code: str) -> None:
        """Raises UnsupportedLanguage where nobody hears it, whatever the task; ModelNotFound."""
        heard = self.languages(model_id)
        if not _is_heard(code, heard):
            raise _unheard(code, model_id, heard, "language")

    def formats(self, model_id: str, task: Task) -> tuple[str, ...]:
        """In which formats it can answer here and now. Raises ModelNotFound."""
        model = self.model(model_id)
        known = SPEECH_FORMATS if task == "speech" else formats.names()
        diarizes = task == "transcription" and any(route.diarizes for route in self._served(model, task))
        return tuple(
            name for name in known if (name != DIARIZED or diarizes) and (not model.formats or name in model.formats)
        )

    def check_format(self, model_id: str, task: Task, response_format: str) -> None:
        """Raises UnsupportedValue, which says what to ask for instead; ModelNotFound."""
        offered = self.formats(model_id, task)
        if response_format in offered:
            return
        told = f"response_format '{response_format}' is not available from model '{model_id}' for {task}."
        others = [name for name in self.models if response_format in self.formats(name, task)]
        if response_format == DIARIZED:
            here = f"Models here that tell speakers apart: {', '.join(others)}." if others else _NOBODY_DIARIZES
            raise UnsupportedValue(f"{told} {here}", param="response_format")
        raise UnsupportedValue(f"{told} Use one of: {', '.join(offered)}.", param="response_format")

    def check_format_of(self, options: TranscriptionOptions) -> None:
        """The same for a transcription; tracks and channels that are heard apart tell who speaks, whoever hears them."""
        if not options.apart:
            self.check_format(options.model, options.task, options.response_format)

    def routes(self, model_id: str, task: Task, *, diarized: bool = False) -> tuple[Route, ...]:
        """Who serves it, best first; with `diarized` only those that tell speakers apart, if there are any.

        Raises ModelNotFound, UnsupportedValue (not this task), ModelUnavailable.
        """
        model = self.model(model_id)
        if task not in model.tasks:
            offered = " and ".join(model.tasks)
            raise UnsupportedValue(f"The model `{model_id}` does {offered}, not {task}", param="model")
        served = self._served(model, task)
        if not served:
            raise ModelUnavailable(f"The model `{model_id}` has no configured route", param="model")
        return tuple(route for route in served if diarized and route.diarizes) or served

    def routes_for(self, options: TranscriptionOptions) -> tuple[Route, ...]:
        """Who is to hear it, best first: of `routes` those that hear the language, if none is given the `languages`.

        Where several may occur, those that hear all of them; where nobody does, those that hear one.
        Raises as `routes`, and UnsupportedLanguage for one that nobody hears. A language that we found ourselves is no reason
        to refuse: then all routes are left.
        """
        routes = self.routes(options.model, options.task, diarized=options.diarized)
        if options.language:
            return self._hearing(routes, options, "language", (options.language,))
        return self._hearing(routes, options, "languages", options.languages) if options.languages else routes

    def provider_kind(self, name: str) -> str:
        """The file in `pipeline/providers` that serves the provider `name`."""
        return str(self.providers.get(name, {}).get("kind", name))

    def _hearing(
        self, routes: tuple[Route, ...], options: TranscriptionOptions, param: str, codes: tuple[str, ...]
    ) -> tuple[Route, ...]:
        """Those that hear all of the languages, else those that hear one. Raises UnsupportedLanguage about the field `param`."""
        claims = {route: self._heard_by(self.model(options.model), route) for route in routes}
        heard = {route: [code for code in codes if _is_heard(code, claim)] for route, claim in claims.items()}
        missing = next((code for code in codes if not any(code in able for able in heard.values())), None)
        if missing is not None and not options.pinned:
            raise _unheard(
                missing, options.model, dict.fromkeys(code for claim in claims.values() for code in claim), param
            )
        all_of_them = tuple(route for route in routes if len(heard[route]) == len(codes))
        return all_of_them or tuple(route for route in routes if heard[route]) or routes

    def _heard_by(self, model: Model, route: Route) -> tuple[str, ...]:
        """The languages of a route: its own in the catalog, else what its provider says, else the model's."""
        settings = {"name": route.provider, **self.providers.get(route.provider, {})}
        kind = self.provider_kind(route.provider)
        return route.languages or providers.hears(kind, settings, route.model) or model.languages

    def _voiced_by(self, model: Model) -> Model:
        """Whose voices and languages a model has here and now when it speaks: its own, or those of the stand-in."""
        stand_in = self.models.get(self.embedded["speech"].model) if self.stands_in(model.id, "speech") else None
        return stand_in or model

    def _served(self, model: Model, task: Task) -> tuple[Route, ...]:
        if model.routes:
            return model.routes
        return (self.embedded[task],) if task in self.embedded else ()


def _is_heard(code: str, claim: Collection[str]) -> bool:
    """By the code as it is written, or as the one that means the same; by whoever makes no claim everything may be."""
    return not claim or code in claim or language_code(code) in map(language_code, claim)


def _unheard(code: str, model_id: str, heard: Collection[str], param: str) -> UnsupportedLanguage:
    name = f"{english_name(code).title()} (`{code}`)" if code in NAMES else f"`{code}`"
    some = ", ".join(itertools.islice(heard, _NAMED_IN_FULL))
    told = f"{len(heard)} languages: {some}, …; GET /v1/models/{model_id} lists them all"
    hears = told if len(heard) > _NAMED_IN_FULL else f"only {some}"
    return UnsupportedLanguage(
        f"The model `{model_id}` does not hear {name} as it is served here. It hears {hears}.", param=param
    )


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
        models={name: _model(name, table, file) for name, table in file.models.items()},
        providers=file.providers,
        embedded=file.embedded if embedded_engines == "auto" else {},
    )
    _check_routes(catalog)
    _check_aliases(catalog)
    _check_providers(file.providers)
    return replace(catalog, models={name: _configured(model, file.providers) for name, model in catalog.models.items()})


def _model(name: str, table: Mapping[str, Any], file: _File) -> Model:
    """The model's table with the lists that it names by name put in."""
    what, given = f"the catalog's model {name!r}", dict(table)
    for place in (given, *(routes := _tables(given.get("routes")))):
        if "languages" in place:
            place["languages"] = _listed(what, place["languages"], file.languages)
    given |= {"routes": routes} if routes else {}
    named = given.get("voices", ())
    sets = [_named(what, "voices", file.voices, one) for one in ((named,) if isinstance(named, str) else named)]
    described = {voice: text for voices in sets for voice, text in voices.items()}
    given["voices"] = [{"id": voice, "description": text} for voice, text in described.items()]
    return _checked(Model, what, given, id=name)


def _tables(given: Any) -> list[dict[str, Any]]:
    """Copies, to write in; nothing for what is no list of tables, which is refused later."""
    whole = isinstance(given, list) and all(isinstance(one, dict) for one in given)
    return [dict(one) for one in given] if whole else []


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
    usable = tuple(route for route in model.routes if _takes_part(tables.get(route.provider, {})))
    return model.model_copy(update={"routes": usable})


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


def _checked(kind: type[Row], what: str, values: dict[str, Any], **fixed: str) -> Row:
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
    routes = [(name, route) for name, model in catalog.models.items() for route in model.routes]
    for name, route in (*routes, *catalog.embedded.items()):
        kind = catalog.provider_kind(route.provider)
        if kind not in providers.names():
            raise CatalogBroken(f"the catalog's {name!r} has a route to {kind!r}, which is no provider")
