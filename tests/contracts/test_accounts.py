"""Accounts and keys."""

import time

import pytest
from sqlalchemy import update

from infra import accounts as module
from infra.accounts import Accounts, Principal
from infra.api_keys import ALPHABET, new_key, parse_key
from infra.database.session import Database
from infra.database.tables import Account
from pipeline.errors import NotFound, Unauthenticated


def test_a_key_opens_its_account(database: Database) -> None:
    accounts = Accounts(database)
    account = accounts.create_account("Ada", "pro")
    secret, row = accounts.create_key(account.id, "laptop")
    assert accounts.authenticate(secret) == Principal(account.id, row.id, "pro")
    assert secret.startswith("sk-" + row.id)
    assert len(secret) == 59
    assert secret not in repr(row)
    assert [key.last_used_at is not None for key in accounts.list_keys(account.id)] == [True]
    assert [found.id for found in accounts.list_accounts()] == [account.id]


def test_a_key_needs_an_account(database: Database) -> None:
    with pytest.raises(NotFound):
        Accounts(database).create_key("acct_nothing")


def test_a_revoked_key_is_refused_here_at_once_and_elsewhere_soon(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = Accounts(database), Accounts(database)
    secret, row = here.create_key(here.create_account("Ada").id)
    for accounts in (here, elsewhere):
        accounts.authenticate(secret)
    first = here.revoke_key(row.id).revoked_at
    assert here.revoke_key(row.id).revoked_at == first
    with pytest.raises(Unauthenticated):
        here.authenticate(secret)
    assert elsewhere.authenticate(secret).key_id == row.id
    later = time.monotonic() + module.REMEMBERED_SECONDS
    monkeypatch.setattr("infra.accounts.time.monotonic", lambda: later)
    with pytest.raises(Unauthenticated):
        elsewhere.authenticate(secret)
    with pytest.raises(NotFound):
        here.revoke_key("nothing")


def test_expired_keys_and_closed_accounts_are_refused(database: Database) -> None:
    accounts = Accounts(database)
    account = accounts.create_account("Ada").id
    expired, _ = accounts.create_key(account, expires_at=1.0)
    good, _ = accounts.create_key(account, expires_at=time.time() + 3600)
    with pytest.raises(Unauthenticated):
        accounts.authenticate(expired)
    accounts.authenticate(good)
    with database.write() as session:
        session.execute(update(Account).values(status="closed"))
    with pytest.raises(Unauthenticated):
        Accounts(database).authenticate(good)


def test_another_pepper_opens_nothing(database: Database) -> None:
    accounts = Accounts(database, pepper="a")
    secret, _ = accounts.create_key(accounts.create_account("Ada").id)
    with pytest.raises(Unauthenticated):
        Accounts(database, pepper="b").authenticate(secret)


def test_a_well_formed_stranger_is_refused(database: Database) -> None:
    with pytest.raises(Unauthenticated):
        Accounts(database).authenticate(new_key().whole)


def test_what_no_key_can_be_never_reaches_the_database() -> None:
    nowhere = Accounts(Database("postgresql://nobody@127.0.0.1:1/nothing"))
    key = new_key().whole
    other = ALPHABET[(ALPHABET.index(key[20]) + 1) % len(ALPHABET)]
    broken = (
        key[:20] + other + key[21:],
        key[:-1],
        key + "0",
        "pk" + key[2:],
        "",
        "sk-",
        "ü" * 59,
        key.replace("sk-", "sk_"),
    )
    for secret in broken:
        with pytest.raises(Unauthenticated):
            nowhere.authenticate(secret)


def test_keys_are_unlike_each_other() -> None:
    keys = [new_key() for _ in range(100)]
    assert len({key.whole for key in keys}) == len({key.key_id for key in keys}) == 100
    assert [parse_key(key.whole) for key in keys] == keys


def test_only_so_many_keys_are_remembered(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_KEYS", 2)
    accounts = Accounts(database)
    account = accounts.create_account("Ada").id
    for _ in range(4):
        accounts.authenticate(accounts.create_key(account)[0])
    assert len(accounts._remembered) == 2
