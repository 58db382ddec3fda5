"""Money booked by hand: as often as it is sent with one key, it counts once; on both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.database.session import Database
from infra.keys.accounts import Accounts
from infra.money.adjustments import Adjustments
from infra.money.ledger import Ledger
from pipeline.errors import IdempotencyConflict, InsufficientBalance, NotFound


def test_without_a_key_each_counts(database: Database, account: str) -> None:
    adjustments, before = Adjustments(database), Ledger(database).balance(account)
    entries = [adjustments.book("top_up", account, 5, note="cash") for _ in range(3)]
    assert [(balance, replayed) for _, balance, replayed in entries] == [(before + 5 * n, False) for n in (1, 2, 3)]
    assert len({entry.id for entry, _, _ in entries}) == 3
    assert {(entry.kind, entry.delta, entry.amount, entry.note) for entry, _, _ in entries} == {
        ("top_up", 5, 5, "cash")
    }


def test_with_a_key_it_counts_once(database: Database, account: str) -> None:
    adjustments, before = Adjustments(database), Ledger(database).balance(account)
    first, _, new = adjustments.book("top_up", account, 5, key="k")
    again, balance, replayed = adjustments.book("top_up", account, 5, key="k")
    assert (first.id, new, replayed, balance) == (again.id, False, True, before + 5)
    for micro, note in ((6, ""), (5, "other")):
        with pytest.raises(IdempotencyConflict):
            adjustments.book("top_up", account, micro, note=note, key="k")
    assert Ledger(database).balance(account) == before + 5


def test_a_key_is_an_accounts_and_a_kinds_own(database: Database, account: str) -> None:
    other = Accounts(database).create_account("other").id
    adjustments = Adjustments(database)
    assert not any(
        adjustments.book(kind, owner, 5, note="n", key="k")[2]  # a plain tuple of names
        for owner in (account, other)
        for kind in ("top_up", "adjust")
    )
    assert Ledger(database).balance(other) == 10


def test_at_the_same_moment_it_counts_once(database: Database, account: str) -> None:
    adjustments, before = Adjustments(database), Ledger(database).balance(account)

    def book(_: int) -> int | None:
        return adjustments.book("top_up", account, 7, key="at once")[0].id

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(book, range(24)))) == 1
    assert Ledger(database).balance(account) == before + 7
    assert Ledger(database).check() == []


def test_a_correction_never_goes_below_nothing_and_leaves_no_row(database: Database) -> None:
    account, adjustments = Accounts(database).create_account("poor").id, Adjustments(database)
    adjustments.book("top_up", account, 5)
    with pytest.raises(InsufficientBalance):
        adjustments.book("adjust", account, -6, note="x", key="k")
    assert adjustments.book("adjust", account, -5, note="x", key="k")[1:] == (0, False)
    assert len(Ledger(database).entries(account)) == 2


def test_an_unknown_account(database: Database) -> None:
    for kind in ("top_up", "adjust"):
        with pytest.raises(NotFound):
            Adjustments(database).book(kind, "acct_nobody", 5, note="x")
