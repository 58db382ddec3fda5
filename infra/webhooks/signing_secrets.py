"""The secrets that webhooks are signed with: `whsec_` and standard, padded base64, which every library reads alike."""

from __future__ import annotations

import base64
import binascii
import secrets

from pipeline.errors import InvalidRequest

SECRET_PREFIX = "whsec_"  # noqa: S105 - not a secret, what ours begin with
SECRET_BYTES = 24, 64  # what the standard takes; ours have 32


def new_secret() -> str:
    """A signing secret: whsec_ and 32 random bytes in standard padded base64, which every library reads alike."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode("ascii")


def check_secret(secret: str) -> str:
    """A caller's own secret, if all libraries agree on the key it means. Raises InvalidRequest.

    Without prefix or padding, or in the URL-safe alphabet, they do not.
    """
    try:
        key = secret_key(secret)
        plain = SECRET_PREFIX + base64.b64encode(key).decode("ascii") == secret
    except (ValueError, binascii.Error):
        plain = False
    if not plain or not SECRET_BYTES[0] <= len(key) <= SECRET_BYTES[1]:
        raise InvalidRequest(
            "A webhook secret is whsec_ followed by 24 to 64 random bytes in standard, padded base64.", param="secret"
        )
    return secret


def secret_key(secret: str) -> bytes:
    """The HMAC key that a secret means. Raises ValueError."""
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError("no prefix")
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
