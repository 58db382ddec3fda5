"""A job's transcript on its way out: every format with the captions' options, what it will look like, and what it violates."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from api.console.pages import PageRoute, render
from api.console.v1_client import V1
from api.console.visit import SignedIn
from api.dependencies import JOBS
from pipeline import formats
from pipeline.captions.options import Layout

router = APIRouter(route_class=PageRoute, include_in_schema=False)
PAGE = "/console/jobs/{job_id}/export"
SHOWN = 6000  # characters of the preview
USUAL = Layout()
KNOBS: tuple[tuple[str, str, float, float, float], ...] = (  # name, label, least, most, usual
    ("max_line_chars", "Characters per line", 10, 250, USUAL.max_line_chars),
    ("max_lines", "Lines", 1, 8, USUAL.max_lines),
    ("chars_per_second", "Characters per second", 5, 100, USUAL.chars_per_second),
    ("min_cue", "Shortest caption, ms", 0, 10_000, USUAL.min_cue),
    ("max_cue", "Longest caption, ms", 1000, 60_000, USUAL.max_cue),
    ("min_gap", "Gap between captions, ms", 0, 1000, USUAL.min_gap),
)
CHOICES = ("format", "suspect", "revision")


@router.get(PAGE)
async def show(request: Request, visit: SignedIn, job_id: str) -> Response:
    """The form, and with it the preview of what is chosen in its address."""
    job = await V1(request, visit).get(f"{JOBS}/{job_id}")
    facts = {"job": job, "knobs": KNOBS, "formats": formats.names(), "chosen": _chosen(request)}
    return render(request, visit, "job/export.html", **facts, **await _preview(request, visit, job_id))


@router.get(PAGE + "/preview")
async def preview(request: Request, visit: SignedIn, job_id: str) -> Response:
    """The preview alone, whenever something is changed."""
    facts = await _preview(request, visit, job_id)
    return render(request, visit, "job/preview.html", fragment=True, **facts)


def _chosen(request: Request) -> dict[str, str]:
    names = (*CHOICES, *(name for name, *_ in KNOBS))
    given = {name: request.query_params[name] for name in names if request.query_params.get(name)}
    return {"format": "srt", "revision": "latest", **given}


async def _preview(request: Request, visit: SignedIn, job_id: str) -> dict[str, Any]:
    """Raises Refused, in the API's own words."""
    v1, chosen = V1(request, visit), _chosen(request)
    answer = await v1.answer("GET", f"{JOBS}/{job_id}/transcript", params=chosen)
    counted = await v1.get(f"{JOBS}/{job_id}/transcript/violations", **chosen)
    return {
        "written": answer.text[:SHOWN],
        "is_cut": len(answer.text) > SHOWN,
        "counted": counted,
        "download": f"/console/v1/audio/jobs/{job_id}/transcript?{urlencode(chosen)}",
        "filename": answer.headers["content-disposition"].partition('filename="')[2].rstrip('"'),
    }
