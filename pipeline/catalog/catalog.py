"""The catalog itself: who serves a model here and now, in which formats, voices and languages."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline import formats, providers
from pipeline.catalog.gone_routes import GoneRoutes
from pipeline.catalog.model import Model, Route, Voice
from pipeline.errors import ModelNotFound, ModelUnavailable, UnsupportedLanguage, UnsupportedValue
from pipeline.options import DIARIZED, SPEECH_FORMATS, Task, TranscriptionOptions
from pipeline.provider_protocol import OPENAI_VOICES
from pipeline.text.languages import NAMES, english_name, language_code

_NOBODY_DIARIZES = (
    "Nobody tells speakers apart here: `stenopool models install speakers` does it on this machine, and a route with "
    "`diarizes = true` is a provider that does."
)
_ALL = "`stenopool models install speakers` lets every one of them do it."
_NAMED_IN_FULL = 12  # languages in a refusal; of more only as many, and how many there are


@dataclass(frozen=True)
class Catalog:
    """All models by id, and the settings of the providers by name.

    A model's tasks are done by its `routes`; once all of these are `gone` by its `successors`, and at last by an `embedded` engine.
    """

    models: Mapping[str, Model]
    providers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)  # with keys in it
    embedded: Mapping[Task, tuple[Route, ...]] = field(
        default_factory=dict
    )  # stand in, best first, for a model without routes that are there
    nearest_voices: Mapping[str, str] = field(
        default_factory=dict
    )  # by a vendor's voice, the name that everybody knows
    gone: GoneRoutes = field(default_factory=GoneRoutes, repr=False, compare=False)
    voices_folder: str = ""  # of the model that tells speakers apart on this machine; empty where there is none

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
        model = self.model(model_id)
        served = self._served(model, task)
        return bool(served) and served[0] not in (*model.routes, *model.successors)

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
        diarizes = task == "transcription" and bool(self._served(model, task, diarized=not self.voices_folder))
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
            here = f"Models here that tell speakers apart: {', '.join(others)}. {_ALL}" if others else _NOBODY_DIARIZES
            raise UnsupportedValue(f"{told} {here}", param="response_format")
        raise UnsupportedValue(f"{told} Use one of: {', '.join(offered)}.", param="response_format")

    def check_format_of(self, options: TranscriptionOptions) -> None:
        """The same for a transcription; tracks and channels that are heard apart tell who speaks, whoever hears them."""
        if not options.apart:
            self.check_format(options.model, options.task, options.response_format)

    def routes(self, model_id: str, task: Task, *, diarized: bool = False) -> tuple[Route, ...]:
        """Who serves it here and now, best first; with `diarized` only those that tell speakers apart.

        Raises ModelNotFound, UnsupportedValue (not this task, or nobody who tells speakers apart), ModelUnavailable.
        """
        model = self.model(model_id)
        if task not in model.tasks:
            offered = " and ".join(model.tasks)
            raise UnsupportedValue(f"The model `{model_id}` does {offered}, not {task}", param="model")
        served = self._served(model, task, diarized=diarized)
        if diarized and not served:
            self.check_format(model_id, task, DIARIZED)
            served = self._served(model, task)  # speakers are told apart on this machine
        if not served:
            left = " that is still there" if model.routes else ""
            raise ModelUnavailable(f"The model `{model_id}` has no configured route{left}", param="model")
        return served

    def routes_for(self, options: TranscriptionOptions) -> tuple[Route, ...]:
        """Who is to hear it, best first: of `routes` those that hear the language, if none is given the `languages`.

        Where several may occur, those that hear all of them; where nobody does, those that hear one.
        Raises as `routes`, and UnsupportedLanguage for one that nobody hears. A language that we found ourselves is no reason
        to refuse: then all routes are left.
        """
        apart = options.apart and not self._served(self.model(options.model), options.task, diarized=True)
        routes = self.routes(options.model, options.task, diarized=options.diarized and not apart)
        if options.language:
            return self._hearing(routes, options, "language", (options.language,))
        return self._hearing(routes, options, "languages", options.languages) if options.languages else routes

    def nearest_voice(self, model_id: str, voice: str) -> str | None:
        """Of the voices that every speaker knows the one that is most like this voice of the model; None for no voice of its own.

        Raises ModelNotFound.
        """
        own = {one.id.lower(): one.id for one in self.model(model_id).voices}
        name = own.get(voice.lower())
        return None if name is None else self.nearest_voices.get(name, OPENAI_VOICES[0])

    def ending(self) -> tuple[Model, ...]:
        """The models with a route here whose vendor ends them: the first to end first."""
        dated = [(model.shutdown.on, model) for model in self.models.values() if model.shutdown and model.routes]
        return tuple(model for _, model in sorted(dated, key=lambda one: one[0]))

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
        stand_in = self.models.get(self.embedded["speech"][0].model) if self.stands_in(model.id, "speech") else None
        return stand_in or model

    def _served(self, model: Model, task: Task, *, diarized: bool = False) -> tuple[Route, ...]:
        for routes in (model.routes, model.successors, self.embedded.get(task, ())):
            able = [one for one in routes if (not one.tasks or task in one.tasks) and (one.diarizes or not diarized)]
            if there := self.gone.left(able, task):
                return tuple(there)
        return ()


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
