"""A request that takes longer than an unanswered one may hold money pays all the same."""

import gc
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from api.main import create_app
from api.sync.billing import Bill
from infra.database.tables.money import OpenHold, OpenMinutes
from infra.keys.accounts import Principal
from infra.keys.tiers import Limits
from infra.settings import Settings
from infra.wiring import Services, build
from pipeline.options import TranscriptionOptions
from pipeline.transcript import Transcript
from tests.support.waiting import wait_until

HOUR_AGO = 3600.0
MINUTE = 60_000  # ms


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with build(Settings(home=tmp_path, request_hold_seconds=1.0), engine_processes=1) as opened:
        yield opened


@pytest.fixture
def caller(services: Services) -> Principal:
    account = services.accounts.create_account("slow", "enterprise")
    services.ledger.top_up(account.id, 1_000_000)
    limits = Limits(transcription_minutes_per_day=10)
    return Principal(account.id, services.accounts.create_key(account.id)[1].id, "enterprise", limits=limits)


def begun(services: Services, caller: Principal, subject: str = "req_slow") -> Bill:
    """A minute of whisper-1, of which an hour has passed since."""
    bill = Bill(services, caller, subject, TranscriptionOptions(model="whisper-1"))
    bill.expect(MINUTE)
    with services.database.write() as session:
        for table in (OpenHold, OpenMinutes):
            session.execute(update(table).values(opened_at=table.opened_at - HOUR_AGO))
    return bill


def age(services: Services) -> float:
    """Seconds since the hold was opened or renewed."""
    with services.database.read() as session:
        hold = session.get(OpenHold, "req_slow")
        assert hold is not None
    return time.time() - hold.opened_at


def dead(services: Services) -> int:
    return services.ledger.release_dead(900.0) + services.quota.release_dead(900.0)


def test_a_living_request_keeps_what_it_holds(services: Services, caller: Principal) -> None:
    bill = begun(services, caller)
    assert services.renewal.renew() == 1
    assert dead(services) == 0
    bill.settle_heard(Transcript((), MINUTE))
    assert services.ledger.balance(caller.account_id) == 1_000_000 - 6_000
    assert services.quota.used_today(caller.account_id) == MINUTE
    assert services.renewal.renew() == 0


def test_a_request_that_is_over_or_forgotten_keeps_nothing(services: Services, caller: Principal) -> None:
    bill = begun(services, caller)
    bill.release()
    assert services.renewal.renew() == 0
    forgotten = begun(services, caller, "req_forgotten")
    del forgotten
    gc.collect()
    assert services.renewal.renew() == 0
    assert dead(services) == 2
    assert services.ledger.balance(caller.account_id) == 1_000_000


def test_the_application_renews_by_itself(services: Services, caller: Principal) -> None:
    with TestClient(create_app(services)):
        bill = begun(services, caller)
        wait_until(lambda: age(services) < HOUR_AGO / 2)
        bill.release()
