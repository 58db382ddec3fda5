"""Accounts and their API keys."""

from __future__ import annotations

import hmac
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from sqlalchemy import or_, select, update
from sqlmodel import col

from infra.api_keys import key_hash, new_key, parse_key
from infra.database.clock import now, read_clock
from infra.database.ids import new_id
from infra.database.session import Database
from infra.database.tables import Account, ApiKey
from pipeline.errors import NotFound, Unauthenticated

REMEMBERED_SECONDS = 5.0  # a key revoked elsewhere is refused here after this long
REMEMBERED_KEYS = 10_000
LAST_USED_SECONDS = 60.0  # how fine `last_used_at` is


@dataclass(frozen=True)
class Principal:
    """Who is asking."""

    account_id: str
    key_id: str
    tier: str


class Accounts:
    """Create accounts and keys; tell whose key a secret is. `pepper` keys the stored hashes: never change it."""

    def __init__(self, database: Database, pepper: str = "") -> None:
        self._database = database
        self._pepper = pepper
        self._remembered: OrderedDict[str, tuple[float, Principal]] = OrderedDict()
        self._lock = threading.Lock()

    def create_account(self, name: str, tier: str = "free") -> Account:
        """A new account."""
        with self._database.write() as session:
            account = Account(id=new_id("acct"), name=name, tier=tier, created_at=read_clock(session))
            session.add(account)
        return account

    def list_accounts(self) -> list[Account]:
        """All accounts, the oldest first."""
        with self._database.read() as session:
            return list(session.scalars(select(Account).order_by(col(Account.created_at), col(Account.id))))

    def create_key(self, account_id: str, name: str = "", expires_at: float | None = None) -> tuple[str, ApiKey]:
        """(secret, row). The secret is never seen again. Raises NotFound for an unknown account."""
        key = new_key()
        with self._database.write() as session:
            if session.get(Account, account_id) is None:
                raise NotFound("No such account.")
            row = ApiKey(
                id=key.key_id,
                account_id=account_id,
                secret_hash=key_hash(key.whole, self._pepper),
                name=name,
                created_at=read_clock(session),
                expires_at=expires_at,
            )
            session.add(row)
        return key.whole, row

    def authenticate(self, secret: str) -> Principal:
        """Raises Unauthenticated. Answers are remembered for at most 5 s; a malformed key never reaches the database."""
        key = parse_key(secret)
        if key is None:
            raise Unauthenticated
        digest = key_hash(secret, self._pepper)
        principal = self._recall(digest)
        if principal is None:
            principal = self._look_up(key.key_id, digest)
            self._remember(digest, principal)
        return principal

    def revoke_key(self, key_id: str) -> ApiKey:
        """Raises NotFound. In force at once here, within 5 s in other processes."""
        with self._database.write() as session:
            key = session.get(ApiKey, key_id, with_for_update=True)
            if key is None:
                raise NotFound("No such key.")
            key.revoked_at = key.revoked_at or read_clock(session)
        with self._lock:
            self._remembered.pop(key.secret_hash, None)
        return key

    def list_keys(self, account_id: str) -> list[ApiKey]:
        """An account's keys, the oldest first."""
        keys = select(ApiKey).where(col(ApiKey.account_id) == account_id)
        with self._database.read() as session:
            return list(session.scalars(keys.order_by(col(ApiKey.created_at), col(ApiKey.id))))

    def _look_up(self, key_id: str, digest: str) -> Principal:
        live = (
            select(ApiKey, Account, now())
            .join(Account, col(Account.id) == col(ApiKey.account_id))
            .where(
                col(ApiKey.id) == key_id,
                col(ApiKey.revoked_at).is_(None),
                or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > now()),
                col(Account.status) == "active",
            )
        )
        with self._database.read() as session:
            found = session.execute(live).one_or_none()
        # An unknown key costs the same comparison as a wrong one.
        right = hmac.compare_digest(found[0].secret_hash if found else "0" * len(digest), digest)
        if found is None or not right:
            raise Unauthenticated
        key, account, clock = found
        if key.last_used_at is None or key.last_used_at < clock - LAST_USED_SECONDS:
            self._note_use(key_id)
        return Principal(account.id, key_id, account.tier)

    def _note_use(self, key_id: str) -> None:
        with self._database.write() as session:
            session.execute(update(ApiKey).where(col(ApiKey.id) == key_id).values(last_used_at=now()))

    def _recall(self, digest: str) -> Principal | None:
        with self._lock:
            until, principal = self._remembered.get(digest, (0.0, None))
        return principal if time.monotonic() < until else None

    def _remember(self, digest: str, principal: Principal) -> None:
        with self._lock:
            self._remembered[digest] = (time.monotonic() + REMEMBERED_SECONDS, principal)
            self._remembered.move_to_end(digest)
            while len(self._remembered) > REMEMBERED_KEYS:
                self._remembered.popitem(last=False)
