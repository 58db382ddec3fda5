"""A line of a batch's input as the request of a job, in whichever of the usual dialects it is written.

Where the sound is differs: `file_id`, `upload_id` and `s3_uri` (here), `url` (Groq), `file_url` (vLLM, Mistral), `file`
as a URL with the method FILE (Together). Everything else is OpenAI's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.keys.tiers import LOW
from pipeline.errors import InvalidRequest

ENDPOINTS: Mapping[str, str | None] = {  # and the task that each means; a job's own request says it itself
    "/v1/audio/transcriptions": "transcription",
    "/v1/audio/translations": "translation",
    "/v1/audio/speech": "speech",
    "/v1/audio/jobs": None,
}
METHODS = ("POST", "FILE")
MAX_CUSTOM_ID = 512  # characters
SOURCES = ("file_id", "upload_id", "s3_uri", "url")
_AS_URL = ("file_url", "file")


class BatchLineError(InvalidRequest):
    """A line that is no request."""

    code = "invalid_line"


def custom_id_of(line: Any) -> str:
    """Raises BatchLineError."""
    if not isinstance(line, dict):
        raise BatchLineError("A line is a JSON object with custom_id, method, url and body.")
    custom_id = line.get("custom_id")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_CUSTOM_ID:
        raise BatchLineError(f"custom_id must be a text of 1 to {MAX_CUSTOM_ID} characters.", param="custom_id")
    return custom_id


def request_of(line: Mapping[str, Any], endpoint: str) -> dict[str, Any]:
    """What the line's job is asked for. Raises BatchLineError."""
    if line.get("method") not in METHODS:
        raise BatchLineError(f"method must be {' or '.join(METHODS)}.", param="method")
    if line.get("url") != endpoint:
        raise BatchLineError(f"url must be {endpoint}, the batch's endpoint.", param="url")
    body = line.get("body")
    if not isinstance(body, dict):
        raise BatchLineError("body must be an object: the request itself.", param="body")
    if body.get("webhook") is not None:
        raise BatchLineError("A line has no webhook: endpoints hear of the batch's end (batch.*).", param="webhook")
    task = ENDPOINTS[endpoint]
    asked = {"priority": LOW, **body} | ({} if task is None else {"task": task})
    return asked if asked.get("task") == "speech" else _with_sound(asked)


def _with_sound(asked: dict[str, Any]) -> dict[str, Any]:
    """Exactly one place where the sound is, under our own names."""
    for name in _AS_URL:
        if asked.get(name) is not None:
            if asked.get("url") is not None or not isinstance(asked[name], str):
                raise BatchLineError(f"{name} must be the only URL, as text.", param=name)
            asked["url"] = asked.pop(name)
    given = [name for name in SOURCES if asked.get(name) is not None]
    if len(given) != 1:
        told = ", ".join((*SOURCES, *_AS_URL))
        raise BatchLineError(f"Say once where the recording is: {told}.", param=given[1] if given else "url")
    return asked
