"""What one tenant or stranger does to the others: `python -m tests.benchmarks.attacks NAME PORT KEY FOLDER`.

Each attack is bounded, goes to loopback only, and ends by itself. "ready" on standard output says that it has begun.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST = 120.0  # seconds
BOUNDARY = "neighbour"
TROUBLE = (OSError, asyncio.IncompleteReadError, ValueError, IndexError)


@dataclass(frozen=True)
class Target:
    """The server, the attacker's key, and a folder with recordings."""

    port: int
    key: str
    folder: Path

    async def ask(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> tuple[int, bytes]:
        """One request on a connection of its own: status and body; (0, b"") where there was no answer."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.key}\r\nConnection: close\r\n"
        )
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        with suppress(*TROUBLE):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(head.encode() + body)
                answer = await reader.read()
            finally:
                writer.close()
            return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]
        return 0, b""

    async def post(self, path: str, **fields: Any) -> dict[str, Any]:
        _, body = await self.ask("POST", path, json.dumps(fields).encode())
        with suppress(ValueError):
            return dict(json.loads(body))
        return {}

    async def upload(self, path: str, sound: bytes, **fields: str) -> dict[str, Any]:
        """A multipart POST of a recording."""
        part = '--{}\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
        parts = [(part.format(BOUNDARY, name, "") + f"{value}\r\n").encode() for name, value in fields.items()]
        parts += [part.format(BOUNDARY, "file", '; filename="sound"').encode(), sound]
        body = b"".join(parts) + f"\r\n--{BOUNDARY}--\r\n".encode()
        _, answer = await self.ask("POST", path, body, f"multipart/form-data; boundary={BOUNDARY}")
        with suppress(ValueError):
            return dict(json.loads(answer))
        return {}

    def sound(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


async def many(count: int, forever: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """So many who do it again and again."""

    async def one() -> None:
        while True:
            await forever()
            await asyncio.sleep(0.01)

    await asyncio.gather(*(one() for _ in range(count)))


async def silent_server() -> int:
    """One that takes everything and says a byte every ten seconds; returns its port."""

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(*TROUBLE):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: 5000000\r\n\r\n")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(10)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    KEPT.append(server)
    return int(server.sockets[0].getsockname()[1])


KEPT: list[object] = []


async def t1(target: Target) -> None:
    """512 strangers announce bodies that never come."""

    async def once() -> None:
        with suppress(*TROUBLE):
            _, writer = await asyncio.open_connection("127.0.0.1", target.port)
            writer.write(b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000000\r\n\r\n")
            for _ in range(60):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.5)
            writer.close()

    await many(512, once)


async def t2(target: Target) -> None:
    """512 requests that wait for a job's end."""
    url = f"http://127.0.0.1:{await silent_server()}/"
    job = await target.post("/v1/audio/jobs", url=url, model="oracle")
    await many(512, lambda: target.ask("GET", f"/v1/audio/jobs/{job.get('id')}?wait=50"))


async def t3(target: Target) -> None:
    """34 recordings to fetch from a server that drips."""
    url = f"http://127.0.0.1:{await silent_server()}/"
    await asyncio.gather(*(target.post("/v1/audio/jobs", url=f"{url}{n}", model="oracle") for n in range(34)))
    await asyncio.sleep(LONGEST)


async def t4(target: Target) -> None:
    """105 webhook endpoints that never answer, and jobs that end."""
    url = f"http://127.0.0.1:{await silent_server()}/"
    for n in range(105):
        await target.post("/v1/webhook_endpoints", name=str(n), url=f"{url}{n}", event_types=["*"])
    await asyncio.gather(*(target.upload("/v1/audio/jobs", target.sound("clip.wav"), model="oracle") for _ in range(4)))
    await asyncio.sleep(LONGEST)


async def t5(target: Target) -> None:
    """40 readers of a long transcript, laid out with the most that can be asked for."""
    job = await target.upload("/v1/audio/jobs", target.sound("long.mp3"), model="oracle")
    place = f"/v1/audio/jobs/{job.get('id')}"
    for _ in range(20):
        _, body = await target.ask("GET", f"{place}?wait=5")
        if b'"completed"' in body:
            break
    options = "format=vtt&max_line_chars=250&max_lines=8&max_cue=60000"
    await many(40, lambda: target.ask("GET", f"{place}/transcript?{options}"))


async def t6(target: Target) -> None:
    """Headers that lead a parser in circles, and JSON that is all brackets."""
    junk = bytes.fromhex("1a45dfa380") + bytes.fromhex("ec80") * 500_000
    brackets = b"[" + b"[]," * 2_500_000 + b"[]]"
    await asyncio.gather(
        many(2, lambda: target.upload("/v1/audio/jobs", junk, model="oracle")),
        many(2, lambda: target.upload("/v1/audio/transcriptions", junk * 20, model="oracle")),
        many(2, lambda: target.ask("POST", "/v1/audio/jobs", brackets)),
    )


async def t7(target: Target) -> None:
    """Jobs with megabytes of voice samples in their options, and lists of them."""
    samples = ["data:audio/wav;base64," + "A" * 3_000_000] * 4
    fields = {"known_speaker_names": ["a", "b", "c", "d"], "known_speaker_references": samples}
    text = {"text": "good morning", "model": "voice", "task": "speech"}
    await asyncio.gather(
        many(2, lambda: target.post("/v1/audio/jobs", url="http://127.0.0.1:9/", model="oracle", **fields)),
        many(2, lambda: target.post("/v1/audio/jobs", **text)),
        many(8, lambda: target.ask("GET", "/v1/audio/jobs?limit=100")),
    )


async def t8(target: Target) -> None:
    """20 MB uploaded and cancelled, again and again."""
    sound = target.sound("clip.wav") + bytes(20_000_000)

    async def once() -> None:
        job = await target.upload("/v1/audio/jobs", sound, model="oracle")
        await target.post(f"/v1/audio/jobs/{job.get('id')}/cancel")

    await many(4, once)


async def t9(target: Target) -> None:
    """Estimates and jobs of the end of a long recording."""
    sound = target.sound("long.mp3")
    await asyncio.gather(
        many(8, lambda: target.upload("/v1/audio/estimates", sound, model="oracle")),
        many(2, lambda: target.upload("/v1/audio/jobs", sound, model="oracle", range="1190-1198")),
    )


async def t10(target: Target) -> None:
    """3 MB of frames that stall a decoder."""
    stall = b"#!AMR\n" + b"\x7c" * 3_000_000
    await asyncio.gather(
        many(4, lambda: target.upload("/v1/audio/estimates", stall, model="oracle")),
        many(4, lambda: target.upload("/v1/audio/jobs", stall, model="oracle")),
    )


async def t11(target: Target) -> None:
    """Long recordings for the engine that the neighbour's clips need, at once and as jobs."""
    sound = target.sound("eleven.mp3")
    await asyncio.gather(
        *(target.upload("/v1/audio/jobs", sound, model=LOCAL) for _ in range(3)),
        many(40, lambda: target.upload("/v1/audio/transcriptions", sound, model=LOCAL)),
    )


async def t12(target: Target) -> None:
    """1,000 idle connections, and pages that cost."""
    for _ in range(1000):
        with suppress(*TROUBLE):
            KEPT.append(await asyncio.open_connection("127.0.0.1", target.port))
    await asyncio.gather(
        many(64, lambda: target.ask("GET", "/openapi.json")), many(32, lambda: target.ask("GET", "/metrics"))
    )


LOCAL = os.environ.get("NEIGHBOURS_ENGINE", "whisper-base")  # or "pocketsphinx-en-us"
ATTACKS: dict[str, Callable[[Target], Awaitable[None]]] = {
    f"T{n}": attack for n, attack in enumerate((t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12), start=1)
}


async def main(name: str, target: Target) -> None:
    print("ready", flush=True)
    with suppress(TimeoutError):
        await asyncio.wait_for(ATTACKS[name](target), LONGEST)


if __name__ == "__main__":
    os.nice(5)  # it is the server's work that is measured, not ours
    asyncio.run(main(sys.argv[1], Target(int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))))
