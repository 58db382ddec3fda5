"""Who uses the servers meanwhile: some ask and wait for the answer, others submit jobs and look until they have ended."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import httpx2

from tests.support.recordings import Recording, long, short

PATIENCE = 120.0  # seconds for an answer, and for the end of a job
LOOK_SECONDS = 0.3  # between two looks at a job
LATENCY = 1.0  # seconds of every call to a provider
JOB_SECONDS = 8.0  # of sound, which is several chunks
MODELS = ("oracle", "far")  # of cpu workers, and of io workers


@dataclass
class Clients:
    """`answered` and `completed` count; `wrong` says what should not have happened."""

    url: str
    key: str
    webhook: str
    answered: int = 0
    completed: list[str] = field(default_factory=list)  # ids
    wrong: list[str] = field(default_factory=list)
    _number: "count[int]" = field(default_factory=count)
    _stop: threading.Event = field(default_factory=threading.Event)

    def ask(self, client: httpx2.Client) -> None:
        """One request, answered with its words."""
        recording = short(next(self._number))
        form = {"model": "paid", "prompt": f"oracle: latency={LATENCY}", "response_format": "json"}
        answer = client.post("/v1/audio/transcriptions", data=form, files={"file": ("a.wav", recording.wav)})
        if self._is_good(answer) and self._has(recording, answer.json()["text"]):
            self.answered += 1

    def submit(self, client: httpx2.Client) -> None:
        """One job, from the upload to its transcript."""
        number = next(self._number)
        recording = long(JOB_SECONDS, seed=1000 + number)
        form = {"model": MODELS[number % 2], "prompt": f"oracle: latency={LATENCY}", "webhook[url]": self.webhook}
        answer = client.post("/v1/audio/jobs", data=form, files={"file": ("a.wav", recording.wav)})
        if not self._is_good(answer):
            return
        place, until = f"/v1/audio/jobs/{answer.json()['id']}", time.monotonic() + PATIENCE
        while time.monotonic() < until:
            answer = client.get(place)
            if not self._is_good(answer) or answer.json()["status"] not in ("queued", "processing"):
                break
            time.sleep(LOOK_SECONDS)
        if answer.is_success and answer.json()["status"] == "completed":
            text = client.get(f"{place}/transcript", params={"format": "text"})
            if self._is_good(text) and self._has(recording, text.text):
                self.completed.append(answer.json()["id"])
        else:
            self.wrong.append(f"{place}: {answer.text}")

    @contextmanager
    def at_work(self, askers: int, submitters: int) -> Iterator[None]:
        """So many of each, one request after the other; when the block ends they finish what they have begun."""
        works = [self.ask] * askers + [self.submit] * submitters
        threads = [threading.Thread(target=self._work, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _work(self, work: Callable[[httpx2.Client], None]) -> None:
        headers = {"authorization": f"Bearer {self.key}"}
        with httpx2.Client(base_url=self.url, headers=headers, timeout=PATIENCE, trust_env=False) as client:
            while not self._stop.is_set():
                try:
                    work(client)
                except (httpx2.HTTPError, KeyError, ValueError) as error:
                    self.wrong.append(repr(error))

    def _is_good(self, answer: httpx2.Response) -> bool:
        if not answer.is_success:
            self.wrong.append(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}")
        return answer.is_success

    def _has(self, recording: Recording, text: str) -> bool:
        if text.split() != list(recording.words):
            self.wrong.append(f"heard {text!r} instead of {' '.join(recording.words)!r}")
            return False
        return True
