"""What the jobs of the contract suites cost, and what has been spent on them."""

from decimal import Decimal

from infra.money.ledger import Ledger
from pipeline.catalog.model import Prices
from tests.contracts.job_store_harness import JobStoreHarness

SECOND = 100  # micro-dollars: whisper-1; every chunk is a second long
MINUTE = Prices(audio_minute=Decimal("0.006"))
TOKENS = Prices(million_audio_tokens_in=Decimal(6), million_text_tokens_out=Decimal(10))
BALANCE = 100 * SECOND


def spent(ledger: Ledger, harness: JobStoreHarness) -> int:
    """What is gone from the balance, after a look whether the books agree."""
    assert ledger.check() == []
    return BALANCE - ledger.balance(harness.account)
