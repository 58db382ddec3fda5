"""Which models the embedded engines stand in for, in words: nobody shall think that whisper was here."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.catalog.catalog import Catalog

NATURAL, ROBOTIC = {"model": "kokoro", "voice": "nova"}, {"model": "espeak-ng", "voice": "en-us+f5"}
BETTER = (("pocketsphinx", "whisper-base", "ear"), ("espeak", "kokoro", "voice"))


def served_by(catalog: Catalog, model_id: str) -> str:
    """Who serves the model's first task: providers in their order, an embedded engine as such, or nobody."""
    model = catalog.model(model_id)
    if model.routes:
        return " → ".join(route.provider for route in model.routes)
    embedded = catalog.embedded.get(model.tasks[0])
    return f"{embedded[0].provider} (stands in)" if embedded else "nobody (no route)"


def serving(catalog: Catalog) -> dict[str, str]:
    """By task, the embedded model that stands in."""
    return {task: routes[0].model for task, routes in catalog.embedded.items()}


def clear_voice(catalog: Catalog) -> dict[str, str]:
    """The model and the voice that the embedded ear in force hears best; named, so that no configured provider is paid."""
    found = serving(catalog)
    return NATURAL if (found.get("transcription"), found.get("speech")) == ("whisper-base", "kokoro") else ROBOTIC


def stand_ins(catalog: Catalog, damaged: Mapping[str, str]) -> str:
    """One line for the start-up block; `damaged` weights by name, with what is wrong with them."""
    without = [model for model in catalog.models.values() if not model.routes]
    if not without:
        return "every model has a configured route"
    if not catalog.embedded:
        return f"{len(without)} models have no route and answer 503 (STENOPOOL_EMBEDDED_ENGINES=off)"
    names = sorted(
        {catalog.embedded[model.tasks[0]][0].provider for model in without if model.tasks[0] in catalog.embedded}
    )
    told = (
        f"{' and '.join(names)} stand in for {len(without)} models without a configured route; see `stenopool models`"
    )
    better = [_better(name, what, damaged) for engine, name, what in BETTER if engine in names]
    return "; ".join((told, *better))


def _better(name: str, what: str, damaged: Mapping[str, str]) -> str:
    install = f"`stenopool models install {name}`"
    return (
        f"{name} is damaged, {damaged[name]}; {install} replaces it"
        if name in damaged
        else f"{install} gives a better {what}"
    )
