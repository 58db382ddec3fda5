"""What /v1/batches takes and shows, in OpenAI's shapes."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, field_validator

from api.schemas.files import ExpiresAfter
from infra.batches.dialects import ENDPOINTS
from infra.database.tables.batches import Batch
from infra.requests.audio_options import Lenient
from infra.requests.job_object import CURRENCY, epoch
from infra.requests.job_request import Key, Value
from infra.requests.number_bounds import EpochSeconds
from pipeline.money import usd

SHORTEST, LONGEST = 24 * 3600, 7 * 24 * 3600  # seconds of a window
_WINDOW = re.compile(r"([1-9]\d{0,2})([hd])", re.ASCII)
_UNIT = {"h": 3600, "d": 24 * 3600}
MOVES = ("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at")
ENDED = ("completed", "cancelled", "expired")


class BatchFields(Lenient):
    """What POST /v1/batches takes."""

    input_file_id: str = Field(min_length=1, max_length=200, description="A file of the purpose `batch`: JSON lines.")
    endpoint: str = Field(max_length=100, description=f"What every line asks: {', '.join(ENDPOINTS)}.")
    completion_window: str = Field(max_length=10, description="`24h` to `7d`: what has not run by then does not run.")
    metadata: Annotated[dict[Key, Value] | None, Field(max_length=16)] = None
    complete_by: EpochSeconds | None = Field(
        None,
        description="Epoch seconds: its lines, which have the priority low, become normal when they would else be late.",
    )
    output_expires_after: ExpiresAfter | None = Field(None, description="Unset: the output is kept for 30 days.")

    @field_validator("endpoint")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        if value not in ENDPOINTS:
            raise ValueError(f"There is no such endpoint for batches. Offered: {', '.join(ENDPOINTS)}.")
        return value

    @field_validator("completion_window")
    @classmethod
    def _window(cls, value: str) -> str:
        if not SHORTEST <= window_seconds(value) <= LONGEST:
            raise ValueError('A completion_window is "24h" to "7d".')
        return value


def window_seconds(text: str) -> int:
    """ "36h" and "3d" in seconds; 0 for what is neither."""
    found = _WINDOW.fullmatch(text)
    return int(found[1]) * _UNIT[found[2]] if found else 0


def batch_object(batch: Batch) -> dict[str, Any]:
    """All of OpenAI's keys, always; `complete_by`, `cost`, `usage`, `partial` and `waiting` are ours."""
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "input_file_id": batch.input_file_id,
        "completion_window": batch.completion_window,
        "status": batch.status,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "created_at": epoch(batch.created_at),
        "expires_at": epoch(batch.expires_at),
        **{name: epoch(getattr(batch, name)) for name in MOVES},
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "metadata": batch.meta,
        "complete_by": epoch(batch.complete_by),
        "partial": batch.status in ENDED and batch.completed < batch.total,
        "waiting": batch.waiting and {name: batch.waiting.get(name) for name in ("code", "message", "param")},
        "cost": {"currency": CURRENCY, "captured": usd(batch.captured_micro)},
        "usage": {"type": "duration", "seconds": batch.audio_ms / 1000},
    }
