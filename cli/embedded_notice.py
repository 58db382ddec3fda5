"""Which models the embedded engines stand in for, in words: nobody shall think that whisper was here."""

from __future__ import annotations

from pipeline.catalog.catalog import Catalog


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


def stand_ins(catalog: Catalog) -> str:
    """One line for the start-up block."""
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
    return f"{told}; `stenopool models install whisper-base` gives a better ear" if "pocketsphinx" in names else told
