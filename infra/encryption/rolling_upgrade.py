"""When sealing may begin: once every worker that lives, or fell silent not long ago, can open what is sealed.

Workers of the version before this one sign with whatever stands in the row. So a new process reads both forms and writes plain
text beside them; what was written so is sealed afterwards (infra/encryption/resealing.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from infra.worker_heartbeats import WorkerStore

log = logging.getLogger(__name__)

OPENS_SEALED = {"opens_sealed": True}  # what a worker of this version tells of itself
BELIEVED_SECONDS = 2.0  # for which an answer is not asked for again
COUNTED_SECONDS = 600.0  # a worker silent for longer has ended


class EverybodyOpens:
    """Asks the rows of the workers, a few times a minute at most; safe between threads."""

    def __init__(self, workers: WorkerStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at = -BELIEVED_SECONDS
        self._answer = False

    def __call__(self) -> bool:
        """Raises DatabaseUnavailable."""
        with self._lock:
            if self._clock() - self._asked_at >= BELIEVED_SECONDS:
                self._answer = self._ask()
                self._asked_at = self._clock()
            return self._answer

    def _ask(self) -> bool:
        old = [
            worker.id for worker in self._workers.alive(COUNTED_SECONDS) if not (worker.facts or {}).get("opens_sealed")
        ]
        if old and self._answer:
            log.warning("secrets are written in plain text again, because of workers of an older version: %s", old)
        return not old
