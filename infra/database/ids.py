"""Names for new rows."""

from __future__ import annotations

import uuid

from ulid import ULID


def new_id(prefix: str) -> str:
    """`prefix_` and a ULID: sortable by the time it was made, 80 random bits."""
    return f"{prefix}_{ULID()}"


def new_token() -> str:
    """A fencing token: whoever holds a lease knows it, nobody else does."""
    return uuid.uuid4().hex
