"""Events as a consumer will get them, for tests of its endpoint: made by the functions that make the real ones."""

from __future__ import annotations

from typing import Any

from infra.batches.bulk_plan import BULK
from infra.batches.events import batch_facts
from infra.database.tables.batches import Batch
from infra.database.tables.jobs import Job
from infra.webhooks.outbox import BATCH_EVENTS, BULK_EVENTS, JOB_EVENTS, PROCESSING_EVENT, WAITING_EVENT, job_facts
from pipeline.lifecycle import Dependency, JobStatus, Stage

JOB_ID, BATCH_ID, BULK_ID = "job_sample", "batch_sample", "bulk_sample"
ERROR = {"code": "deadline_exceeded", "message": "The work did not finish within its time.", "retryable": False}
WAITING = {"code": "provider_unavailable", "message": "The provider is away."}


def sample(event_type: str, base: str = "") -> dict[str, Any] | None:
    """The `data` of such an event, whose URLs begin with `base`; None for the types that tell of an endpoint or a balance."""
    status = event_type.rpartition(".")[2]
    if event_type in JOB_EVENTS:
        return job_facts(_job(status), base)
    if event_type == PROCESSING_EVENT:
        return job_facts(_job(JobStatus.PROCESSING), base)
    if event_type == WAITING_EVENT:
        stage = Stage.waiting_for(Dependency.PROVIDER)
        return job_facts(_job(JobStatus.PROCESSING), base) | {"waiting": {"stage": str(stage), **WAITING}}
    if event_type in BATCH_EVENTS:
        return batch_facts(_batch(BATCH_ID, "batch", status))
    if event_type in BULK_EVENTS:
        return batch_facts(_batch(BULK_ID, BULK, status))
    return None


def _job(status: str) -> Job:
    return Job(
        id=JOB_ID,
        account_id="",
        task="transcription",
        model="whisper-1",
        status=status,
        request={},
        input={},
        client_reference_id="your-own-reference",
        meta={"your": "metadata"},
        error=ERROR if status in (JobStatus.FAILED, JobStatus.EXPIRED) else None,
        run_at=0.0,
        created_at=0.0,
    )


def _batch(batch_id: str, kind: str, status: str) -> Batch:
    return Batch(
        id=batch_id,
        account_id="",
        kind=kind,
        endpoint="/v1/audio/transcriptions",
        input_file_id="",
        completion_window="24h",
        status=status,
        created_at=0.0,
        expires_at=0.0,
    )
