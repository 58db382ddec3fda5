"""What a refusal of an OpenAI-compatible server means, as an error of ours. Nothing of the server's own words goes on."""

from __future__ import annotations

import email.utils
import json
import math
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pipeline.errors import (
    ModelGone,
    ProviderBusy,
    ProviderError,
    ProviderNonsense,
    ProviderRefused,
    ProviderUnavailable,
    UnsupportedLanguage,
    UnsupportedValue,
)
from pipeline.provider_protocol import OPENAI_VOICES

# What we add of our own accord, or what a model may lack without harm: asked again without it.
DROPPABLE = ("response_format", "timestamp_granularities", "include", "keywords", "languages", "chunking_strategy")
# What the caller chose, and there is an answer without, too: left out where the model does not know the parameter at all.
OPTIONAL = (
    "language",
    "prompt",
    "temperature",
    "speed",
    "instructions",
    "known_speaker_names",
    "known_speaker_references",
)
_CALLERS = {"input", "voice", *OPTIONAL}
_CHECKED = ("temperature",)  # by us: a value that is refused is not wrong, it is not known
_UNKNOWN = re.compile(
    rb"un(?:known|recogni[sz]ed|expected|supported)[ _](?:request )?(?:parameter|argument|field|input|option|keyword|key)"
    rb"|extra_forbidden|extra (?:inputs|fields)|additional propert",
    re.I,
)
_LACKING = re.compile(
    rb"not (?:supported|compatible|available|accepted|allowed|permitted|implemented)|(?:not|n't) (?:support|accept|take|know)",
    re.I,
)
_NAMED = re.compile("|".join(rf"\b{name}\b" for name in OPTIONAL).encode())
_NO_SUCH_MODEL = re.compile(rb"model_not_found|model_decommissioned|model_deprecated", re.I)
_TOO_LARGE = re.compile(
    rb"content size limit|file_too_large|size exceeds|(?:file|payload|entity|body|upload|request|audio).{0,40}too (?:large|big)"
    rb"|(?:max|limit|exceed)[^.]{0,40}(?:\d|\b)(?:[kmg]i?b|bytes|megabytes)\b",
    re.I,
)
_TOO_LONG = re.compile(
    rb"audio duration [\d.]+ seconds is longer|audio_too_long|media_too_long|exceeds? .{0,40}seconds", re.I
)
_BEYOND_MEANS = re.compile(rb"insufficient_quota|insufficient_balance|billing_hard_limit", re.I)
_OK, _BAD_REQUEST, _TOO_LARGE_STATUS, _TOO_MANY, _OURS = 200, 400, 413, 429, 500
_GONE = (404, 410)
_LATER = (408, 409, 425)


class ParameterRefused(ProviderRefused):
    """The provider does not take one of the parameters; `parameter` names it."""


class TooLarge(ProviderRefused):
    """The provider does not take so much sound in one request; `limit` says whether in "bytes" or "seconds"."""


def refusal(status: int, headers: Mapping[str, str], body: bytes, provider: str) -> ProviderError | UnsupportedValue:
    """An error for any status but 200; `headers` have lower-case names, or are case-insensitive."""
    facts: dict[str, Any] = {"provider": provider, "status": status}
    if (wait := retry_after(headers)) is not None:
        facts["retry_after"] = wait
    if status == _TOO_MANY and not _BEYOND_MEANS.search(body):
        return ProviderBusy(**facts)
    if status >= _OURS or status in _LATER:
        return ProviderUnavailable(**facts)
    if status < _BAD_REQUEST:
        return ProviderNonsense(**facts)
    return _said_no(status, body, facts)


def _said_no(status: int, body: bytes, facts: dict[str, Any]) -> ProviderError | UnsupportedValue:
    param = _param(body)
    if (status in _GONE and param not in _CALLERS) or _NO_SUCH_MODEL.search(body):
        return ModelGone(**facts)
    if limit := _limit(status, body):
        return TooLarge(**facts, limit=limit)
    if param in DROPPABLE or param in _CHECKED or (param in OPTIONAL and _is_unknown(param, body)):
        return ParameterRefused(**facts, parameter=param)
    if param in _CALLERS:
        known = f". Voices: {', '.join(OPENAI_VOICES)}, or the provider's own" if param == "voice" else ""
        kind = UnsupportedLanguage if param == "language" else UnsupportedValue
        return kind(f"The provider does not take this value of `{param}`{known}", param=param)
    if b"verbose_json" in body:
        return ParameterRefused(**facts, parameter="response_format")
    named = next((name for name in DROPPABLE if re.search(rf"\b{name}\b".encode(), body)), None)
    if named is None and _UNKNOWN.search(body) and (found := _NAMED.search(body)):
        named = found.group().decode()
    return ParameterRefused(**facts, parameter=named) if named else ProviderRefused(**facts)


def _limit(status: int, body: bytes) -> str:
    """Of what there is too much; nothing where it is not that."""
    if _TOO_LONG.search(body):
        return "seconds"
    return "bytes" if status == _TOO_LARGE_STATUS or _TOO_LARGE.search(body) else ""


def _is_unknown(param: str, body: bytes) -> bool:
    """Whether the parameter is not known, rather than its value; of a language "not supported" says no more than the latter."""
    return bool(_UNKNOWN.search(body) or (param != "language" and _LACKING.search(body)))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from `retry-after-ms` or from `retry-after` in seconds or as a date; None where it says nothing sensible."""
    with suppress(KeyError, ValueError):
        if math.isfinite(wait := float(headers["retry-after-ms"]) / 1000):
            return max(0.0, wait)
    said = headers.get("retry-after", "")
    with suppress(ValueError):
        return max(0.0, float(said)) if math.isfinite(float(said)) else None
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    return None


def _param(body: bytes) -> str | None:
    """Which parameter it names; without the brackets that SDKs put behind a list's name."""
    try:
        found = json.loads(body)["error"]["param"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return re.sub(r"\[.*", "", found) if isinstance(found, str) else None
