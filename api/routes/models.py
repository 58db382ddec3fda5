"""GET /v1/models: the catalog, in OpenAI's shape with our facts beside."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from api.deps import TheDesk
from api.documented import answers
from pipeline import formats
from pipeline.catalog import Catalog, Model
from pipeline.options import SPEECH_FORMATS

router = APIRouter(prefix="/v1", tags=["models"])
CREATED = 1_767_225_600  # 2026-01-01; the catalog does not say when its models were made, and SDKs want a number


def model_object(catalog: Catalog, model: Model) -> dict[str, Any]:
    """One model: id, object, created, owned_by as every client expects, then task, formats, prices, availability."""
    offered = SPEECH_FORMATS if model.tasks == ("speech",) else model.formats or formats.names()
    prices = model.prices.model_dump(mode="json", exclude_none=True)
    return {
        "id": model.id,
        "object": "model",
        "created": CREATED,
        "owned_by": model.owned_by,
        "tasks": list(model.tasks),
        "formats": list(offered),
        "languages": list(model.languages),
        "prices": {"currency": "usd", **prices},
        "available": catalog.available(model.id),
    }


@router.head("/models", include_in_schema=False)
@router.get("/models", summary="List the models")
async def list_models(desk: TheDesk) -> dict[str, Any]:
    """Every model of the catalog; not paginated, as OpenAI's."""
    catalog = desk.services.catalog
    return {"object": "list", "data": [model_object(catalog, model) for model in catalog.models.values()]}


@router.head("/models/{model_id:path}", include_in_schema=False)
@router.get("/models/{model_id:path}", summary="Show one model", responses=answers(s404="No such model."))
async def show_model(model_id: str, desk: TheDesk) -> dict[str, Any]:
    """An id may contain slashes; SDKs percent-encode them."""
    catalog = desk.services.catalog
    return model_object(catalog, catalog.model(model_id))
