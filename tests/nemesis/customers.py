"""Those who send work in, whatever happens to the installation, and remember what they sent."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2

from infra.webhooks.signing_secrets import new_secret
from tests.support.recordings import Recording, long, short

THREADS = 16
PATIENCE = 15.0  # seconds for an answer
PAUSE = 0.5  # seconds before it is tried again
WITHIN = 0.8  # of the run
NEAR = 0.4  # of the jobs are heard by the workers themselves
LONG = 0.4  # of the jobs have several chunks
RUNNING = 409  # the same request, made before, is still under way


@dataclass
class Order:
    """One job as its customer knows it: `at` seconds after the start it is sent in, with the same key each time."""

    number: int
    at: float
    model: str
    recording: Recording
    key: str
    secret: str
    tries: int = 0
    job_id: str | None = None
    refused: str | None = None


def orders(seed: int, jobs: int, duration: float) -> list[Order]:
    """Drawn from the seed; no two have the same sound."""
    draw = random.Random(f"orders {seed}")
    made = []
    for number in range(jobs):
        recording = long(draw.uniform(5, 14), seed=1000 * seed + number) if draw.random() < LONG else short(number)
        model = "near" if draw.random() < NEAR else "far"
        at = draw.uniform(0, WITHIN * duration)
        made.append(Order(number, at, model, recording, f"nemesis-{seed}-{number}", new_secret()))
    return sorted(made, key=lambda order: order.at)


class Customers:
    """A few threads; each takes the next order when its time has come, and asks until it is taken or refused for good."""

    def __init__(self, ordered: Sequence[Order], ports: Sequence[int], key: str, hook: str) -> None:
        self._orders, self._ports, self._hook = ordered, ports, hook
        self._headers = {"authorization": f"Bearer {key}"}
        self._next = iter(ordered)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._began = time.monotonic()

    @contextmanager
    def sending(self) -> Iterator[None]:
        """From now on; at the end of the block nothing is sent any more."""
        self._began = time.monotonic()
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    @property
    def are_done(self) -> bool:
        return all(order.job_id or order.refused for order in self._orders)

    def get(self, path: str) -> httpx2.Response:
        """From any API that answers."""
        return httpx2.get(f"http://127.0.0.1:{self._ports[0]}{path}", headers=self._headers, timeout=60)

    def _work(self) -> None:
        while (order := self._take()) is not None:
            if self._ended.wait(max(0.0, self._began + order.at - time.monotonic())):
                return
            with httpx2.Client(timeout=PATIENCE, headers=self._headers) as client:
                while not self._sent(client, order):
                    if self._ended.wait(PAUSE):
                        return

    def _take(self) -> Order | None:
        with self._lock:
            return next(self._next, None)

    def _sent(self, client: httpx2.Client, order: Order) -> bool:
        port = self._ports[(order.number + order.tries) % len(self._ports)]
        order.tries += 1
        form = {
            "model": order.model,
            "client_reference_id": order.key,
            "webhook[url]": self._hook,
            "webhook[secret]": order.secret,
        }
        sound = {"file": ("talk.wav", order.recording.wav, "audio/wav")}
        try:
            answer = client.post(
                f"http://127.0.0.1:{port}/v1/audio/jobs",
                data=form,
                files=sound,
                headers={"idempotency-key": order.key},
            )
        except httpx2.HTTPError:
            return False
        if answer.status_code == 202:
            order.job_id = answer.json()["id"]
        elif answer.status_code < 500 and answer.status_code not in (RUNNING, 429):
            order.refused = f"{answer.status_code} {answer.text[:200]}"
        return bool(order.job_id or order.refused)
