"""An OpenAI-compatible server on loopback that hears oracle speech and answers as one model or another of OpenAI's does.

`gpt-*` models refuse everything but json and text, as the real ones do; a model that diarizes gives a sentence to each of the
speakers in turn; `plain` models give text and nothing else.
"""

import io
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pipeline.audio.decode import decode
from pipeline.oracle.ear import HeardWord, listen
from tests.api.serving import running

USAGE = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
    "output_tokens": 45,
    "total_tokens": 59,
}
Form = dict[str, Any]


@dataclass
class Upstream:
    """Where it listens, and the forms that it got: lists under the names with brackets, the file left out."""

    url: str = ""
    got: list[Form] = field(default_factory=list)


@contextmanager
def upstream() -> Iterator[Upstream]:
    """One that listens until the block ends."""
    place = Upstream()

    async def hear(request: Request) -> Response:
        async with request.form() as form:
            sound = await form["file"].read()
            asked = {name: form.getlist(name) for name in form if name != "file"}
        asked = {name: values if name.endswith("[]") else values[0] for name, values in asked.items()}
        place.got.append(asked)
        return answer(asked, listen(_samples(sound)))

    app = Starlette(routes=[Route("/v1/audio/transcriptions", hear, methods=["POST"])])
    with running(app) as served:
        place.url = f"{served.url}/v1"
        yield place


def _samples(sound: bytes) -> bytes:
    if sound[:4] == b"RIFF":
        with wave.open(io.BytesIO(sound)) as file:
            if (file.getframerate(), file.getnchannels()) == (16_000, 1):
                return file.readframes(file.getnframes())
    with decode(sound) as blocks:
        return b"".join(blocks)


def answer(asked: Form, words: list[HeardWord]) -> Response:
    """What the model that is asked says of these words."""
    model, shape = asked["model"], asked.get("response_format", "json")
    text = " ".join(word.text for word in words)
    diarizes = "diarize" in model
    if shape not in (("json", "text", "diarized_json") if diarizes else ("json", "text")):
        return _refusal(model, shape)
    if shape == "text":
        return PlainTextResponse(text + "\n")
    if shape == "diarized_json":
        return JSONResponse(_diarized(asked, words))
    body: Form = {"text": text}
    if not model.startswith("plain"):
        body["usage"] = USAGE
    if "logprobs" in asked.get("include[]", ()):
        body["logprobs"] = [{"token": word.text, "logprob": -0.25, "bytes": list(word.text.encode())} for word in words]
    if model == "gpt-transcribe":
        body["languages"] = [{"code": "en"}]
    return JSONResponse(body)


def _diarized(asked: Form, words: list[HeardWord]) -> Form:
    names = asked.get("known_speaker_names[]") or ["A", "B"]
    half = (len(words) + 1) // 2
    segments = [
        {
            "type": "transcript.text.segment",
            "id": f"seg_{number}",
            "start": part[0].start / 16_000,
            "end": part[-1].end / 16_000,
            "text": " " + " ".join(word.text for word in part),
            "speaker": names[number % len(names)],
        }
        for number, part in enumerate((words[:half], words[half:]))
        if part
    ]
    text = " ".join(word.text for word in words)
    duration = max((segment["end"] for segment in segments), default=0.0)
    return {"task": "transcribe", "duration": duration, "text": text, "segments": segments, "usage": USAGE}


def _refusal(model: str, shape: str) -> Response:
    message = f"response_format '{shape}' is not compatible with model '{model}'. Use 'json' or 'text' instead."
    error = {
        "message": message,
        "type": "invalid_request_error",
        "param": "response_format",
        "code": "unsupported_value",
    }
    return JSONResponse({"error": error}, status_code=400)
