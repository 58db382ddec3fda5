"""`Idempotency-Key`: a creating request may be sent again, and its first answer comes back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fastapi import Request

from infra.idempotency import Idempotency
from pipeline.errors import InvalidRequest

MAX_KEY = 255  # characters
PART = 12  # hexadecimal digits of a field's digest: enough to see that it differs
LONGEST_NAME = 100  # characters of a field's name
REPLAYED = {"idempotent-replayed": "true"}


def idempotency_key(request: Request) -> str | None:
    """The caller's key, if there is one. Raises InvalidRequest for one that no row could hold."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= MAX_KEY and key.isprintable()):
        raise InvalidRequest(f"An Idempotency-Key has 1 to {MAX_KEY} printable characters.", param="Idempotency-Key")
    return key


def idempotency(
    key: str | None,
    route: str,
    said: Any,
    answer: Callable[[Any], dict[str, Any]],
    fields: Mapping[str, Any] | None = None,
) -> Idempotency | None:
    """What the key stands for: `said`, JSON-safe, is all that makes two requests to `route` the same one; `fields` is the same by
    the names that a caller knows, where `said` is not."""
    if key is None:
        return None
    parts = {name: _digest(value)[:PART] for name, value in _leaves(said if fields is None else fields)}
    return Idempotency(route, key, _digest(said), answer, parts)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _leaves(said: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Every field that is no object, named as a refusal names it: `webhook.url`."""
    for name, value in said.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{place}{name}.")
        else:
            yield f"{place}{name}"[:LONGEST_NAME], value
