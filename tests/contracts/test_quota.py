"""Transcription minutes per day and live jobs at once: exact, on both databases."""

import datetime
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from infra.database.clock import read_clock
from infra.database.session import Database
from infra.database.tables.jobs import Job
from infra.database.tables.money import OpenMinutes
from infra.keys.account_limits import live_jobs, want_room
from infra.keys.accounts import Accounts
from infra.money import quota
from infra.money.quota import MINUTE, Quota
from pipeline.errors import BeyondLimit, LimitExceeded, QuotaExceeded
from tests.support.repository import ROOT


def take(database: Database, account: str, subject: str, ms: int, minutes: int | None = 10) -> None:
    with database.write() as session:
        quota.take(session, account, subject, ms, minutes)


def settle(database: Database, subject: str, ms: int) -> None:
    with database.write() as session:
        quota.settle(session, subject, ms)


def test_the_eleventh_minute_of_a_day_is_refused_until_midnight(database: Database, account: str) -> None:
    for minute in range(10):
        take(database, account, f"req_{minute}", MINUTE)
    with pytest.raises(QuotaExceeded, match=r"0\.00 left") as refused:
        take(database, account, "req_10", 1)
    with database.read() as session:
        clock = read_clock(session)
    midnight = datetime.datetime.fromtimestamp(clock, tz=datetime.UTC).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    left = (midnight + datetime.timedelta(days=1)).timestamp() - clock
    assert refused.value.details["retry_after"] == pytest.approx(left, abs=30)
    assert refused.value.details["retry_at"] == pytest.approx(clock + left, abs=30)
    assert (refused.value.code, refused.value.retryable) == ("limit_exceeded", True)
    assert refused.value.param == "transcription_minutes_per_day"
    assert Quota(database).used_today(account) == 10 * MINUTE


def test_a_recording_that_would_cross_the_limit_takes_nothing(database: Database, account: str) -> None:
    take(database, account, "req_1", 9 * MINUTE)
    with pytest.raises(QuotaExceeded):
        take(database, account, "req_2", MINUTE + 1)
    with pytest.raises(BeyondLimit, match=r"takes 20\.00 minutes.*no day has room") as refused:
        take(database, account, "req_2", 20 * MINUTE)
    assert not refused.value.retryable
    with pytest.raises(BeyondLimit):  # nine minutes and this are more than a day has
        take(database, account, "req_1", MINUTE + 1)
    take(database, account, "req_2", MINUTE)
    assert Quota(database).used_today(account) == 10 * MINUTE
    settle(database, "req_1", 9 * MINUTE)
    settle(database, "req_2", MINUTE)
    assert Quota(database).used_today(account) == 10 * MINUTE


def test_without_a_limit_nothing_is_counted(database: Database, account: str) -> None:
    take(database, account, "req_1", 1000 * MINUTE, None)
    settle(database, "req_1", 1000 * MINUTE)
    assert Quota(database).used_today(account) == 0


def test_what_was_measured_counts_and_failed_work_does_not(database: Database, account: str) -> None:
    for subject, ends_with in (("req_1", 1500), ("req_2", 0), ("req_3", 3 * MINUTE)):
        take(database, account, subject, MINUTE)
        take(database, account, subject, MINUTE)
        for _ in range(2):
            settle(database, subject, ends_with)
    assert Quota(database).used_today(account) == 1500 + 3 * MINUTE


def test_many_at_once_never_cross_it(database: Database, account: str) -> None:
    def one(number: int) -> bool:
        try:
            take(database, account, f"req_{number}", MINUTE)
        except QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(one, range(32))) == 10
    assert Quota(database).used_today(account) == 10 * MINUTE


CHILD = """
import sys
from concurrent.futures import ThreadPoolExecutor
from infra.money import quota
from infra.database.session import Database
from pipeline.errors import QuotaExceeded
url, account, name = sys.argv[1:]
database = Database(url)
def one(number):
    try:
        with database.write() as session:
            quota.take(session, account, f"req_{name}_{number}", quota.MINUTE, 10, first=True)
    except QuotaExceeded:
        return False
    return True
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(4) as threads:
    print(sum(threads.map(one, range(8))), flush=True)
database.close()
"""


@pytest.mark.processes
def test_eight_processes_at_the_boundary_take_ten_minutes(database: Database, database_url: str, account: str) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", CHILD, database_url, account, str(number)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    assert sum(int(child.communicate(timeout=300)[0]) for child in children) == 10
    assert [child.returncode for child in children] == [0] * 8
    assert Quota(database).used_today(account) == 10 * MINUTE


def test_minutes_stay_on_the_day_on_which_they_were_taken(
    database: Database, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(database, account, "req_1", 10 * MINUTE)
    monkeypatch.setattr(quota, "read_clock", lambda _: time.time() + 86_400)
    take(database, account, "req_2", MINUTE)
    assert Quota(database).used_today(account) == MINUTE
    settle(database, "req_1", 2 * MINUTE)
    assert Quota(database).used_today(account) == MINUTE
    monkeypatch.undo()
    assert Quota(database).used_today(account) == 2 * MINUTE


def test_what_died_with_its_process_is_given_back(database: Database, account: str) -> None:
    for subject in ("req_dead", "req_alive", "job_long"):
        take(database, account, subject, MINUTE)
    with database.write() as session:
        old = update(OpenMinutes).where(OpenMinutes.subject != "req_alive")
        session.execute(old.values(opened_at=1.0))
    assert Quota(database).release_dead() == 1
    assert Quota(database).release_dead() == 0
    assert Quota(database).used_today(account) == 2 * MINUTE


def insert_job(database: Database, account: str, number: int) -> None:
    with database.write() as session:
        want_room(session, account, "concurrent_jobs", live_jobs(account), retry_after=10)
        fields = {
            "task": "transcription",
            "model": "oracle",
            "request": {},
            "input": {},
            "run_at": 0.0,
            "created_at": 0.0,
        }
        session.add(Job(id=f"job_{number}", account_id=account, **fields))


def test_only_so_many_jobs_live_at_once(database: Database, account: str) -> None:
    Accounts(database).update(account, limits={"concurrent_jobs": 3, "transcription_minutes_per_day": 7})

    def one(number: int) -> bool:
        try:
            insert_job(database, account, number)
        except LimitExceeded as refused:
            assert refused.details["retry_after"]
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(one, range(16))) == 3
    with database.write() as session:
        session.execute(update(Job).values(status="completed"))
    insert_job(database, account, 99)
    Accounts(database).update(account, tier="enterprise", limits={})
    for number in range(100, 110):
        insert_job(database, account, number)


def test_an_account_that_may_have_none_has_none(database: Database, account: str) -> None:
    Accounts(database).update(account, limits={"concurrent_jobs": 0, "transcription_minutes_per_day": 0})
    with pytest.raises(LimitExceeded):
        insert_job(database, account, 1)
    with pytest.raises(BeyondLimit):
        take(database, account, "req_1", 1, 0)
