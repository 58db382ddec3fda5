"""Money of synchronous requests, over two API processes and a real database: spent exactly once, or not at all."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import func, select
from sqlmodel import col

from infra.database.session import Database
from infra.database.tables.money import LedgerEntry, OpenHold, Receipt
from infra.keys.accounts import Accounts
from infra.money.ledger import Ledger
from tests.api.conftest import recording
from tests.support.ports import free_port
from tests.support.repository import ROOT
from tests.support.waiting import wait_until

HEAR = "/v1/audio/transcriptions"
PRICE = 200  # micro-dollars: two seconds of whisper-1
CATALOG = """
[providers.oracle]
scripted = true

[models.whisper-1]
routes = [{ provider = "oracle", model = "oracle" }]
"""


class Pair:
    """Two API processes over one database, and an account."""

    def __init__(self, home: Path, database_url: str) -> None:
        (home / "catalog.toml").write_text(CATALOG)
        self.database = Database(database_url)
        self.ledger = Ledger(self.database)
        accounts = Accounts(self.database)
        self.account = accounts.create_account("pair", "enterprise").id
        self.headers = {"Authorization": f"Bearer {accounts.create_key(self.account)[0]}"}
        self.sound = recording(2.0)[0]
        environ = {
            "PATH": os.environ["PATH"],
            "STENOPOOL_HOME": str(home),
            "STENOPOOL_DATABASE_URL": database_url,
            "STENOPOOL_CATALOG": str(home / "catalog.toml"),
            "STENOPOOL_CPU_PROCESSES": "1",
        }
        self.ports = [free_port(), free_port()]
        self.processes = []
        for port in self.ports:
            command = [sys.executable, "-m", "api", "--port", str(port)]
            with (home / f"api-{port}.log").open("wb") as log:
                self.processes.append(subprocess.Popen(command, cwd=ROOT, env=environ, stderr=log))
        wait_until(lambda: all(self.alive(port) for port in self.ports), seconds=120)

    def alive(self, port: int) -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            return httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=60).status_code == 200
        return False

    def hear(self, number: int, prompt: str = "oracle: latency=0.2") -> int:
        """The status of one request to one of the two."""
        answer = httpx2.post(
            f"http://127.0.0.1:{self.ports[number % 2]}{HEAR}",
            data={"model": "whisper-1", "prompt": prompt},
            files={"file": ("a.wav", self.sound)},
            headers=self.headers,
            timeout=120,
        )
        return answer.status_code

    def leave(self, prompt: str) -> None:
        """Ask, and hang up before the answer."""
        request = httpx2.Request(
            "POST",
            f"http://127.0.0.1:{self.ports[0]}{HEAR}",
            data={"model": "whisper-1", "prompt": prompt},
            files={"file": ("a.wav", self.sound)},
            headers=self.headers,
        )
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        with socket.create_connection(("127.0.0.1", self.ports[0])) as connection:
            connection.sendall(f"POST {HEAR} HTTP/1.1\r\n{head}\r\n".encode() + request.read())
            wait_until(lambda: self.open_holds() == 1)

    def open_holds(self) -> int:
        with self.database.read() as session:
            return session.execute(select(func.count()).select_from(OpenHold)).scalar_one()

    def assert_sound(self, *, balance: int, receipts: int) -> None:
        """The books agree, nothing is held, and this is what is left."""
        mine = select(func.sum(LedgerEntry.delta)).where(col(LedgerEntry.account_id) == self.account)
        with self.database.read() as session:
            total = int(session.execute(mine).scalar_one())
            written = session.execute(select(func.count()).select_from(Receipt)).scalar_one()
        assert total == self.ledger.balance(self.account) == balance
        assert written == receipts
        assert self.open_holds() == 0
        assert self.ledger.check() == []

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(300)
        self.database.close()


@pytest.fixture
def pair(tmp_path: Path, database_url: str) -> Iterator[Pair]:
    opened = Pair(tmp_path, database_url)
    yield opened
    opened.close()


def test_money_is_spent_exactly_once(pair: Pair) -> None:
    pair.ledger.top_up(pair.account, 10 * PRICE)
    with ThreadPoolExecutor(64) as threads:
        answers = Counter(threads.map(pair.hear, range(64)))
    assert answers == {200: 10, 402: 54}
    pair.assert_sound(balance=0, receipts=10)

    pair.ledger.top_up(pair.account, 3 * PRICE)
    pair.leave("oracle: latency=2")
    wait_until(lambda: pair.open_holds() == 0)
    paid = 3 * PRICE - pair.ledger.balance(pair.account)
    assert paid in (0, PRICE)
    pair.assert_sound(balance=3 * PRICE - paid, receipts=10 + paid // PRICE)

    pair.leave("oracle: latency=60")
    pair.processes[0].send_signal(signal.SIGKILL)
    pair.processes[0].wait(300)
    assert pair.open_holds() == 1
    assert pair.ledger.release_dead(-1.0) == 1  # what the sweep does a quarter of an hour later
    pair.assert_sound(balance=3 * PRICE - paid, receipts=10 + paid // PRICE)
    assert pair.hear(1) == 200
    pair.assert_sound(balance=2 * PRICE - paid, receipts=11 + paid // PRICE)
