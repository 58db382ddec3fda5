"""Names for new rows."""

from __future__ import annotations

import secrets
import time
import uuid

from ulid import ULID


def new_id(prefix: str) -> str:
    """`prefix_` and a ULID: sortable by the time it was made, 80 random bits."""
    return f"{prefix}_{ULID()}"


def new_file_id() -> str:
    """`file-` and a ULID: with the hyphen that OpenAI's have."""
    return f"file-{ULID()}"


def new_request_id() -> str:
    """`req_` and 32 hex digits: milliseconds and 80 random bits, as in a ULID.

    Every request gets one, so it must be cheap. What is made one after the other lies side by side in the ledger's indexes;
    random ids would scatter over all their pages.
    """
    return f"req_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def new_token() -> str:
    """A fencing token: whoever holds a lease knows it, nobody else does."""
    return uuid.uuid4().hex
