"""Accounts for tests about other things than money: nothing limits them, and they have a thousand dollars."""

from infra.database.session import Database
from infra.keys.accounts import Accounts
from infra.money.ledger import Ledger


def rich(database: Database, name: str) -> str:
    """The id of a new one."""
    account = Accounts(database).create_account(name, "enterprise").id
    Ledger(database).top_up(account, 10**9)
    return account
