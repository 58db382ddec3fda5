"""What an API key looks like: `sk-`, ten characters that name it, forty that are the secret, six that check the rest.

The check makes a typing error or a random string cost no database query, and lets secret scanners be exact. Base62
throughout: 40 characters are 238 bits, so a fast keyed hash is enough to store it by.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

PREFIX = "sk-"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID, _SECRET, _CHECK = 10, 40, 6


@dataclass(frozen=True)
class KeyParts:
    """The public name of a key, and the whole of it."""

    key_id: str
    whole: str


def new_key() -> KeyParts:
    """A fresh one."""
    key_id, secret = (_random(length) for length in (_ID, _SECRET))
    body = PREFIX + key_id + secret
    return KeyParts(key_id, body + _check(body))


def parse_key(text: str) -> KeyParts | None:
    """None for what no key of ours can be."""
    body, check = text[:-_CHECK], text[-_CHECK:]
    if len(text) != len(PREFIX) + _ID + _SECRET + _CHECK or not text.isascii() or not body.startswith(PREFIX):
        return None
    return KeyParts(body[len(PREFIX) :][:_ID], text) if check == _check(body) else None


class Peppers:
    """Keyed hashes of whole keys. The newest secret makes new hashes; those before it still know the old ones.

    A hash names its pepper by a fingerprint, so that a pepper which was lost is noticed and told, not just a wrong key.
    Keys made without any pepper stay good when one is introduced.
    """

    def __init__(self, peppers: Sequence[str] = ()) -> None:
        newest_first = [*peppers, ""]
        self._newest = newest_first[0]
        self._by_mark = {_mark(pepper): pepper for pepper in newest_first}

    def hash(self, whole: str) -> str:
        """What is stored of a key."""
        return _marked_hash(whole, self._newest)

    def knows(self, stored: str) -> bool:
        """Whether the pepper of that hash is still there."""
        return stored.rpartition("$")[0] in self._by_mark

    def match(self, stored: str, whole: str) -> bool:
        """Whether it is the hash of that key, in the same time for every wrong one."""
        pepper = self._by_mark.get(stored.rpartition("$")[0], "")
        return hmac.compare_digest(stored, _marked_hash(whole, pepper))


def _marked_hash(whole: str, pepper: str) -> str:
    digest = hmac.new(pepper.encode(), whole.encode(), hashlib.sha256).hexdigest()
    return f"{_mark(pepper)}${digest}" if pepper else digest


def _mark(pepper: str) -> str:
    return hashlib.sha256(b"stenopool pepper " + pepper.encode()).hexdigest()[:8] if pepper else ""


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _check(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
