"""Who administers: whoever holds the key of STENOPOOL_ADMIN_KEY, and nobody else.

The key check calls this for every path under `/admin`, on the headers alone and before a byte of the body is read; a route
there needs no check of its own, and no account's key opens it. Without STENOPOOL_ADMIN_KEY there is no such path.
"""

from __future__ import annotations

import hmac

from pipeline.errors import NotFound, Unauthenticated

ADMIN = "/admin"
OFF = "Administration over HTTP is switched off on this server. Set STENOPOOL_ADMIN_KEY to switch it on."
WRONG = "This takes the server's admin key (STENOPOOL_ADMIN_KEY) as the bearer token; an account's API key does not do."


def is_admin_path(path: str) -> bool:
    """Whether the admin key, and no other, opens it."""
    return path == ADMIN or path.startswith(ADMIN + "/")


def check_admin(secret: str, admin_key: str | None) -> None:
    """Raises NotFound where no admin key is set, Unauthenticated for any other secret."""
    if not admin_key:
        raise NotFound(OFF)
    if not hmac.compare_digest(secret.encode(), admin_key.encode()):
        raise Unauthenticated(WRONG)
