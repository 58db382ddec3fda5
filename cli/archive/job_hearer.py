"""Hears by the jobs of a Stenopool: each recording one job, found again after a crash, and one question for all that run."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from decimal import Decimal
from fractions import Fraction
from http import HTTPStatus
from typing import Any

from cli.archive.hearer import Answer, JobFailed, NotKnown, Price, Recording, SourceChanged, Waits
from cli.archive.plan import Hearing
from cli.archive.throttle import Stopped
from cli.client import MOST_IDS, Client
from cli.exits import ApiRefused
from pipeline.errors import StenopoolError
from pipeline.lifecycle import TERMINAL, JobStatus
from pipeline.options import DIARIZED
from pipeline.transcript import Transcript, transcript_from_json

SOONEST, LATEST = 0.4, 5.0  # seconds between two questions for all jobs that run
HOUR_MS = 3_600_000
WHOLE = "full_json"  # the one format from which all others can be written
LONGEST_METADATA = 512  # characters
LONGEST_CLOSE = 1.0  # second; a question may be on its way for longer
GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
Awaited = tuple["Future[dict[str, Any]]", Waits]


class JobHearer:
    """One account's jobs."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._watch = JobWatch(client)

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
        return next(self._client.jobs(client_reference_id=recording.key, limit=1), None)

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
        whole = json.loads(self._client.transcript(job["id"], WHOLE))
        return transcript_from_json(json.dumps(whole["transcript"]).encode())


class JobWatch:
    """Asks for all jobs that somebody waits for at once: soon again while some end, less often while none does."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._awaited: dict[str, Awaited] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._look_on, name="job watch", daemon=True)
        self._thread.start()

    def end_of(self, job: dict[str, Any], waits: Waits) -> dict[str, Any]:
        """The job once it has ended; `waits` is told meanwhile why nobody works on it.

        Raises Stopped, ApiRefused for a job that was deleted, ApiAway.
        """
        if job["status"] in TERMINAL:
            return job
        with self._changed:
            if self._closed:
                raise Stopped
            waiting, _ = self._awaited.setdefault(job["id"], (Future(), waits))
            self._changed.notify_all()
        return waiting.result()

    def close(self) -> None:
        """Whoever waits gets Stopped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(LONGEST_CLOSE)
        self._fail(Stopped())

    def _look_on(self) -> None:
        pause = SOONEST
        while True:
            with self._changed:
                while not self._awaited and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                ids = list(self._awaited)
            ended = self._look(ids)
            pause = SOONEST if ended else min(LATEST, pause * 1.3)
            if self._sleep(pause, len(ids)):
                pause = SOONEST

    def _sleep(self, seconds: float, known: int) -> bool:
        """Whether somebody new waits."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or len(self._awaited) > known, seconds)

    def _look(self, ids: list[str]) -> int:
        """How many have ended."""
        ended = 0
        for start in range(0, len(ids), MOST_IDS):
            some = ids[start : start + MOST_IDS]
            try:
                found = {job["id"]: job for job in self._client.jobs_of(some)}
            except StenopoolError as error:
                for job_id in some:
                    self._settle(job_id, error)
                continue
            for job_id in some:
                ended += self._told(job_id, found.get(job_id))
        return ended

    def _told(self, job_id: str, job: dict[str, Any] | None) -> bool:
        if job is None:
            self._settle(job_id, ApiRefused("The job was deleted.", status=404, code="not_found"))
            return True
        if job["status"] in TERMINAL:
            self._settle(job_id, job)
            return True
        if told := job.get("waiting"):
            self._tell(job_id, str(told["code"]), str(told["message"]))
        return False

    def _tell(self, job_id: str, code: str, message: str) -> None:
        with self._changed:
            _, waits = self._awaited.get(job_id, (None, _nobody))
        waits(code, message)

    def _settle(self, job_id: str, outcome: dict[str, Any] | StenopoolError) -> None:
        with self._changed:
            waiting, _ = self._awaited.pop(job_id, (Future(), _nobody))
        if isinstance(outcome, StenopoolError):
            waiting.set_exception(outcome)
        else:
            waiting.set_result(outcome)

    def _fail(self, error: Exception) -> None:
        with self._changed:
            waiting, self._awaited = list(self._awaited.values()), {}
        for one, _ in waiting:
            one.set_exception(error)


def _nobody(_code: str, _message: str) -> None:
    """Nobody waits for it any more."""


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
