"""What an answer says of how it was made."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from api.deps import milliseconds
from pipeline.transcript import Transcript


def perf_headers(request: Request, model_used: str) -> dict[str, str]:
    """The headers of every answer with sound or about sound, where its making is known when they leave."""
    latency = str(milliseconds(request))
    return {"x-perf-model-used": model_used, "x-perf-cost-usd": "0", "x-perf-latency-ms": latency}


def perf(request: Request, transcript: Transcript) -> dict[str, Any]:
    """The same in a body."""
    return {
        "request_id": request.state.request_id,
        "model_used": transcript.model_used,
        "audio_duration_seconds": transcript.duration / 1000,
        "cost_usd": 0,
        "latency_ms": milliseconds(request),
    }


def usage(transcript: Transcript) -> dict[str, Any]:
    """What was used, in measured seconds of sound: no provider's count of tokens is passed on."""
    return {"type": "duration", "seconds": transcript.duration / 1000}
