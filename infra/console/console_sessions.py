"""Sessions of the console: a row each, with the keys of whoever is signed in, sealed by the cookie's own secret."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from sqlalchemy import delete
from sqlmodel import col

from infra.console.cookie_secret import box_of, is_secret, name_of, new_secret
from infra.database.clock import read_clock
from infra.database.session import Database
from infra.database.tables.console import ConsoleSession

SESSION_SECONDS = 7 * 86_400.0


@dataclass(frozen=True)
class Credentials:
    """With what the pages ask the API: an account's key, the administrator's, or both; empty where there is none."""

    key: str = ""
    admin_key: str = ""


class ConsoleSessions:
    """Begin, find and end them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, credentials: Credentials, account_id: str | None, *, instead_of: str = "") -> str:
        """The secret of a new session's cookie. The session of before ends: no secret is ever taken over from a browser."""
        secret = new_secret()
        sealed = box_of(secret).seal(json.dumps(asdict(credentials)))
        with self._database.write() as session:
            clock = read_clock(session)
            session.execute(
                delete(ConsoleSession).where(
                    (col(ConsoleSession.expires_at) <= clock) | (col(ConsoleSession.id) == name_of(instead_of))
                )
            )
            session.add(
                ConsoleSession(
                    id=name_of(secret),
                    account_id=account_id,
                    sealed=sealed,
                    created_at=clock,
                    expires_at=clock + SESSION_SECONDS,
                )
            )
        return secret

    def find(self, secret: str) -> Credentials | None:
        """None where it never was, has ended or is past its time."""
        if not is_secret(secret):
            return None
        with self._database.read() as session:
            found = session.get(ConsoleSession, name_of(secret))
            if found is None or found.expires_at <= read_clock(session):
                return None
        return Credentials(**json.loads(box_of(secret).open(found.sealed)))

    def end(self, secret: str) -> None:
        """Nobody is signed in by it any more."""
        with self._database.write() as session:
            session.execute(delete(ConsoleSession).where(col(ConsoleSession.id) == name_of(secret)))
