"""A secret that only its holder has: rows know it by a digest, and what they keep for it only the secret itself opens."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets

from infra.encryption.secret_box import SecretBox

_BYTES = 32
_WRITTEN = re.compile(r"[A-Za-z0-9_-]{43}")


def new_secret() -> str:
    """43 characters that may stand in a cookie and in a URL."""
    return secrets.token_urlsafe(_BYTES)


def is_secret(text: str) -> bool:
    """Whether it looks like one: whatever does not costs no question to the database."""
    return _WRITTEN.fullmatch(text) is not None


def name_of(secret: str) -> str:
    """What a row is called that belongs to it."""
    return _digest("name", secret).hex()


def box_of(secret: str) -> SecretBox:
    """Seals and opens for its holder alone: neither the database nor the operator's keys open what it has sealed."""
    return SecretBox([base64.urlsafe_b64encode(_digest("seal", secret)).decode("ascii")])


def form_token(secret: str) -> str:
    """What every form of the holder's pages carries, and nobody can tell who does not hold the secret."""
    return _digest("form", secret).hex()


def _digest(use: str, secret: str) -> bytes:
    return hashlib.sha256(f"stenopool console {use}\0{secret}".encode()).digest()
