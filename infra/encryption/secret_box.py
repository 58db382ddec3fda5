"""Secrets as rows keep them: sealed by Fernet (AES-128-CBC and HMAC-SHA256), or in plain text where nothing may be sealed yet.

Both forms are read at any time. What is sealed begins with a mark that no webhook secret has, so that a process which does
not know it refuses to sign with it instead of signing with the wrong thing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from pipeline.errors import SecretUnreadable

MARK = "fernet:"
SEALED = "sealed"  # the only name in an object that is sealed as a whole


def always() -> bool:
    """For who is alone."""
    return True


class SecretBox:
    """Seals with the first of its keys, opens with any. Without keys it seals nothing."""

    def __init__(self, keys: Iterable[str] = (), *, may_seal: Callable[[], bool] = always) -> None:
        """`keys` as Fernet.generate_key makes them, the newest first; `may_seal` says whether everybody alive can open."""
        self._keys = [Fernet(key) for key in keys]
        self._all = MultiFernet(self._keys) if self._keys else None
        self._may_seal = may_seal

    @property
    def seals(self) -> bool:
        """Whether what is given to it now would be sealed."""
        return self._all is not None and self._may_seal()

    def seal(self, secret: str) -> str:
        """As a row keeps it. Call it outside of transactions: it may look into the database."""
        if self._all is None or not self._may_seal():
            return secret
        return MARK + self._all.encrypt(secret.encode()).decode("ascii")

    def open(self, stored: str) -> str:
        """The secret, whichever form it has. Raises SecretUnreadable where none of the keys fits."""
        if not stored.startswith(MARK):
            return stored
        try:
            return (self._all or _NO_KEY).decrypt(stored.removeprefix(MARK)).decode()
        except InvalidToken as error:
            raise SecretUnreadable from error

    def seal_object(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        """A JSON object as a row keeps it."""
        if not self.seals:
            return dict(plain)
        return {SEALED: self.seal(json.dumps(plain))}

    def open_object(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The object, whichever form it has. Raises SecretUnreadable."""
        if set(stored) != {SEALED}:
            return dict(stored)
        opened: dict[str, Any] = json.loads(self.open(stored[SEALED]))
        return opened

    def is_current(self, stored: str) -> bool:
        """Whether it is sealed by the newest key."""
        if not stored.startswith(MARK):
            return False
        try:
            self._keys[0].decrypt(stored.removeprefix(MARK))
        except (InvalidToken, IndexError):
            return False
        return True


_NO_KEY = Fernet(Fernet.generate_key())  # it opens nothing
PLAIN = SecretBox()  # for stores that were given none


def with_secrets(answer: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """An answer of the API with each secret that it tells changed: an endpoint's `signing_secret`, a job's `webhook.secret`."""
    changed: dict[str, Any] = {}
    if answer.get("signing_secret"):
        changed["signing_secret"] = change(answer["signing_secret"])
    webhook = answer.get("webhook") or {}
    if webhook.get("secret"):
        changed["webhook"] = {**webhook, "secret": change(webhook["secret"])}
    return {**answer, **changed}


def new_key() -> str:
    """A key that nobody has."""
    return Fernet.generate_key().decode("ascii")


def is_key(text: str) -> bool:
    """Whether it is one."""
    try:
        Fernet(text)
    except ValueError:
        return False
    return True
