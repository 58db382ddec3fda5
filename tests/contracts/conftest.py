"""What the contract suites of the stores share."""

import pytest

from infra.database.session import Database
from infra.jobs.store import JobStore
from infra.keys.accounts import Accounts
from infra.media import MediaStore
from infra.money.ledger import Ledger
from tests.contracts.job_prices import BALANCE
from tests.contracts.job_store_harness import JobStoreHarness


@pytest.fixture
def account(database: Database) -> str:
    return Accounts(database).create_account("tests", "enterprise").id


@pytest.fixture
def harness(database: Database, account: str) -> JobStoreHarness:
    return JobStoreHarness(
        database, JobStore(database, lease_seconds=60, max_attempts=3), MediaStore(database), account
    )


@pytest.fixture
def ledger(harness: JobStoreHarness) -> Ledger:
    """Of an account that has something to spend."""
    ledger = Ledger(harness.database)
    ledger.top_up(harness.account, BALANCE)
    return ledger
