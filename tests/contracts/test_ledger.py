"""The ledger: nobody spends what they do not have, nobody pays twice, and the books agree after everything."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from infra.database.session import Database, Transaction, run
from infra.database.tables.accounts import Account
from infra.database.tables.money import LedgerEntry, OpenHold, Receipt
from infra.keys.accounts import Accounts
from infra.money.ledger import Ledger
from infra.money.ratios import EVERY_MODEL, Ratios
from infra.money.receipts import NewReceipt, Receipts
from pipeline.catalog.model import Prices
from pipeline.catalog.toml_file import load_catalog
from pipeline.errors import InsufficientBalance, InvalidRequest, ModelNotFound, NotFound
from pipeline.pricing import Usage

MINUTE = Prices(audio_minute=Decimal("0.006"))  # 100 micro-dollars a second


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def receipt(account: str, seconds: float, **more: object) -> NewReceipt:
    usage = Usage(audio_ms=round(1000 * seconds))
    return NewReceipt(account_id=account, task="transcription", model="whisper-1", usage=usage, prices=MINUTE, **more)


def rows(ledger: Ledger, account: str) -> list[tuple[str, int, int, int]]:
    """(kind, part, amount, delta), the oldest first."""
    return [(row.kind, row.part, row.amount, row.delta) for row in ledger.entries(account)][::-1]


def test_a_request_holds_captures_and_releases(ledger: Ledger, database: Database, account: str) -> None:
    assert ledger.top_up(account, 10_000, note="cash") == 10_000
    ledger.hold(account, "req_1", 2_000)
    assert ledger.balance(account) == 8_000
    settled = ledger.settle("req_1", receipt(account, 12.5, key_id="k", model_used="whisper-large-v3"))
    written = Receipts(database).of("req_1")
    assert written is not None
    assert settled == (written.id, 1_250)
    assert (written.cost, written.ratio, written.prices) == (1_250, "1", {"audio_minute": "0.006"})
    assert (written.audio_ms, written.counted, written.model_used) == (12_500, "measured", "whisper-large-v3")
    assert ledger.balance(account) == 8_750
    assert rows(ledger, account) == [
        ("top_up", 0, 10_000, 10_000),
        ("hold", 0, 2_000, -2_000),
        ("capture", 0, 1_250, 0),
        ("release", 0, 750, 750),
    ]
    assert ledger.check() == []


def test_whatever_is_repeated_happens_once(ledger: Ledger, account: str) -> None:
    for _ in range(3):
        assert ledger.top_up(account, 10_000, subject="order 7") == 10_000
    for _ in range(3):
        ledger.hold(account, "req_1", 2_000)
    first = ledger.settle("req_1", receipt(account, 10))
    again = ledger.settle("req_1", receipt(account, 20))
    ledger.release("req_1")
    assert (again.id, again.cost) == (first.id, 1_000)
    ledger.hold(account, "req_1", 5_000)
    assert ledger.balance(account) == 9_000
    ledger.hold(account, "req_2", 2_000)
    for _ in range(3):
        ledger.release("req_2")
    assert ledger.settle("req_2", receipt(account, 10)).cost == 0
    assert ledger.balance(account) == 9_000
    assert ledger.check() == []


def test_the_table_itself_takes_nothing_twice(ledger: Ledger, database: Database, account: str) -> None:
    ledger.top_up(account, 10, subject="order 7")
    with database.read() as session:
        row = session.scalars(select(LedgerEntry)).one()
    again = {name: getattr(row, name) for name in ("account_id", "subject", "kind", "part", "delta", "amount", "at")}
    with pytest.raises(IntegrityError), database.write() as session:
        session.add(LedgerEntry(**again))
    other = Accounts(database).create_account("other").id
    assert ledger.top_up(other, 10, subject="order 7") == 10, "what one account calls it is not another's"


def test_money_that_is_not_there_is_not_held(ledger: Ledger, account: str) -> None:
    ledger.top_up(account, 999)
    with pytest.raises(
        InsufficientBalance, match=r"needs 0\.001 USD, and 0\.000999 USD are left.*subscription never covers"
    ):
        ledger.hold(account, "req_1", 1_000)
    assert rows(ledger, account) == [("top_up", 0, 999, 999)]
    assert ledger.check() == []
    ledger.hold(account, "req_1", 999)
    assert ledger.balance(account) == 0


def test_what_is_free_needs_no_money_and_no_rows(ledger: Ledger, account: str) -> None:
    ledger.hold(account, "req_1", 0)
    free = NewReceipt(account_id=account, task="speech", model="espeak-ng", usage=Usage(characters=5))
    assert ledger.settle("req_1", free).cost == 0
    assert rows(ledger, account) == []


def test_a_hold_grows(ledger: Ledger, account: str) -> None:
    ledger.top_up(account, 5_000)
    ledger.hold(account, "req_1", 1_000)
    ledger.extend("req_1", 3_000)
    with pytest.raises(InsufficientBalance):
        ledger.extend("req_1", 1_001)
    ledger.extend("req_1", 1_000)
    assert ledger.settle("req_1", receipt(account, 45)).cost == 4_500
    assert ledger.balance(account) == 500
    assert [row[:3] for row in rows(ledger, account)[1:4]] == [("hold", 0, 1000), ("hold", 1, 3000), ("hold", 2, 1000)]
    with pytest.raises(NotFound):
        ledger.extend("req_1", 1)
    assert ledger.check() == []


def test_more_than_was_held_is_captured_only_as_far_as_money_goes(ledger: Ledger, account: str) -> None:
    ledger.top_up(account, 3_000)
    ledger.hold(account, "req_1", 1_000)
    assert ledger.settle("req_1", receipt(account, 15)).cost == 1_500
    assert ledger.balance(account) == 1_500
    ledger.hold(account, "req_2", 1_000)
    assert ledger.settle("req_2", receipt(account, 60)).cost == 1_500
    assert ledger.balance(account) == 0
    assert ledger.check() == []


def test_corrections_go_either_way_but_never_below_nothing(ledger: Ledger, account: str) -> None:
    assert ledger.adjust(account, 500, note="sorry") == 500
    assert ledger.adjust(account, -200) == 300
    with pytest.raises(InsufficientBalance):
        ledger.adjust(account, -301)
    with pytest.raises(InvalidRequest):
        ledger.top_up(account, 0)
    with pytest.raises(NotFound):
        ledger.top_up("acct_nobody", 1)
    with pytest.raises(NotFound):
        ledger.balance("acct_nobody")
    assert ledger.balance(account) == 300
    assert ledger.check() == []


def test_sixty_four_at_once_with_money_for_ten(ledger: Ledger, account: str) -> None:
    ledger.top_up(account, 10_000)

    def request(n: int) -> bool:
        try:
            ledger.hold(account, f"req_{n}", 1_000)
        except InsufficientBalance:
            return False
        ledger.settle(f"req_{n}", receipt(account, 10))
        return True

    with ThreadPoolExecutor(64) as threads:
        served = list(threads.map(request, range(64)))
    assert served.count(True) == 10
    assert ledger.balance(account) == 0
    assert ledger.check() == []


def test_one_request_sent_by_sixteen_threads_is_one(ledger: Ledger, account: str) -> None:
    ledger.top_up(account, 10_000)
    ledger.hold(account, "req_1", 1_000)
    with ThreadPoolExecutor(16) as threads:
        settled = list(threads.map(lambda _: ledger.settle("req_1", receipt(account, 10)), range(16)))
    assert {written.id for written in settled} == {settled[0].id}
    assert ledger.balance(account) == 9_000
    assert ledger.check() == []


def test_the_holds_of_the_dead_go_back(ledger: Ledger, database: Database, account: str) -> None:
    ledger.top_up(account, 5_000)
    for name in ("req_old", "req_new"):
        ledger.hold(account, name, 1_000)
    with database.write() as session:
        old = col(OpenHold.subject) == "req_old"
        session.execute(update(OpenHold).where(old).values(opened_at=col(OpenHold.opened_at) - 901))
    assert ledger.release_dead() == 1
    assert ledger.release_dead() == 0
    assert ledger.balance(account) == 4_000
    assert ledger.settle("req_old", receipt(account, 10)).cost == 0, "it was not dead after all: billed not at all"
    assert ledger.balance(account) == 4_000
    assert ledger.check() == []


def test_what_belongs_to_a_hold_is_undone_with_it(ledger: Ledger, database: Database, account: str) -> None:
    renaming = update(Account).values(name="renamed")

    def rename(session: Transaction) -> None:
        run(session, renaming, {})

    with pytest.raises(InsufficientBalance):
        ledger.hold(account, "req_1", 1, within=rename)
    assert name_of(database, account) == "tests"
    ledger.hold(account, "req_1", 0, within=rename)
    assert name_of(database, account) == "renamed"


def name_of(database: Database, account: str) -> str:
    with database.read() as session:
        return session.execute(select(col(Account.name)).where(col(Account.id) == account)).scalar_one()


def test_every_difference_is_found(ledger: Ledger, database: Database, account: str) -> None:
    ledger.top_up(account, 5_000)
    ledger.hold(account, "req_1", 1_000)
    assert ledger.check() == []
    with database.write() as session:
        session.execute(update(Account).values(balance_micro=4_001))
    assert ledger.check() == [f"account {account}: the balance is 4001, its ledger says 4000"]
    with database.write() as session:
        session.execute(update(Account).values(balance_micro=4_000))
        session.execute(update(OpenHold).values(held=900))
    assert ledger.check() == ["req_1: held, captured and released differ by 100 from what is open"]


def test_receipts_are_their_account_s(ledger: Ledger, database: Database, account: str) -> None:
    receipts = Receipts(database)
    assert receipts.of("req_1") is None
    written = ledger.settle("req_1", receipt(account, 10))
    assert receipts.get(account, written.id) == receipts.of("req_1")
    with pytest.raises(NotFound):
        receipts.get(Accounts(database).create_account("other").id, written.id)
    with database.read() as session:
        assert session.execute(select(func.count()).select_from(Receipt)).scalar_one() == 1


def test_a_price_is_asked_for_in_the_transaction_that_holds_it(
    ledger: Ledger, database: Database, account: str
) -> None:
    ledger.top_up(account, 4_000)
    ratios = Ratios(database, load_catalog(None, embedded_engines="auto"))

    def price(session: Transaction) -> int:
        return int(1_000 * ratios.within(session, "whisper-1"))

    assert ledger.hold(account, "req_1", price) == 1_000
    ratios.set("whisper-1", Decimal(3))
    assert ledger.hold(account, "req_2", price) == 3_000
    ratios.set("whisper-1", Decimal(0))
    assert ledger.hold(account, "req_3", price) == 0
    assert {entry.subject: entry.amount for entry in ledger.entries(account) if entry.kind == "hold"} == {
        "req_1": 1_000,
        "req_2": 3_000,
    }
    assert ledger.check() == []


def test_ratios_multiply_and_are_in_force_at_once_everywhere(database: Database) -> None:
    catalog = load_catalog(None, embedded_engines="auto")
    here, elsewhere = Ratios(database, catalog), Ratios(database, catalog)
    assert here.of("whisper-1") == elsewhere.of("whisper-1") == 1
    here.set("whisper-1", Decimal("1.5"))
    here.set(EVERY_MODEL, Decimal(2))
    assert [here.of(model) for model in ("whisper-1", "tts-1")] == [3, 2]
    assert elsewhere.of("whisper-1") == 3
    with database.raw_transaction() as session:
        assert elsewhere.within(session, "whisper-1") == 3
    here.clear("whisper-1")
    assert here.of("whisper-1") == 2
    assert [(row.model, row.ratio) for row in here.all()] == [("*", "2")]
    for wrong in ("-1", "1001", "NaN"):
        with pytest.raises(InvalidRequest):
            here.set("*", Decimal(wrong))
    with pytest.raises(ModelNotFound):
        here.set("nothing", Decimal(1))
    with pytest.raises(ModelNotFound):
        here.of("nothing")


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("tts-1", "tts-1 is priced by characters; the audio ratio does not touch it."),
        ("espeak-ng", "espeak-ng has no price; the audio ratio does not touch it."),
    ],
)
def test_a_ratio_that_would_change_nothing_is_refused(database: Database, model: str, told: str) -> None:
    ratios = Ratios(database, load_catalog(None, embedded_engines="auto"))
    with pytest.raises(InvalidRequest) as refused:
        ratios.set(model, Decimal(2))
    assert refused.value.message == told
    assert ratios.all() == []
    ratios.clear(model)
    for by_tokens in ("gpt-4o-transcribe", "gpt-4o-mini-tts"):
        ratios.set(by_tokens, Decimal(2))


def test_an_accounts_own_ratio_is_on_top_of_the_others(database: Database, account: str) -> None:
    accounts, ratios = Accounts(database), Ratios(database, load_catalog(None, embedded_engines="auto"))
    other = accounts.create_account("other").id
    ratios.set("whisper-1", Decimal(3))
    assert accounts.update(account, audio_ratio=Decimal("0.8")).audio_ratio == "0.8"
    assert [ratios.of("whisper-1", owner) for owner in (account, other, None)] == [Decimal("2.4"), 3, 3]
    with database.raw_transaction() as session:
        assert ratios.within(session, "whisper-1", account) == Decimal("2.4")
        assert ratios.within(session, "tts-1", account) == Decimal("0.8")
    assert [row.model for row in ratios.all()] == ["whisper-1"]
    accounts.update(account, name="changed otherwise")
    assert ratios.of("tts-1", account) == Decimal("0.8")
    assert accounts.update(account, audio_ratio=Decimal(1)).audio_ratio is None
    for wrong in ("-1", "1001", "NaN"):
        with pytest.raises(InvalidRequest):
            accounts.update(account, audio_ratio=Decimal(wrong))
