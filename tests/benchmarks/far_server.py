"""A speech API that answers a second after it has got a request: `python -m tests.benchmarks.far_server PORT`.

It understands nothing; it says two words per second of the WAV or FLAC it was sent, so that nobody finds the answer too short.
"""

import asyncio
import json
import sys

LATENCY = 1.0  # seconds
RATE = 16_000
_PAIRS = ("going", "along")


class Far(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport, self.held, self.expected = transport, bytearray(), -1

    def data_received(self, data: bytes) -> None:
        self.held += data
        end = self.held.find(b"\r\n\r\n") if self.expected < 0 else -1
        if end >= 0:
            length = bytes(self.held[:end]).lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self.expected = end + 4 + int(length or 0)
        if 0 <= self.expected <= len(self.held):
            answer = said(seconds(bytes(self.held)))
            self.held, self.expected = bytearray(), -1
            asyncio.get_running_loop().call_later(LATENCY, self.reply, answer)

    def reply(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        if not self.transport.is_closing():
            self.transport.write(head + body)


def seconds(request: bytes) -> float:
    """How long the sound in it is; 0 without any."""
    if (at := request.find(b"fLaC")) >= 0:
        return (int.from_bytes(request[at + 21 : at + 26], "big") & (2**36 - 1)) / RATE
    at = request.find(b"RIFF")
    return max(len(request) - at - 44, 0) / 2 / RATE if at >= 0 else 0.0


def said(length: float) -> bytes:
    """A verbose answer: a segment for every five seconds."""
    segments = [
        {"id": number, "start": 5.0 * number, "end": min(5.0 * number + 5, length), "text": " ".join(_words(number))}
        for number in range(round(length / 5))
    ]
    text = " ".join(str(segment["text"]) for segment in segments)
    return json.dumps({"language": "english", "duration": length, "text": text, "segments": segments}).encode()


def _words(number: int) -> list[str]:
    return [f"{_PAIRS[word % 2]}{number * 10 + word}" for word in range(10)]


async def serve(port: int) -> None:
    """For ever."""
    server = await asyncio.get_running_loop().create_server(Far, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
