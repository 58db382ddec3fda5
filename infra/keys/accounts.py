"""Accounts and their API keys."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.audit.audit_log import changes, record
from infra.database.clock import now, read_clock
from infra.database.ids import new_id
from infra.database.session import Database
from infra.database.tables.accounts import Account, AccountErasure, ApiKey
from infra.keys import scopes as known_scopes
from infra.keys.api_keys import Peppers, new_key, parse_key
from infra.keys.key_cache import REMEMBERED_SECONDS, KeyCache
from infra.keys.key_cache import Principal as Principal
from infra.keys.scopes import checked_scopes
from infra.keys.tiers import checked_limits, checked_tier, limits_of
from pipeline.errors import AccountSuspended, InvalidRequest, NotFound, Unauthenticated, WrongState
from pipeline.pricing import checked_ratio

log = logging.getLogger("stenopool.accounts")

ACTIVE, SUSPENDED, CLOSED = "active", "suspended", "closed"
STATUSES = (ACTIVE, SUSPENDED, CLOSED)
CHANGEABLE = ("name", "tier", "plan", "status", "limits", "audio_ratio", "balance_low_micro")
TEXTS = frozenset({"name", "plan"})  # what somebody wrote
LAST_USED_SECONDS = 60.0  # how fine `last_used_at` is
OVERLAP_SECONDS = 24 * 3600.0  # for which a rotated key works beside its successor

_REVOKED = "This API key has been revoked."
_CLOSED = "This API key's account is closed."


class Accounts:
    """Create accounts and keys, change them, tell whose key a secret is."""

    def __init__(self, database: Database, peppers: Sequence[str] = ()) -> None:
        """`peppers` key the stored hashes, the newest first; see infra.keys.api_keys.Peppers."""
        self._database = database
        self._peppers = Peppers(peppers)
        self._cache = KeyCache()

    def create_account(
        self, name: str, tier: str = "free", *, plan: str = "", limits: Mapping[str, Any] | None = None
    ) -> Account:
        """A new account. `limits` are its own numbers in place of its tier's. Raises InvalidRequest."""
        with self._database.write() as session:
            return self.add_account(session, new_id("acct"), name, tier, plan=plan, limits=limits)

    def add_account(
        self,
        session: Session,
        account_id: str,
        name: str,
        tier: str = "free",
        *,
        plan: str = "",
        limits: Mapping[str, Any] | None = None,
    ) -> Account:
        """As create_account, in somebody else's transaction."""
        account = Account(
            id=account_id,
            name=name,
            tier=checked_tier(tier),
            plan=plan,
            limits=checked_limits(limits) if limits else None,
            created_at=read_clock(session),
        )
        session.add(account)
        session.flush()
        made = {"tier": account.tier, "limits": account.limits}
        record(session, "account.create", account_id=account_id, subject=account_id, details=made)
        return account

    def account(self, account_id: str) -> Account:
        """Raises NotFound."""
        with self._database.read() as session:
            return _account(session, account_id)

    def list_accounts(self) -> list[Account]:
        """All accounts, the oldest first."""
        with self._database.read() as session:
            return list(session.scalars(select(Account).order_by(col(Account.created_at), col(Account.id))))

    def update(
        self,
        account_id: str,
        *,
        name: str | None = None,
        tier: str | None = None,
        plan: str | None = None,
        status: str | None = None,
        limits: Mapping[str, Any] | None = None,
        audio_ratio: Decimal | None = None,
        balance_low: int | None = None,
    ) -> Account:
        """Change what is given; `limits` replaces all of the account's own numbers, and {} leaves it with its tier's. `audio_ratio`
        multiplies what it pays for sound (infra.money.ratios). `balance_low` in micro-dollars: it is told when less
        is left; 0: never.

        In force at once here, within 5 s in other processes. Raises NotFound, InvalidRequest, WrongState for an erased one.
        """
        if status is not None and status not in STATUSES:
            raise InvalidRequest(f"There is no status {status!r}. Statuses: {', '.join(STATUSES)}.", param="status")
        given = {"name": name, "tier": tier and checked_tier(tier), "plan": plan, "status": status}
        with self._database.write() as session:
            account = _account(session, account_id, lock=True)
            if session.get(AccountErasure, account_id) is not None:
                raise WrongState("The account was erased, for good. Make a new one.")
            before = _changeable(account)
            for field, value in given.items():
                if value is not None:
                    setattr(account, field, value)
            if limits is not None:
                account.limits = checked_limits(limits) or None
            if audio_ratio is not None:
                account.audio_ratio = None if checked_ratio(audio_ratio) == 1 else str(audio_ratio)
            if balance_low is not None:
                account.balance_low_micro, account.balance_low_told = balance_low or None, False
            if changed := changes(before, _changeable(account), texts=TEXTS):
                record(session, "account.update", account_id=account_id, subject=account_id, details=changed)
        self._cache.forget(account_id=account_id)
        return account

    def forget(self, account_id: str) -> None:
        """What is remembered of its keys here: somebody else has changed them."""
        self._cache.forget(account_id=account_id)

    def create_key(
        self,
        account_id: str,
        name: str = "",
        expires_at: float | None = None,
        *,
        scopes: Iterable[str] | None = None,
    ) -> tuple[str, ApiKey]:
        """(secret, row). The secret is never seen again. `scopes`: None for everything; `expires_at` in epoch seconds.

        Raises NotFound for an unknown account, InvalidRequest for scopes that do not exist.
        """
        with self._database.write() as session:
            return self.add_key(session, account_id, name, expires_at, scopes=scopes)

    def add_key(
        self,
        session: Session,
        account_id: str,
        name: str = "",
        expires_at: float | None = None,
        *,
        scopes: Iterable[str] | None = None,
    ) -> tuple[str, ApiKey]:
        """As create_key, in somebody else's transaction."""
        allowed = None if scopes is None else checked_scopes(scopes)
        _account(session, account_id)
        secret, key = self._new_key(session, account_id=account_id, name=name, expires_at=expires_at, scopes=allowed)
        made = {"scopes": allowed, "expires_at": expires_at}
        record(session, "key.create", account_id=account_id, subject=key.id, details=made)
        return secret, key

    def rotate_key(self, key_id: str, overlap_seconds: float = OVERLAP_SECONDS) -> tuple[str, ApiKey]:
        """(secret, row) of a new key that may do what the old one may; that one works for so many seconds more.

        Raises NotFound, WrongState for a key that is revoked, expired or rotated already.
        """
        with self._database.write() as session:
            old, clock = _key(session, key_id), read_clock(session)
            if old.replaced_by is not None or not _is_live(old, clock):
                raise WrongState("Only a live key that has not been rotated can be rotated.")
            secret, new = self._new_key(
                session, account_id=old.account_id, name=old.name, expires_at=old.expires_at, scopes=old.scopes
            )
            old.replaced_by, old.rotated_until = new.id, clock + max(0.0, overlap_seconds)
            told = {"replaced_by": new.id, "rotated_until": old.rotated_until}
            record(session, "key.rotate", account_id=old.account_id, subject=key_id, details=told)
        self._cache.forget(key_id=key_id)
        return secret, new

    def revoke_key(self, key_id: str) -> ApiKey:
        """Raises NotFound. In force at once here, within 5 s in other processes."""
        with self._database.write() as session:
            key = _key(session, key_id)
            if key.revoked_at is None:
                key.revoked_at = read_clock(session)
                record(session, "key.revoke", account_id=key.account_id, subject=key_id)
        self._cache.forget(key_id=key_id)
        return key

    def list_keys(self, account_id: str) -> list[ApiKey]:
        """An account's keys, the oldest first."""
        keys = select(ApiKey).where(col(ApiKey.account_id) == account_id)
        with self._database.read() as session:
            return list(session.scalars(keys.order_by(col(ApiKey.created_at), col(ApiKey.id))))

    def recall(self, secret: str) -> Principal | None:
        """Whose key it was within the last seconds; asks no database."""
        return self._cache.recall(secret)

    def authenticate(self, secret: str) -> Principal:
        """Raises Unauthenticated, AccountSuspended. Answers are remembered for at most 4 s; a malformed key never reaches
        the database."""
        principal = self._cache.recall(secret)
        if principal is None:
            key = parse_key(secret)
            if key is None:
                raise Unauthenticated
            principal, seconds = self._look_up(key.key_id, secret)
            self._cache.remember(secret, principal, seconds)
        return principal

    def without_key(self, account_id: str) -> Principal:
        """The account as one that may transcribe, and nothing else, for requests that the operator lets it pay for. Raises
        Unauthenticated where it is none (any more), AccountSuspended."""
        with self._database.read() as session:
            account = session.get(Account, account_id)
        if account is None:
            raise Unauthenticated(
                "STENOPOOL_ASR_ACCOUNT of this server names no account: its operator must correct it."
            )
        _check_active(account)
        only = frozenset({known_scopes.TRANSCRIBE})
        return Principal(account.id, "", account.tier, only, limits_of(account.tier, account.limits))

    def want_running(self, key_id: str) -> None:
        """Whether work that was begun with this key may go on. Raises Unauthenticated once the key is revoked or its account
        closed."""
        state = select(col(ApiKey.revoked_at), col(Account.status)).join(
            Account, col(Account.id) == col(ApiKey.account_id)
        )
        with self._database.read() as session:
            row = session.execute(state.where(col(ApiKey.id) == key_id)).one_or_none()
        if row is None or row.revoked_at is not None:
            raise Unauthenticated(_REVOKED)
        if row.status == CLOSED:
            raise Unauthenticated(_CLOSED)

    def _look_up(self, key_id: str, secret: str) -> tuple[Principal, float]:
        """The principal, and for how many seconds that may be believed."""
        found = select(ApiKey, Account, now()).join(Account, col(Account.id) == col(ApiKey.account_id))
        with self._database.read() as session:
            row = session.execute(found.where(col(ApiKey.id) == key_id)).one_or_none()
        # An unknown key costs the same comparison as a wrong one.
        right = self._peppers.match(row[0].secret_hash if row else "0" * 64, secret)
        if row is None or not right:
            if row is not None and not self._peppers.knows(row[0].secret_hash):
                log.error("key %s was stored under a pepper that STENOPOOL_KEY_PEPPER does not name any more", key_id)
            raise Unauthenticated
        key, account, clock = row
        _check_live(key, account, clock)
        if key.last_used_at is None or key.last_used_at < clock - LAST_USED_SECONDS:
            self._note_use(key_id, secret)
        allowed = known_scopes.ALL if key.scopes is None else frozenset(key.scopes)
        principal = Principal(account.id, key_id, account.tier, allowed, limits_of(account.tier, account.limits))
        ends = [moment - clock for moment in (key.expires_at, key.rotated_until) if moment is not None]
        return principal, min(ends, default=REMEMBERED_SECONDS)

    def _note_use(self, key_id: str, secret: str) -> None:
        """The time, and the hash under the newest pepper, so that older ones can be dropped some day."""
        with self._database.write() as session:
            noted = {"last_used_at": now(), "secret_hash": self._peppers.hash(secret)}
            session.execute(update(ApiKey).where(col(ApiKey.id) == key_id).values(noted))

    def _new_key(self, session: Session, **given: Any) -> tuple[str, ApiKey]:
        key = new_key()
        row = ApiKey(id=key.key_id, secret_hash=self._peppers.hash(key.whole), created_at=read_clock(session), **given)
        session.add(row)
        return key.whole, row


def _changeable(account: Account) -> dict[str, Any]:
    return {name: getattr(account, name) for name in CHANGEABLE}


def _account(session: Session, account_id: str, *, lock: bool = False) -> Account:
    found = session.get(Account, account_id, with_for_update=lock or None)
    if found is None:
        raise NotFound("No such account.")
    return found


def _key(session: Session, key_id: str) -> ApiKey:
    found = session.get(ApiKey, key_id, with_for_update=True)
    if found is None:
        raise NotFound("No such key.")
    return found


def _is_live(key: ApiKey, clock: float) -> bool:
    return key.revoked_at is None and all(end is None or end > clock for end in (key.expires_at, key.rotated_until))


def _check_live(key: ApiKey, account: Account, clock: float) -> None:
    """Whoever holds the right secret may know what is wrong with it. Raises Unauthenticated, AccountSuspended."""
    if key.revoked_at is not None:
        raise Unauthenticated(_REVOKED)
    if key.rotated_until is not None and key.rotated_until <= clock:
        raise Unauthenticated("This API key was rotated, and the time beside its successor is over.")
    if key.expires_at is not None and key.expires_at <= clock:
        raise Unauthenticated("This API key has expired.")
    _check_active(account)


def _check_active(account: Account) -> None:
    if account.status == SUSPENDED:
        raise AccountSuspended
    if account.status != ACTIVE:
        raise Unauthenticated(_CLOSED)
