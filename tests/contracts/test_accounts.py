"""Accounts and keys."""

import time

import pytest
from sqlalchemy import update

from infra.database.session import Database
from infra.database.tables.accounts import Account, ApiKey
from infra.keys import key_cache as module
from infra.keys.accounts import Accounts, Principal
from infra.keys.api_keys import ALPHABET, new_key, parse_key
from infra.keys.scopes import ALL
from infra.keys.tiers import TIERS, Limits, limits_of
from pipeline.errors import AccountSuspended, InvalidRequest, NotFound, Unauthenticated, WrongState


def test_a_key_opens_its_account(database: Database) -> None:
    accounts = Accounts(database)
    account = accounts.create_account("Ada", "pro")
    secret, row = accounts.create_key(account.id, "laptop")
    assert accounts.authenticate(secret) == Principal(account.id, row.id, "pro", ALL, TIERS["pro"])
    assert secret.startswith("sk-" + row.id)
    assert len(secret) == 59
    assert secret not in repr(row)
    assert [key.last_used_at is not None for key in accounts.list_keys(account.id)] == [True]
    assert [found.id for found in accounts.list_accounts()] == [account.id]


@pytest.mark.parametrize("pepper", ["", "ground black"])
def test_the_database_tells_no_key(database: Database, pepper: str) -> None:
    """Nor any part of its secret, in any table."""
    accounts = Accounts(database, [pepper] if pepper else [])
    account = accounts.create_account("Ada").id
    first, row = accounts.create_key(account)
    second, _ = accounts.rotate_key(row.id)
    for secret in (first, second):
        accounts.authenticate(secret)
    with database.read() as session:
        tables = Account.metadata.sorted_tables
        dump = str([tuple(line) for table in tables for line in session.execute(table.select())])
    assert row.id in dump
    for secret in (first, second):
        parts = parse_key(secret)
        assert parts is not None
        assert secret.removeprefix("sk-" + parts.key_id)[:40] not in dump
    assert not pepper or pepper not in dump


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
    monkeypatch.setattr("infra.keys.key_cache.time.monotonic", lambda: later)
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


def seconds_pass(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    later = time.monotonic() + seconds
    monkeypatch.setattr("infra.keys.key_cache.time.monotonic", lambda: later)


def test_a_lost_pepper_opens_nothing_and_is_told(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    accounts = Accounts(database, ["a"])
    secret, row = accounts.create_key(accounts.create_account("Ada").id)
    with pytest.raises(Unauthenticated):
        Accounts(database, ["b"]).authenticate(secret)
    assert row.id in caplog.text and "STENOPOOL_KEY_PEPPER" in caplog.text
    assert secret not in caplog.text


def test_a_pepper_can_be_introduced_and_replaced(database: Database) -> None:
    plain = Accounts(database)
    account = plain.create_account("Ada").id
    secret, row = plain.create_key(account)
    for peppers in (["a"], ["b", "a"], ["b"]):  # a use moves the hash to the newest
        accounts = Accounts(database, peppers)
        assert accounts.authenticate(secret).key_id == row.id
        with database.write() as session:
            session.execute(update(ApiKey).values(last_used_at=None))
    with pytest.raises(Unauthenticated):
        plain.authenticate(secret)
    (stored,) = plain.list_keys(account)
    assert "$" in stored.secret_hash


def test_a_rotated_key_works_beside_its_successor_for_a_while(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = Accounts(database)
    account = accounts.create_account("Ada").id
    end = time.time() + 7200
    old, row = accounts.create_key(account, "laptop", end, scopes=["usage"])
    new, successor = accounts.rotate_key(row.id, 3600)
    assert (successor.name, successor.scopes, successor.expires_at) == ("laptop", ["usage"], end)
    assert {accounts.authenticate(secret).key_id for secret in (old, new)} == {row.id, successor.id}
    with pytest.raises(WrongState):
        accounts.rotate_key(row.id)
    newest, last = accounts.rotate_key(successor.id, 0)
    with pytest.raises(Unauthenticated, match="rotated"):
        accounts.authenticate(new)
    accounts.revoke_key(last.id)
    with pytest.raises(Unauthenticated, match="revoked"):
        accounts.authenticate(newest)
    for key_id in (last.id, successor.id):
        with pytest.raises(WrongState):
            accounts.rotate_key(key_id)
    with pytest.raises(NotFound):
        accounts.rotate_key("nothing")


def test_a_key_is_not_believed_beyond_its_own_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = Accounts(database)
    account = accounts.create_account("Ada").id
    secret, row = accounts.create_key(account, expires_at=time.time() + 3600)
    accounts.authenticate(secret)
    with database.write() as session:
        session.execute(update(ApiKey).values(expires_at=time.time() + 300))
    fresh = Accounts(database)
    fresh.authenticate(secret)
    assert fresh.recall(secret) is not None
    seconds_pass(monkeypatch, 301)
    assert fresh.recall(secret) is None
    assert row.id


def test_scopes_are_kept_and_unknown_ones_refused(database: Database) -> None:
    accounts = Accounts(database)
    account = accounts.create_account("Ada").id
    secret, row = accounts.create_key(account, scopes=["jobs:read", "speech", "speech"])
    assert row.scopes == ["jobs:read", "speech"]
    assert accounts.authenticate(secret).scopes == {"jobs:read", "speech"}
    for wrong in ([], ["speech", "jobs"]):
        with pytest.raises(InvalidRequest, match="Scopes: transcribe, speech"):
            accounts.create_key(account, scopes=wrong)


def test_an_account_can_be_changed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    here, elsewhere = Accounts(database), Accounts(database)
    account = here.create_account("Ada", "enterprise", plan="gold", limits={"concurrent_jobs": 3}).id
    secret, _ = here.create_key(account)
    for accounts in (here, elsewhere):
        assert accounts.authenticate(secret).limits == Limits(concurrent_jobs=3)
    changed = here.update(account, tier="free", plan="", name="Eve", limits={"speech_requests_per_minute": None})
    assert (changed.name, changed.tier, changed.plan) == ("Eve", "free", "")
    here.update(account)
    assert here.account(account).limits == {"speech_requests_per_minute": None}
    assert here.authenticate(secret).limits == limits_of("free", {"speech_requests_per_minute": None})
    assert here.authenticate(secret).limits.api_requests_per_minute == TIERS["free"].api_requests_per_minute
    assert elsewhere.authenticate(secret).tier == "enterprise"
    seconds_pass(monkeypatch, module.REMEMBERED_SECONDS)
    assert elsewhere.authenticate(secret).tier == "free"
    here.update(account, limits={})
    assert here.account(account).limits is None


def test_wrong_changes_are_refused(database: Database) -> None:
    accounts = Accounts(database)
    account = accounts.create_account("Ada").id
    for wrong in (
        {"tier": "gold"},
        {"status": "asleep"},
        {"limits": {"concurrent_jobs": -1}},
        {"limits": {"lunch": 1}},
        {"limits": {"concurrent_jobs": "many"}},
    ):
        with pytest.raises(InvalidRequest):
            accounts.update(account, **wrong)
    for unknown in (lambda: accounts.update("acct_nothing"), lambda: accounts.account("acct_nothing")):
        with pytest.raises(NotFound):
            unknown()
    with pytest.raises(InvalidRequest):
        accounts.create_account("Eve", "gold")


def test_a_suspended_account_is_told_so(database: Database) -> None:
    accounts = Accounts(database)
    account = accounts.create_account("Ada").id
    secret, _ = accounts.create_key(account)
    accounts.authenticate(secret)
    accounts.update(account, status="suspended")
    with pytest.raises(AccountSuspended):
        accounts.authenticate(secret)
    accounts.update(account, status="active")
    accounts.authenticate(secret)


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
    assert len(accounts._cache) == 2
