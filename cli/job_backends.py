"""The two ways to look after jobs: over HTTP as one account, or in the database as the operator of all of them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

from cli.client import Client
from cli.environment import named_database, settings
from infra.audit.audit_log import record_job
from infra.database.tables.jobs import Job
from infra.jobs.store import JobStore
from infra.jobs.timing.phases import timing_of
from infra.jobs.transitions import try_number
from infra.operator_queries import OperatorQueries
from pipeline.errors import InvalidRequest
from pipeline.lifecycle import JobStatus
from pipeline.quality.omissions import caution_as_dict, findings_from_dict, gaps_of, is_incomplete
from pipeline.transcript import SAMPLE_RATE


class JobBackend(Protocol):
    """Jobs as plain values: the API's job object, or the part of it that the row holds."""

    def list(self, *, limit: int, **wanted: str | None) -> list[dict[str, Any]]:
        """The latest ones that have the values `wanted`: `status`, `account_id`, `task`, `model`, `client_reference_id`."""
        ...

    def show(self, job_id: str) -> dict[str, Any]: ...

    def act(self, job_id: str, action: str) -> dict[str, Any]:
        """`cancel` or `retry`. Raises WrongState, NotFound, or ApiRefused."""
        ...


class HttpJobs:
    """What the key's account may see."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, *, limit: int, **wanted: str | None) -> list[dict[str, Any]]:
        if wanted.pop("account_id", None) is not None:
            told = "--account is for the operator, in the database: leave out --base-url and STENOPOOL_BASE_URL."
            raise InvalidRequest(told, param="--account")
        return list(itertools.islice(self._client.jobs(limit=min(limit, 100), **wanted), limit))

    def show(self, job_id: str) -> dict[str, Any]:
        return self._client.job(job_id)

    def act(self, job_id: str, action: str) -> dict[str, Any]:
        return self._client.act(job_id, action)


class DatabaseJobs:
    """Every account's jobs. What it changes is told to the workers by the sweep, within a second."""

    def __init__(self, store: JobStore, operator_queries: OperatorQueries) -> None:
        self._store = store
        self._overview = operator_queries

    def list(self, *, limit: int, **wanted: str | None) -> list[dict[str, Any]]:
        return [job_facts(job) for job in self._overview.jobs(limit=limit, **wanted)]

    def show(self, job_id: str) -> dict[str, Any]:
        return job_facts(self._overview.job(job_id))

    def act(self, job_id: str, action: str) -> dict[str, Any]:
        account_id = self._overview.job(job_id).account_id
        if action == "cancel":
            return job_facts(self._store.cancel(account_id, job_id, within=partial(record_job, "job.cancel")))
        return job_facts(self._store.retry(account_id, job_id, within=partial(record_job, "job.retry")))


@contextlib.contextmanager
def open_job_backend(base_url: str | None, api_key: str | None) -> Iterator[JobBackend]:
    """Over HTTP where a base URL is given, else the configured database."""
    if base_url:
        with Client(base_url, api_key) as client:
            yield HttpJobs(client)
        return
    chosen = settings()
    with named_database(chosen) as database:
        store = JobStore(database, lease_seconds=chosen.lease_seconds, max_attempts=chosen.max_attempts)
        yield DatabaseJobs(store, OperatorQueries(database))


def job_facts(job: Job) -> dict[str, Any]:
    """A row under the names of the API's job object, and the account it belongs to."""
    findings = findings_from_dict(job.input.get("findings"))
    return {
        "id": job.id,
        "account_id": job.account_id,
        "task": job.task,
        "status": job.status,
        "created_at": job.created_at,
        "processing_at": job.processing_at,
        "completed_at": job.completed_at,
        "failed_at": job.failed_at,
        "client_reference_id": job.client_reference_id,
        "input": {name: value for name, value in job.input.items() if name != "findings"},
        "model": job.model,
        "model_used": job.model_used,
        "progress": {
            "stage": job.stage,
            "percent": _percent(job),
            "chunks": {
                "total": job.chunks_total if job.cut_done else None,
                "completed": job.chunks_completed,
                "failed": job.chunks_failed,
                "retried": job.chunks_retried,
            },
        },
        "partial": job.partial,
        "incomplete": is_incomplete(findings),
        "gaps": gaps_of(findings, job.gaps or ()),
        "warnings": [caution_as_dict(caution) for caution in findings.warnings],
        "error": job.error,
        "timing": timing_of(job),
        "attempt": try_number(job),
        "worker": job.worker,
        "expires_at": job.expires_at,
    }


def _percent(job: Job) -> float:
    if job.status == JobStatus.COMPLETED:
        return 100.0
    expected = float(job.input.get("expected_ms") or 0) / 1000 * SAMPLE_RATE
    decoded = job.cut_done or job.input.get("duration")
    total = job.audio_samples if decoded else expected and max(expected, job.audio_samples)
    return min(99.9, round(100 * job.samples_done / total, 1)) if total else 0.0
