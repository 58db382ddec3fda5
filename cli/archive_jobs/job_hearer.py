"""Hears by the jobs of a Stenopool: each recording one job, found again after a crash, and one question for all that run."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from http import HTTPStatus
from typing import Any

from cli.archive.hearer import Answer, JobFailed, NotKnown, Price, Recording, SourceChanged, Waits
from cli.archive.plan import Hearing
from cli.archive_jobs.job_lookup import JobLookup
from cli.archive_jobs.job_watch import JobWatch
from cli.client import Client
from cli.exits import ApiRefused
from pipeline.lifecycle import TERMINAL, JobStatus
from pipeline.options import DIARIZED
from pipeline.transcript import Transcript, transcript_from_json

HOUR_MS = 3_600_000
WHOLE = "full_json"  # the one format from which all others can be written
LONGEST_METADATA = 512  # characters
GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


class JobHearer:
    """One account's jobs. `complete_by`: when all of them should have ended, in epoch seconds."""

    def __init__(self, client: Client, *, complete_by: int | None = None) -> None:
        self._client, self._complete_by = client, complete_by
        self._watch, self._lookup = JobWatch(client), JobLookup(client)

    def hear(self, recording: Recording, is_job: Callable[[str], None], waits: Waits) -> Answer:
        job = self._ended(self._begun(recording), recording, is_job, waits)
        try:
            transcript = self._transcript(job)
        except ApiRefused as error:
            if error.details["status"] != HTTPStatus.GONE:
                raise
            job = self._submitted(recording, f"{recording.key}.{job['id']}")  # its result is past its retention
            job = self._ended(job, recording, is_job, waits)
            transcript = self._transcript(job)
        return Answer(transcript, transcript.audio_ms, micro(job))

    def price(self, hearing: Hearing) -> Price | None:
        given = {"model": hearing.model, "language": hearing.language, "duration_seconds": HOUR_MS // 1000}
        told = self._client.estimate({name: value for name, value in given.items() if value is not None})
        limit = self._client.limits().get("transcription_minutes_per_day") or {}
        a_day, work = limit.get("limit"), told.get("work")
        return Price(
            per_ms=Fraction(round(Decimal(str(told["cost"]["estimated"])) * 1_000_000), HOUR_MS),
            bound=any("token" in dimension for dimension in told["prices"]),
            work=work["seconds"] / HOUR_MS if work else None,
            minutes_left=None if a_day is None else max(0.0, a_day - float(limit.get("used") or 0)),
            minutes_a_day=a_day,
        )

    def close(self) -> None:
        self._watch.close()

    def _ended(
        self, job: dict[str, Any], recording: Recording, is_job: Callable[[str], None], waits: Waits
    ) -> dict[str, Any]:
        """The job once it is completed. Raises JobFailed, SourceChanged for one of other bytes."""
        is_job(job["id"])
        if (job.get("input") or {}).get("sha256") not in (None, recording.sha256):
            self._give_up(job)
            raise SourceChanged
        job = self._watch.end_of(job, waits)
        if job["status"] != JobStatus.COMPLETED:
            raise _failure(job)
        return job

    def _begun(self, recording: Recording) -> dict[str, Any]:
        """The job of this content: the one that it was sent as before, or a new one."""
        known = self._known(recording)
        if known is None and recording.only_known:
            raise NotKnown
        if known is None:
            return self._submitted(recording, recording.key)
        ended_badly = known["status"] in TERMINAL - {JobStatus.COMPLETED}
        if recording.anew and known["status"] in TERMINAL:
            return self._submitted(recording, f"{recording.key}.{known['id']}")
        if not ended_badly:
            return known
        if not recording.again and known["status"] == JobStatus.FAILED and not _retryable(known):
            return known
        return self._tried_again(recording, known)

    def _known(self, recording: Recording) -> dict[str, Any] | None:
        if recording.job_id is not None:
            try:
                return self._client.job(recording.job_id)
            except ApiRefused as error:
                if error.details["status"] not in GONE:
                    raise
        return self._lookup.job_of(recording.key)

    def _tried_again(self, recording: Recording, job: dict[str, Any]) -> dict[str, Any]:
        """Only what failed is done again where the server still can; else all of it."""
        try:
            return self._client.act(job["id"], "retry")
        except ApiRefused as error:
            if error.details["status"] not in (*GONE, HTTPStatus.CONFLICT):
                raise
        return self._submitted(recording, f"{recording.key}.{job['id']}")

    def _submitted(self, recording: Recording, idempotency_key: str) -> dict[str, Any]:
        """The one place where a job of an archive is described."""
        hearing, most = recording.hearing, recording.max_cost_micro
        fields = {
            "model": hearing.model,
            "language": hearing.language,
            "response_format": DIARIZED if hearing.diarized else None,
            "priority": "low",
            "complete_by": self._complete_by,
            "max_cost": None if most is None else str(Decimal(most) / 1_000_000),
            "client_reference_id": recording.key,
            "metadata": json.dumps({"source": recording.name[:LONGEST_METADATA], **recording.metadata}),
        }
        return self._client.submit(recording.path, fields, idempotency_key=idempotency_key, filename=recording.filename)

    def _give_up(self, job: dict[str, Any]) -> None:
        try:
            self._client.act(job["id"], "cancel")
        except ApiRefused as error:
            if error.details["status"] != HTTPStatus.CONFLICT:  # it has ended already
                raise

    def _transcript(self, job: dict[str, Any]) -> Transcript:
        """A short one has come with the job."""
        told = job.get("transcript") or json.loads(self._client.transcript(job["id"], WHOLE))["transcript"]
        return transcript_from_json(json.dumps(told).encode())


def micro(job: dict[str, Any]) -> int:
    """What a job has cost, in micro-dollars."""
    return round(Decimal(str((job.get("cost") or {}).get("captured") or 0)) * 1_000_000)


def _retryable(job: dict[str, Any]) -> bool:
    return bool((job.get("error") or {}).get("retryable"))


def _failure(job: dict[str, Any]) -> JobFailed:
    """A job that somebody cancelled, or whose time was over, is nobody's fault."""
    error = job.get("error") or {}
    failed = job["status"] == JobStatus.FAILED
    message = error.get("message") or f"The job is {job['status']}."
    again = _retryable(job) if failed else True
    return JobFailed(message, code=error.get("code") or job["status"], retryable=again, job_id=job["id"])
