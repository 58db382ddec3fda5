"""A stand-in for the Gemini API on loopback: it speaks every text as tones, one part for each sentence."""

import base64
import json
import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

RATE = 24_000
KEY = "AIza-a-very-secret-key"


@dataclass
class GeminiServer:
    """`requests` are (path, headers, body); a request waits for `may_go_on` after its first part."""

    url: str = ""
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    may_go_on: threading.Event = field(default_factory=threading.Event)
    hung_up: threading.Event = field(default_factory=threading.Event)


def tones(text: str, voice: str) -> bytes:
    """A syllable for each letter or digit, at the pitch of the voice."""
    seconds = 0.08 * max(3, sum(letter.isalnum() for letter in text))
    t = np.arange(round(RATE * seconds)) / RATE
    hertz = 100 + zlib.crc32(voice.encode()) % 10_007 / 50
    return (8000 * np.sin(2 * np.pi * hertz * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 6 * t))).astype("<i2").tobytes()


def part(pcm: bytes = b"", *, tokens: int = 0, mime: str = f"audio/L16;codec=pcm;rate={RATE}", **more: Any) -> bytes:
    """One event of an answer, as Google writes it. `tokens` are those so far; `more` goes beside the content."""
    data = {"inlineData": {"mimeType": mime, "data": base64.b64encode(pcm).decode()}}
    content = {"content": {"parts": [data], "role": "model"}} if pcm else {}
    usage = {
        "promptTokenCount": 12,
        "candidatesTokenCount": tokens,
        "totalTokenCount": 12 + tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": tokens}],
    }
    body = {"candidates": [content | {"index": 0} | more], "usageMetadata": usage, "modelVersion": "gemini-tts"}
    return event(body)


def event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\r\n\r\n"


@contextmanager
def gemini() -> Iterator[GeminiServer]:
    """One that listens until the block ends."""
    state = GeminiServer()
    state.may_go_on.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            state.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            try:
                self._speak(body)
            except OSError:
                state.hung_up.set()
                self.close_connection = True

        def _speak(self, body: dict[str, Any]) -> None:
            voice = body["generationConfig"]["speechConfig"]["voice_config"]["prebuilt_voice_config"]["voice_name"]
            text = body["contents"][0]["parts"][0]["text"].rpartition("#### TRANSCRIPT\n")[2]
            tokens = 0
            for sentence in re.findall(r"[^.!?]+[.!?]*|[.!?]+", text):
                sound = tones(sentence, voice)
                tokens += len(sound) // 1920  # 25 a second
                self._chunk(part(sound, tokens=tokens))
                state.may_go_on.wait(60)
            self._chunk(part(tokens=tokens, finishReason="STOP"))
            self._chunk(b"")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield state
        finally:
            state.may_go_on.set()
            server.shutdown()
            thread.join()
