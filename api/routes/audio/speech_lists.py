"""What Open WebUI and Home Assistant's openai_tts ask before they speak: names of models and voices, and they send no key."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.dependencies import Context
from api.openapi.document import answers
from pipeline.catalog.catalog import Catalog

router = APIRouter(prefix="/v1/audio", tags=["models"])


def speaking(catalog: Catalog) -> list[str]:
    """The models that speak here and now."""
    return [
        model.id for model in catalog.models.values() if "speech" in model.tasks and catalog.served(model.id, "speech")
    ]


@router.head("/models", include_in_schema=False)
@router.get("/models", summary="List the models that speak, by name")
async def list_speaking_models(context: Context) -> dict[str, list[dict[str, str]]]:
    """Public, and nothing but names: `GET /v1/models` tells the rest to holders of a key."""
    return {"models": [{"id": name} for name in speaking(context.services.catalog)]}


@router.head("/voices", include_in_schema=False)
@router.get("/voices", summary="List the voices, by name", responses=answers(s404="No such model."))
async def list_voices(
    context: Context, model: Annotated[str | None, Query(description="Of this model; of all of them if unset.")] = None
) -> dict[str, list[dict[str, str]]]:
    """Public, and nothing but names: `GET /v1/models/{model}` tells how they sound."""
    catalog = context.services.catalog
    models = speaking(catalog) if model is None else [model]
    names = dict.fromkeys(voice.id for name in models for voice in catalog.voices(name))
    return {"voices": [{"id": name, "name": name} for name in names]}
