"""GET /v1/models: the catalog, in OpenAI's shape with our facts beside."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from pathlib import PurePath
from typing import Any

from fastapi import APIRouter, Request

from api.compatibility.shutdown_headers import announce_shutdown
from api.dependencies import AppContext, Caller, Context
from api.openapi.code_samples import ENDPOINTS, origin_of, snippets
from api.openapi.document import answers
from api.uploads.sinks import SYNC_LIMIT
from infra.requests.audio_options import MAX_INPUT
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.model import Model, Prices
from pipeline.options import Task
from pipeline.pricing import in_force

router = APIRouter(prefix="/v1", tags=["models"])
CREATED = 1_767_225_600  # 2026-01-01; the catalog does not say when its models were made, and SDKs want a number


def model_object(catalog: Catalog, model: Model) -> dict[str, Any]:
    """One model: what every client expects, then tasks, formats, prices, availability. Light: there are many in a list."""
    prices = model.prices.model_dump(mode="json", exclude_none=True)
    written = [name for task in model.tasks for name in catalog.formats(model.id, task)]
    return {
        "id": model.id,
        "object": "model",
        "created": CREATED,
        "owned_by": model.owned_by,
        "shutdown_date": model.shutdown and model.shutdown.on.isoformat(),
        "successor": model.shutdown and model.shutdown.successor,
        "task": model.tasks[0],  # what it is for in the first place, and where to ask for that
        "endpoint": ENDPOINTS[model.tasks[0]],
        "tasks": list(model.tasks),
        "formats": list(dict.fromkeys(written)),
        "prices": {"currency": "usd", **prices},
        "available": catalog.available(model.id),
    }


def whole_model(context: AppContext, model: Model, *, base: str, ratio: Decimal = Decimal(1)) -> dict[str, Any]:
    """The same with all that one wants to know before using it; `base` is this server's URL for clients, `ratio` what the price of
    sound is multiplied by for whoever asks."""
    catalog = context.services.catalog
    voices = [voice.model_dump() for voice in catalog.voices(model.id)]
    names = [voice["id"] for voice in voices]
    voice = "alloy" if "alloy" in names or not names else names[0]
    return {
        **model_object(catalog, model),
        "description": model.description,
        "pricing": pricing(model.prices, ratio),
        "aliases": list(model.aliases),
        "facts": model.facts and model.facts.model_dump(mode="json"),
        "endpoints": [_endpoint(catalog, model, task) for task in model.tasks],
        "languages": list(catalog.languages(model.id)),
        "voices": voices,
        "limits": _limits(context, model),
        "examples": {task: snippets(base, model.id, task, voice=voice) for task in model.tasks},
    }


def pricing(prices: Prices, ratio: Decimal) -> dict[str, Any]:
    """Per dimension: the catalog's price, what multiplies it, and what is asked for now."""
    return {
        "currency": "usd",
        "audio_ratio": _plain(ratio),
        "dimensions": [
            {
                "dimension": one.dimension,
                "unit": one.unit,
                "usd": _plain(one.price),
                "ratio": _plain(one.ratio),
                "usd_in_force": _plain(one.price * one.ratio),
            }
            for one in in_force(prices, ratio)
        ],
    }


def _plain(number: Decimal) -> str:
    """Without zeros at its end, and without an exponent."""
    return format(number.normalize(), "f")


def _endpoint(catalog: Catalog, model: Model, task: Task) -> dict[str, Any]:
    """Where to ask for a task, in which formats, and who does the work: the first of `served_by`, else the next."""
    served = catalog.served(model.id, task)
    return {
        "task": task,
        "path": ENDPOINTS[task],
        "formats": list(catalog.formats(model.id, task)),
        "available": bool(served),
        "stand_in": catalog.stands_in(model.id, task),
        "served_by": [{"provider": route.provider, "model": _shown(route.model)} for route in served],
    }


def _shown(name: str) -> str:
    """A model's name at its provider; of a folder on this machine, its last part only."""
    return PurePath(name).name if name.startswith(("/", "~", ".")) else name


def _limits(context: AppContext, model: Model) -> dict[str, Any]:
    """Of one call, and of a job, for what the model does."""
    settings, own = context.services.settings, model.limits
    told: dict[str, Any] = {}
    if "speech" in model.tasks:
        told["max_characters"] = least(own.max_characters, MAX_INPUT)
    if model.tasks != ("speech",):
        told["max_bytes"] = least(own.max_bytes, SYNC_LIMIT)
        told["max_seconds"] = own.seconds(settings.max_audio_seconds)
        told["jobs"] = {"max_bytes": settings.max_upload_bytes, "max_seconds": settings.max_audio_seconds}
    return told


def least(own: int | None, general: int) -> int:
    """The narrower of a model's own limit and everybody's."""
    return general if own is None else min(own, general)


@router.head("/models", include_in_schema=False)
@router.get("/models", summary="List the models")
async def list_models(context: Context) -> dict[str, Any]:
    """Every model of the catalog; not paginated, as OpenAI's."""
    catalog = context.services.catalog
    return {"object": "list", "data": [model_object(catalog, model) for model in catalog.models.values()]}


@router.head("/models/{model_id:path}", include_in_schema=False)
@router.get("/models/{model_id:path}", summary="Show one model", responses=answers(s404="No such model."))
async def show_model(model_id: str, request: Request, context: Context, caller: Caller) -> dict[str, Any]:
    """With its voices, languages, limits, an example to run for each of its tasks, and its prices as they are for you at this
    moment: `pricing` has each with the audio ratio that is in force. An id may contain slashes, which
    SDKs percent-encode; another name of a model shows that model."""
    model = context.services.catalog.model(model_id)
    announce_shutdown(request, model)
    base = context.services.settings.public_url or origin_of(str(request.base_url))
    ratio = await context.query(partial(context.services.ratios.of, model.id, caller.account_id))
    return whole_model(context, model, base=f"{base}/v1", ratio=ratio)
