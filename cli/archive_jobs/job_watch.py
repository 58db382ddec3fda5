"""One question for all jobs that somebody waits for."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from cli.archive.hearer import Waits
from cli.archive.throttle import Stopped
from cli.client import MOST_IDS, Client
from cli.exits import ApiRefused
from pipeline.errors import StenopoolError
from pipeline.lifecycle import TERMINAL

SOONEST, LATEST = 0.4, 5.0  # seconds between two questions
LONGEST_CLOSE = 1.0  # second; a question may be on its way for longer
Awaited = tuple["Future[dict[str, Any]]", Waits]


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
        """Whether somebody new waits. However many come, nobody is asked again at once: each question is for all."""
        with self._changed:
            if self._changed.wait_for(lambda: self._closed, min(SOONEST, seconds)):
                return False
            return self._changed.wait_for(
                lambda: self._closed or len(self._awaited) > known, max(0.0, seconds - SOONEST)
            )

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
