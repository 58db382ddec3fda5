"""New: drop files, paste a URL, record, or try a sample."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.console.pages import PageRoute, render
from api.console.v1_client import V1
from api.console.visit import SignedIn

router = APIRouter(route_class=PageRoute, include_in_schema=False)
HEARS = frozenset({"transcription", "translation"})


@router.get("/console/new")
async def show(request: Request, visit: SignedIn) -> Response:
    """The form, with the models that hear and the balance."""
    v1 = V1(request, visit)
    models = [model for model in (await v1.get("/v1/models"))["data"] if HEARS & set(model["tasks"])]
    return render(request, visit, "new.html", models=models, balance=await v1.get_or_none("/v1/balance"))
