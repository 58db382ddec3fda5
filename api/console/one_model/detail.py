"""The page of one model. Its prices are asked for again while it is open: the ratio may change at any time."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from api.console.pages import PageRoute, render
from api.console.v1_client import V1
from api.console.visit import SignedIn
from pipeline.text.languages import NAMES

router = APIRouter(route_class=PageRoute, include_in_schema=False)
LANGUAGES = {"python": "Python", "node": "Node.js", "curl": "curl"}


@router.get("/console/models/{model_id:path}")
async def show(request: Request, visit: SignedIn, model_id: str, task: str = "", part: str = "") -> Response:
    """For the task that is asked for, else the one it is for in the first place; or the prices alone."""
    model = await V1(request, visit).get(f"/v1/models/{quote(model_id, safe='')}")
    facts = {"model": model, "address": f"/console/models/{quote(model['id'], safe='')}"}
    if part == "prices":
        return render(request, visit, "model/prices.html", fragment=True, **facts)
    return render(request, visit, "model/page.html", **facts, **_of_task(model, task))


def _of_task(model: dict[str, Any], task: str) -> dict[str, Any]:
    chosen = task if task in model["tasks"] else model["task"]
    endpoint = next(one for one in model["endpoints"] if one["task"] == chosen)
    samples = [(LANGUAGES[name], name, source) for name, source in model["examples"][chosen].items()]
    languages = [NAMES.get(code, code) for code in model["languages"]]
    return {"task": chosen, "endpoint": endpoint, "samples": samples, "spoken": sorted(languages)}
