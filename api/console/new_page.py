"""New: drop files, paste a URL, record, or try a sample."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from api.console.pages import STATIC, PageRoute, form_of, render
from api.console.v1_client import V1
from api.console.visit import SignedIn
from pipeline.text.languages import NAMES

router = APIRouter(route_class=PageRoute, include_in_schema=False)
HEARS = frozenset({"transcription", "translation"})
PREFERRED = "whisper-1"  # it tells when each word was said, whoever serves it
FREE = "whisper-base"  # of this machine: a sample never spends money at a configured provider
SAMPLE = "sample.mp3"
LANGUAGES = sorted(((code, name.capitalize()) for code, name in NAMES.items()), key=lambda pair: pair[1])


@router.get("/console/new")
async def show(request: Request, visit: SignedIn) -> Response:
    """The form, with the models that hear and the balance."""
    v1 = V1(request, visit)
    models = [model for model in (await v1.get("/v1/models"))["data"] if HEARS & set(model["tasks"])]
    facts = {
        "models": models,
        "chosen": _chosen(models, PREFERRED),
        "languages": LANGUAGES,
        "balance": await v1.get_or_none("/v1/balance"),
        "readiness": await v1.readiness(),
    }
    return render(request, visit, "new.html", **facts)


@router.post("/console/sample")
async def sample(request: Request, visit: SignedIn) -> Response:
    """A job over a recording of ours, and to its page."""
    await form_of(request, visit)
    v1 = V1(request, visit)
    model = _chosen((await v1.get("/v1/models"))["data"], FREE)
    sound = (STATIC / SAMPLE).read_bytes()
    given = {"model": model, "language": "en"}
    answer = await v1.answer("POST", "/v1/audio/jobs", data=given, files={"file": (SAMPLE, sound, "audio/mpeg")})
    return RedirectResponse(f"/console/jobs/{answer.json()['id']}", 303)


def _chosen(models: list[dict[str, Any]], preferred: str) -> str:
    """That one where it is served, else the first that is."""
    served = [model["id"] for model in models if model["available"] and HEARS & set(model["tasks"])]
    return preferred if preferred in served or not served else str(served[0])
