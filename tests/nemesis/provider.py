"""Somebody else's speech API: it hears the oracle's speech, counts the seconds that it is paid for, and has bad moments."""

from __future__ import annotations

import asyncio
import io
import threading
import wave
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.oracle.ear import listen
from tests.api.serving import running
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import pause

LATENCY, PER_SECOND = 0.2, 0.1  # seconds until it answers, and more of them for each second of sound
BYTES_PER_SECOND = 32_000


class Provider:
    """`failing` is the share of calls that end with a 500, drawn from `seed`. What it does not hear it is not paid for."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.failing = 0.0
        self.asked = 0
        self.url = ""
        self._away = False
        self._seconds: dict[str, float] = {}
        self._heard: Counter[str] = Counter()
        self._tried: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._proxy: TcpProxy | None = None

    @property
    def seconds(self) -> float:
        """Heard in all."""
        return sum(times * self._seconds[sound] for sound, times in self._heard.items())

    @property
    def reference(self) -> float:
        """The same if it had heard each sound once."""
        return sum(self._seconds.values())

    def refuse(self) -> None:
        """No new connection, and on those that are open a 503. What it hears at this moment it answers."""
        assert self._proxy
        self._away = True
        self._proxy.refuse()

    def come_back(self) -> None:
        assert self._proxy
        self._away = False
        self._proxy.mend()

    async def _hear(self, request: Request) -> Response:
        async with request.form() as form:
            sound = await form["file"].read()
        with wave.open(io.BytesIO(sound)) as file:
            samples = file.readframes(file.getnframes())
        if self._away or self._fails(samples):
            return JSONResponse({"error": {"message": "a bad moment"}}, status_code=503 if self._away else 500)
        seconds = len(samples) / BYTES_PER_SECOND
        with self._lock:
            digest = sha256(samples).hexdigest()
            self._seconds[digest] = seconds
            self._heard[digest] += 1
        text = " ".join(word.text for word in listen(samples))
        await asyncio.to_thread(pause, LATENCY + PER_SECOND * seconds)
        return JSONResponse({"text": text})

    def _fails(self, samples: bytes) -> bool:
        """Drawn for the sound and the how-manieth try it is, so that the order of the calls does not matter."""
        digest = sha256(samples).hexdigest()
        with self._lock:
            self.asked += 1
            self._tried[digest] += 1
            draw = sha256(f"{self.seed} {digest} {self._tried[digest]}".encode()).digest()
        return int.from_bytes(draw[:4]) < self.failing * 2**32

    @contextmanager
    def serving(self) -> Iterator[Provider]:
        """Until the block ends."""
        app = Starlette(routes=[Route("/v1/audio/transcriptions", self._hear, methods=["POST"])])
        with running(app) as served, tcp_proxy(urlsplit(served.url).port or 0) as proxy:
            self._proxy, self.url = proxy, f"{proxy.url}/v1"
            yield self
