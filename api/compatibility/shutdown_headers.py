"""What answers of a model say whose vendor ends it: since when that is known, and when (RFC 9745, RFC 8594)."""

from __future__ import annotations

from email.utils import format_datetime
from functools import cache

from fastapi import Request

from pipeline.catalog.model import Model, Shutdown


def announce_shutdown(request: Request, model: Model) -> None:
    """From here on whatever is answered to this request says so, a refusal as well."""
    if model.shutdown is not None:
        request.state.shutdown_headers = _headers(model.shutdown)


@cache
def _headers(shutdown: Shutdown) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"deprecation", b"@%d" % shutdown.deprecation),
        (b"sunset", format_datetime(shutdown.sunset, usegmt=True).encode()),
    )
