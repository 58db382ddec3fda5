"""A vendor after the shutdown, on loopback: it has gpt-transcribe, which answers with json text and takes little, and nothing else.

Any other model, translations and speech are 404, as the vendor's own body says it; any field but those of `TAKEN` is a 400.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.audio.decode import decode
from tests.api.serving import running

MODEL = "gpt-transcribe"
TAKEN = ("file", "model", "response_format", "languages[]", "keywords[]", "stream")
Ear = Callable[[bytes], str]  # what is said in s16le mono 16 kHz


@dataclass
class Upstream:
    """Where it listens, who hears for it, what it was asked for (path, model), and what it answered to gpt-transcribe's calls."""

    hear: Ear
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    forms: list[dict[str, list[str]]] = field(default_factory=list)

    def count(self, model: str) -> int:
        """How often a model was asked for."""
        return sum(name == model for _, name in self.asked)


@contextmanager
def after_the_shutdown(hear: Ear) -> Iterator[Upstream]:
    """One that listens until the block ends."""
    place = Upstream(hear)

    async def transcribe(request: Request) -> Response:
        async with request.form() as form:
            sound = await form["file"].read()
            given = {name: [str(one) for one in form.getlist(name)] for name in form if name != "file"}
        place.asked.append((request.url.path, given["model"][0]))
        if given["model"] != [MODEL]:
            return _gone(given["model"][0])
        place.forms.append(given)
        pcm = _samples(sound)
        return _refusal(given) or JSONResponse(_answer(place.hear(pcm), len(pcm), given))

    async def nothing(request: Request) -> Response:
        place.asked.append((request.url.path, ""))
        return _gone("it")

    routes = [
        Route("/v1/audio/transcriptions", transcribe, methods=["POST"]),
        Route("/{path:path}", nothing, methods=["GET", "POST"]),
    ]
    with running(Starlette(routes=routes)) as served:
        place.url = served.url
        yield place


def _samples(sound: bytes) -> bytes:
    with decode(sound) as blocks:
        return b"".join(blocks)


def _answer(text: str, size: int, given: dict[str, list[str]]) -> dict[str, Any]:
    languages, seconds = given.get("languages[]", ["en"]), -(-size // 32_000)
    return {"text": text, "languages": [{"code": languages[0]}], "usage": {"type": "duration", "seconds": seconds}}


def _refusal(given: dict[str, list[str]]) -> Response | None:
    unknown = next((name for name in given if name not in TAKEN), None)
    if unknown:
        return _error(400, f"Unknown parameter: '{unknown}'.", "unknown_parameter", unknown)
    shape = given.get("response_format", ["json"])[0]
    if shape != "json":
        told = f"response_format '{shape}' is not compatible with model '{MODEL}'. Use 'json' instead."
        return _error(400, told, "unsupported_value", "response_format")
    return None


def _gone(model: str) -> Response:
    return _error(404, f"The model `{model}` does not exist or has been shut down.", "model_not_found", None)


def _error(status: int, message: str, code: str, param: str | None) -> Response:
    told = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return JSONResponse({"error": told}, status_code=status)
