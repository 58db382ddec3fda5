"""`Idempotency-Key`: a creating request may be sent again, and its first answer comes back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from fastapi import Request

from infra.idempotency import Idempotency
from pipeline.errors import InvalidRequest

MAX_KEY = 255  # characters
REPLAYED = {"idempotent-replayed": "true"}


def idempotency_key(request: Request) -> str | None:
    """The caller's key, if there is one. Raises InvalidRequest for one that no row could hold."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= MAX_KEY and key.isprintable()):
        raise InvalidRequest(f"An Idempotency-Key has 1 to {MAX_KEY} printable characters.", param="Idempotency-Key")
    return key


def idempotency(key: str | None, route: str, said: Any, answer: Callable[[Any], dict[str, Any]]) -> Idempotency | None:
    """What the key stands for: `said`, JSON-safe, is all that makes two requests to `route` the same one."""
    if key is None:
        return None
    text = json.dumps(said, sort_keys=True, ensure_ascii=False)
    return Idempotency(route, key, hashlib.sha256(text.encode()).hexdigest(), answer)
