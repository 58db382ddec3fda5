"""Links that sign in at the console: good once and for a quarter of an hour."""

from __future__ import annotations

from sqlalchemy import delete
from sqlmodel import col

from infra.console.console_sessions import SESSION_SECONDS, ConsoleSessions, Credentials
from infra.console.cookie_secret import is_secret, name_of, new_secret
from infra.database.clock import read_clock
from infra.database.session import Database
from infra.database.tables.console import ConsoleLink
from infra.keys.accounts import ACTIVE, Accounts
from infra.money.ledger import Ledger
from pipeline.money import MICRO

LINK_SECONDS = 900.0
PATH = "/console/start"
LOCAL = "local"  # the account of whoever starts everything on one machine
# Play money, so that nobody's first tries run into a wall of his own.
FIRST_BALANCE = 1000 * MICRO


class SignInLinks:
    """Make them, and take them for a session."""

    def __init__(self, database: Database, accounts: Accounts) -> None:
        self._database = database
        self._accounts = accounts

    def make(self, account_id: str, base_url: str) -> str:
        """The link for that account at the server of that address. Raises NotFound for an unknown account."""
        self._accounts.account(account_id)
        secret = new_secret()
        with self._database.write() as session:
            clock = read_clock(session)
            session.execute(delete(ConsoleLink).where(col(ConsoleLink.expires_at) <= clock))
            link = ConsoleLink(id=name_of(secret), account_id=account_id, expires_at=clock + LINK_SECONDS)
            session.add(link)
        return f"{base_url.rstrip('/')}{PATH}?once={secret}"

    def redeem(self, once: str, *, instead_of: str = "") -> str | None:
        """The secret of a new session's cookie; None for a link that is used, too old or none. Its key ends with the session."""
        account_id = self._taken(once)
        if account_id is None:
            return None
        with self._database.read() as session:
            ends = read_clock(session) + SESSION_SECONDS
        key, _ = self._accounts.create_key(account_id, "console", ends)
        return ConsoleSessions(self._database).begin(Credentials(key), account_id, instead_of=instead_of)

    def _taken(self, once: str) -> str | None:
        if not is_secret(once):
            return None
        with self._database.write() as session:
            link = session.get(ConsoleLink, name_of(once), with_for_update=True)
            if link is None:
                return None
            session.delete(link)
            return link.account_id if link.expires_at > read_clock(session) else None


def local_account(database: Database, accounts: Accounts) -> str:
    """The account of this machine, made with play money where it is not there yet."""
    for account in accounts.list_accounts():
        if account.name == LOCAL and account.status == ACTIVE:
            return account.id
    made = accounts.create_account(LOCAL, "enterprise")  # no rates: it is its own machine
    Ledger(database).top_up(made.id, FIRST_BALANCE, note="made by the first start")
    return made.id
