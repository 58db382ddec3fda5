"""What a URL of Redis looks like: what both of its clients here take, so that neither falls back to another server."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_redis_url(url: str) -> bool:
    """Whether it is redis://[[user]:password@]host[:port][/number], the same with rediss, or unix://[…]/path of a socket."""
    try:
        parts = urlsplit(url)
        is_whole = parts.port is None or parts.port > 0
    except ValueError:  # of its port
        return False
    if parts.scheme in ("unix", "redis+socket"):
        return len(parts.path) > 1
    number = parts.path.strip("/")
    return (
        parts.scheme in ("redis", "rediss") and is_whole and not parts.fragment and (not number or number.isdecimal())
    )
