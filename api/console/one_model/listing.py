"""All models, with what one chooses by."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.console.pages import PageRoute, render
from api.console.v1_client import V1
from api.console.visit import SignedIn

router = APIRouter(route_class=PageRoute, include_in_schema=False)
PRICES = {
    "audio_minute": "a minute",
    "audio_hour": "an hour",
    "thousand_characters": "1,000 characters",
    "million_text_tokens_in": "1M text tokens in",
    "million_audio_tokens_in": "1M audio tokens in",
    "million_text_tokens_out": "1M text tokens out",
    "million_audio_tokens_out": "1M audio tokens out",
}


@router.get("/console/models")
async def show(request: Request, visit: SignedIn, task: str = "") -> Response:
    """Those that do a task, or all."""
    found = (await V1(request, visit).get("/v1/models"))["data"]
    models = [{**model, "priced": _priced(model["prices"])} for model in found if not task or task in model["tasks"]]
    tasks = list(dict.fromkeys(one for model in found for one in model["tasks"]))
    return render(request, visit, "model/list.html", models=models, tasks=tasks, task=task)


def _priced(prices: dict[str, str]) -> list[tuple[str, str]]:
    """The catalog's prices in words; the model's own page has the ratio in force."""
    return [(price, PRICES[name]) for name, price in prices.items() if name in PRICES]
