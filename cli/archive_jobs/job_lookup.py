"""Whether recordings were sent before: those that ask within a moment share one question."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from cli.client import MOST_IDS, Client

MOMENT = 0.1  # seconds for which the first one waits for others
Known = dict[str, Any] | None


class JobLookup:
    """Finds the newest job of a content by its key. Thread-safe."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked: dict[str, Future[Known]] = {}
        self._changed = threading.Condition()

    def job_of(self, key: str) -> Known:
        """None where there is none. Raises ApiAway, ApiRefused."""
        with self._changed:
            first, waiting = not self._asked, self._asked.setdefault(key, Future())
            self._changed.notify_all()
            if first:
                self._changed.wait_for(lambda: len(self._asked) >= MOST_IDS, MOMENT)
                asked, self._asked = self._asked, {}
        if first:
            self._ask(asked)
        return waiting.result()

    def _ask(self, asked: dict[str, Future[Known]]) -> None:
        try:
            found = self._client.jobs_called(list(asked))
        except BaseException as error:
            for waiting in asked.values():
                waiting.set_exception(error)
            raise
        for key, waiting in asked.items():
            waiting.set_result(found.get(key))
