"""Accounts and keys that an administrator asks for with an Idempotency-Key: made once, however often that is sent."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from infra.database.session import Database
from infra.database.tables.accounts import Account, ApiKey
from infra.idempotency import Idempotency, create_once
from infra.keys.accounts import Accounts


class IdempotentCreation:
    """Each answer is the row, and where the request was there before its first answer."""

    def __init__(self, database: Database, accounts: Accounts) -> None:
        self._database = database
        self._accounts = accounts

    def account(self, once: Idempotency, **wanted: Any) -> tuple[Account, dict[str, Any] | None]:
        """A new account, wanted as Accounts.create_account has it. Raises InvalidRequest, IdempotencyConflict."""
        # There is nobody yet whose key it could be: the account's own id follows from the key.
        digest = hashlib.sha256(f"{once.route}\0{once.key}".encode(errors="replace")).hexdigest()
        account_id = f"acct_{digest[:26].upper()}"

        def insert(session: Session) -> Account:
            known = session.get(Account, account_id)  # its key is past its time: still the same account
            return known or self._accounts.add_account(session, account_id, **wanted)

        try:
            return create_once(self._database, account_id, once, Account, insert)
        except IntegrityError:  # somebody made it at this very moment
            return create_once(self._database, account_id, once, Account, insert)

    def key(
        self, account_id: str, once: Idempotency, **wanted: Any
    ) -> tuple[str | None, ApiKey, dict[str, Any] | None]:
        """(secret, row, None), or (None, row, first answer): a secret is not kept, so it cannot be told again.

        Wanted as Accounts.create_key has it. Raises NotFound, InvalidRequest, IdempotencyConflict.
        """
        secret = None

        def insert(session: Session) -> ApiKey:
            nonlocal secret
            secret, row = self._accounts.add_key(session, account_id, **wanted)
            return row

        row, first = create_once(self._database, account_id, once, ApiKey, insert)
        return (secret if first is None else None), row, first
