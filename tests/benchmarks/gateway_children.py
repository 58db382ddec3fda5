"""The processes of the gateway benchmark: `python -m tests.benchmarks.gateway_children stub|proxy|load PORT …`."""

import asyncio
import json
import math
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SEGMENT = {
    "id": 0,
    "seek": 0,
    "start": 0.2,
    "end": 7.6,
    "text": " The quick brown fox jumps over the lazy dog.",
    "tokens": [50364, 440, 1702],
    "temperature": 0.0,
    "avg_logprob": -0.2,
    "compression_ratio": 1.1,
    "no_speech_prob": 0.01,
}
VERBOSE = {"task": "transcribe", "language": "english", "duration": 8.0, "text": SEGMENT["text"], "segments": [SEGMENT]}
PCM_BLOCK, PCM_BLOCKS, PCM_PAUSE = 4800, 10, 0.05  # bytes (100 ms at 24 kHz), how many, and seconds between them


def answer(body: bytes, media_type: bytes = b"application/json") -> bytes:
    """A whole HTTP answer."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (media_type, len(body)) + body


class Upstream(asyncio.Protocol):
    """The barest server that speaks the audio API: one fixed transcript, and pcm whose first block is timed."""

    first_at = 0.0  # when the last speech's first block left, on this machine's monotonic clock

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport, self.held, self.head, self.missing = transport, bytearray(), b"", -1

    def data_received(self, data: bytes) -> None:
        self.held += data
        if self.missing < 0:
            end = self.held.find(b"\r\n\r\n")
            if end < 0:
                return
            self.head = bytes(self.held[:end]).lower()
            length = self.head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            self.missing = end + 4 + int(length or 0)
        if len(self.held) >= self.missing:
            verbose = b"verbose_json" in self.held
            self.held, self.missing = bytearray(), -1
            self.reply(verbose=verbose)

    def reply(self, *, verbose: bool) -> None:
        if b"/audio/speech " in self.head:
            self.task = asyncio.ensure_future(self.speech())
        elif b" /first " in self.head:
            self.transport.write(answer(str(Upstream.first_at).encode(), b"text/plain"))
        else:
            self.transport.write(answer(json.dumps(VERBOSE if verbose else {"text": VERBOSE["text"]}).encode()))

    async def speech(self) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\ntransfer-encoding: chunked\r\n\r\n"
        await asyncio.sleep(0.1)  # the provider thinks; what comes before is not ours to hurry
        tone = b"".join(
            round(8000 * math.sin(at * 0.1)).to_bytes(2, "little", signed=True) for at in range(PCM_BLOCK // 2)
        )
        block = b"%x\r\n%b\r\n" % (len(tone), tone)
        Upstream.first_at = time.monotonic()
        self.transport.write(head + block)
        for _ in range(PCM_BLOCKS - 1):
            await asyncio.sleep(PCM_PAUSE)
            self.transport.write(block)
        self.transport.write(b"0\r\n\r\n")


async def stub(port: int) -> None:
    """Serve for ever."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


def proxy(port: int, upstream: str) -> None:
    """What people write first: Starlette parses the form, httpx sends it on."""

    async def transcriptions(request: Request) -> Response:
        form = await request.form()
        file = form["file"]
        assert isinstance(file, UploadFile)
        fields: dict[str, Any] = {key: value for key, value in form.items() if isinstance(value, str)}
        sound = (file.filename, await file.read(), file.content_type)
        reply = await request.app.state.client.post(
            f"{upstream}/audio/transcriptions", data=fields, files={"file": sound}
        )
        return Response(reply.content, reply.status_code, media_type=reply.headers["content-type"])

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with httpx2.AsyncClient(headers={"accept-encoding": "identity"}) as client:
            app.state.client = client
            yield

    app = Starlette(routes=[Route("/v1/audio/transcriptions", transcriptions, methods=["POST"])], lifespan=lifespan)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


@dataclass
class Load:
    """What one run of requests came to; milliseconds."""

    requests: int
    failed: int
    per_second: float
    p50: float
    p99: float


class Caller(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, request: bytes, until: float) -> None:
        self.request, self.until = request, until
        self.times: list[float] = []
        self.failed = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.held, self.whole = b"", -1
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.held += data
        if self.whole < 0:
            end = self.held.find(b"\r\n\r\n")
            if end < 0:
                return
            length = self.held[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self.whole = end + 4 + int(length)
        if len(self.held) < self.whole:
            return
        self.times.append(time.perf_counter() - self.began)
        self.failed += not self.held.startswith(b"HTTP/1.1 200")
        if time.perf_counter() < self.until:
            self.ask()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.failed += exc is not None
        if not self.done.done():
            self.done.set_result(None)


async def load(port: int, connections: int, seconds: float, body: bytes, headers: str) -> Load:
    """Requests for so many seconds over so many connections."""
    head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n\r\n"
    began = time.perf_counter()
    callers = [Caller(head.encode() + body, began + seconds) for _ in range(connections)]
    loop = asyncio.get_running_loop()
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, "127.0.0.1", port)
    await asyncio.wait_for(asyncio.gather(*(caller.done for caller in callers)), seconds + 60)
    took = time.perf_counter() - began
    times = sorted(time for caller in callers for time in caller.times) or [0.0]
    p50, p99 = (1000 * times[min(len(times) - 1, int(len(times) * share))] for share in (0.5, 0.99))
    failed = sum(caller.failed for caller in callers)
    return Load(len(times), failed, round(len(times) / took, 1), round(p50, 3), round(p99, 3))


def main(role: str, port: int, *rest: str) -> None:
    """`load` reads a line of JSON for each run and answers with one."""
    if role == "stub":
        uvloop.run(stub(port))
    elif role == "proxy":
        proxy(port, rest[0])
    else:
        for line in sys.stdin:
            asked = json.loads(line)
            body = Path(asked.pop("body")).read_bytes()
            print(json.dumps(asdict(uvloop.run(load(**asked, body=body)))), flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
