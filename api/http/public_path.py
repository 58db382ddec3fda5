"""The path under which a proxy serves us, such as `/speech` of STENOPOOL_PUBLIC_URL=https://example.org/speech."""

from __future__ import annotations

from starlette.types import Scope


def without_public_path(scope: Scope, prefix: str) -> None:
    """A request that came with the prefix becomes one without it, before anybody asks what it is. A proxy may take the prefix away
    or leave it; and whoever comes past the proxy can follow the links of our pages, which have it."""
    if prefix and scope["path"].startswith(f"{prefix}/"):
        scope["path"] = scope["path"].removeprefix(prefix)
        scope["raw_path"] = scope.get("raw_path", b"").removeprefix(prefix.encode())
