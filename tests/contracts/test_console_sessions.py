"""Sessions of the console and the links that begin one, on both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update

from infra.console import console_sessions, sign_in_links
from infra.console.console_sessions import ConsoleSessions, Credentials
from infra.console.cookie_secret import new_secret
from infra.console.sign_in_links import SignInLinks, local_account
from infra.database.session import Database
from infra.database.tables.console import ConsoleLink, ConsoleSession
from infra.keys.accounts import Accounts
from infra.money.ledger import Ledger
from pipeline.errors import NotFound, SecretUnreadable


@pytest.fixture
def sessions(database: Database) -> ConsoleSessions:
    return ConsoleSessions(database)


@pytest.fixture
def links(database: Database) -> SignInLinks:
    return SignInLinks(database, Accounts(database))


def once_of(link: str) -> str:
    return link.partition("?once=")[2]


def test_a_session_is_found_by_its_secret_until_it_ends(sessions: ConsoleSessions, account: str) -> None:
    secret = sessions.begin(Credentials("sk-mine"), account)
    assert sessions.find(secret) == Credentials("sk-mine")
    assert sessions.find(new_secret()) is None
    assert sessions.find("not one") is None
    sessions.end(secret)
    assert sessions.find(secret) is None


def test_nothing_in_the_row_opens_it(sessions: ConsoleSessions, database: Database, account: str) -> None:
    secret = sessions.begin(Credentials("sk-mine", "admin's own"), account)
    with database.read() as session:
        (row,) = session.scalars(select(ConsoleSession)).all()
    written = repr(row.model_dump())
    assert not any(hidden in written for hidden in ("sk-mine", "admin's own", secret))
    other = sessions.begin(Credentials("sk-other"), account)
    with database.write() as session:  # a row's content in another row is of no use to the other's holder
        session.execute(update(ConsoleSession).values(sealed=row.sealed))
    with pytest.raises(SecretUnreadable):
        sessions.find(other)


def test_a_new_session_ends_the_one_before(sessions: ConsoleSessions, account: str) -> None:
    first = sessions.begin(Credentials("sk-mine"), account)
    second = sessions.begin(Credentials("sk-mine", "admin"), account, instead_of=first)
    assert second != first
    assert sessions.find(first) is None
    assert sessions.find(second) is not None


def test_what_is_past_its_time_is_nobody_and_goes(sessions: ConsoleSessions, database: Database, account: str) -> None:
    secret = sessions.begin(Credentials("sk-mine"), account)
    with database.write() as session:
        session.execute(update(ConsoleSession).values(expires_at=1.0))
    assert sessions.find(secret) is None
    sessions.begin(Credentials("sk-mine"), account)
    with database.read() as session:
        assert len(session.scalars(select(ConsoleSession)).all()) == 1


def test_a_link_signs_in_once(links: SignInLinks, database: Database, account: str) -> None:
    link = links.make(account, "http://127.0.0.1:8000/")
    assert link.startswith("http://127.0.0.1:8000/console/start?once=")
    secret = links.redeem(once_of(link))
    assert secret is not None
    found = ConsoleSessions(database).find(secret)
    assert found is not None
    assert Accounts(database).authenticate(found.key).account_id == account
    (key,) = Accounts(database).list_keys(account)
    assert key.expires_at is not None, "it ends with its session"
    assert links.redeem(once_of(link)) is None


def test_of_many_who_open_a_link_at_once_one_is_signed_in(links: SignInLinks, account: str) -> None:
    once = once_of(links.make(account, "http://here"))
    with ThreadPoolExecutor(6) as threads:
        signed_in = [secret for secret in threads.map(links.redeem, [once] * 6) if secret]
    assert len(signed_in) == 1


def test_an_old_link_and_none_sign_nobody_in(links: SignInLinks, database: Database, account: str) -> None:
    link = links.make(account, "http://here")
    with database.write() as session:
        session.execute(update(ConsoleLink).values(expires_at=1.0))
    assert links.redeem(once_of(link)) is None
    assert links.redeem(new_secret()) is None
    assert links.redeem("") is None
    with pytest.raises(NotFound):
        links.make("acct_of_nobody", "http://here")


def test_times_are_as_promised() -> None:
    assert sign_in_links.LINK_SECONDS == 15 * 60
    assert console_sessions.SESSION_SECONDS == 7 * 86_400


def test_the_machines_own_account_is_made_once(database: Database) -> None:
    accounts = Accounts(database)
    first = local_account(database, accounts)
    assert local_account(database, accounts) == first
    assert accounts.account(first).name == "local"
    assert Ledger(database).balance(first) == sign_in_links.FIRST_BALANCE
    accounts.update(first, status="closed")
    assert local_account(database, accounts) != first, "a closed one opens nothing"
