"""What an answer says of how it was made."""

from __future__ import annotations

import time
from typing import Any

from fastapi import Request

from infra.database.tables.jobs import Job
from pipeline.money import usd, usd_text
from pipeline.transcript import Transcript

NOBODY = "none"  # a recording without speech is sent to nobody


def milliseconds(request: Request) -> int:
    """How long this request has been here."""
    began: float = request.state.started_at
    return round((time.monotonic() - began) * 1000)


def perf_headers(request: Request, model_used: str, *, most: int | None = None) -> dict[str, str]:
    """The headers of every answer with sound or about sound. Where nobody knows yet what it costs, `most` is what it never
    exceeds, in micro-dollars; the latency is that until the headers leave.
    """
    told = {"x-perf-model-used": model_used or NOBODY, "x-perf-latency-ms": str(milliseconds(request))}
    micro = cost(request)
    if micro is not None:
        return told | {"x-perf-cost-usd": cost_text(micro)}
    return told if most is None else told | {"x-perf-cost-usd-max": cost_text(most)}


def job_headers(request: Request, job: Job) -> dict[str, str]:
    """The same for what a job has made: its cost, and this answer's own latency."""
    latency = str(milliseconds(request))
    made = {"x-perf-model-used": job.model_used or NOBODY, "x-perf-cost-usd": cost_text(job.captured_micro)}
    return made | {"x-perf-latency-ms": latency}


def omission_headers(transcript: Transcript) -> dict[str, str]:
    """How much there is to tell, which formats of text cannot: how many gaps and warnings, each only where there are some."""
    counts = (("x-perf-gaps", transcript.gaps), ("x-perf-warnings", transcript.warnings))
    return {name: str(len(found)) for name, found in counts if found}


def cost_text(micro: int) -> str:
    """As headers write it."""
    return usd_text(micro) if micro else "0"


def cost(request: Request) -> int | None:
    """Micro-dollars; None while nobody can know."""
    micro: int | None = getattr(request.state, "cost", 0)
    return micro


def perf(request: Request, model_used: str, audio_ms: int) -> dict[str, Any]:
    """The same in a body."""
    return {
        "request_id": request.state.own_id,
        "model_used": model_used or NOBODY,
        "audio_duration_seconds": audio_ms / 1000,
        "cost_usd": usd(cost(request) or 0),
        "latency_ms": milliseconds(request),
    }
