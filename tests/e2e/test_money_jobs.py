"""The money of jobs through HTTP, with real processes on both sides of the database: billed once, or not at all."""

from __future__ import annotations

import contextlib
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from infra.database.tables.jobs import Job
from infra.database.tables.money import LedgerEntry
from infra.database.tables.uploads import Media
from infra.parent_death import tied_to_parent
from pipeline.lifecycle import JobStatus
from tests.e2e.scenarios import LATE, LONG, worker_of
from tests.e2e.stack import Stack
from tests.pipeline.audio.ffmpeg.test_malicious import ogg_crc
from tests.pipeline.audio.sounds import ffmpeg
from tests.support.ports import free_port
from tests.support.recordings import Recording, long, short
from tests.support.repository import ROOT
from tests.support.waiting import wait_until

JOBS = "/v1/audio/jobs"
SECOND = 100  # micro-dollars: the model `paid` costs what whisper-1 does
DOLLAR = 10**6


class Shop(Stack):
    """A stack with API processes, and accounts that buy."""

    def __init__(self, home: Path, *, doors: int, database_url: str = "") -> None:
        super().__init__(home, database_url=database_url)
        self.redis.start()
        self.urls = [self._open(f"api-{n}") for n in range(doors)]
        self.client = httpx2.Client(timeout=120)
        self.busy: list[str] = []  # what was told to whom it did not serve at once
        for url in self.urls:
            wait_until(partial(self._answers, url), seconds=120)

    def _open(self, name: str) -> str:
        port = str(free_port())
        command = tied_to_parent([sys.executable, "-m", "api", "--port", port])
        with (self.home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, env=self._environment(), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return f"http://127.0.0.1:{port}"

    def _answers(self, url: str) -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            return self.client.get(f"{url}/healthz").status_code == 200
        return False

    def customer(self, micro: int) -> Customer:
        """A new account with that much money."""
        accounts = self.services.accounts
        account = accounts.create_account("customer", "enterprise").id
        if micro:
            self.services.ledger.top_up(account, micro)
        return Customer(self, account, accounts.create_key(account)[0])

    def stop(self) -> None:
        self.client.close()
        super().stop()


class Customer:
    """Somebody with a key and a balance."""

    def __init__(self, shop: Shop, account: str, key: str) -> None:
        self.shop, self.account = shop, account
        self._auth = {"Authorization": f"Bearer {key}"}

    def order(self, sound: bytes, prompt: str = "", **more: Any) -> httpx2.Response:
        """POST a job; again where the server or its database is too busy to take it."""
        while (answer := self._post(sound, prompt, **more)).status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            self.shop.busy.append(answer.text)
        return answer

    def _post(self, sound: bytes, prompt: str, *, door: int = 0, key: str = "", **fields: Any) -> httpx2.Response:
        return self.shop.client.post(
            self.shop.urls[door % len(self.shop.urls)] + JOBS,
            data={"model": "paid", "prompt": f"oracle: {prompt}", **fields},
            files={"file": ("talk", sound)},
            headers=self._auth | ({"Idempotency-Key": key} if key else {}),
        )

    def ordered(self, sound: bytes, prompt: str = "", **fields: Any) -> str:
        """The id of a job that must be taken."""
        answer = self.order(sound, prompt, **fields)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def look(self, job: str) -> dict[str, Any]:
        """The job as the API shows it."""
        return self.shop.client.get(f"{self.shop.urls[0]}{JOBS}/{job}", headers=self._auth).json()

    def steer(self, job: str, action: str) -> httpx2.Response:
        """Cancel or retry."""
        return self.shop.client.post(f"{self.shop.urls[0]}{JOBS}/{job}/{action}", headers=self._auth)

    def ended(self, job: str) -> dict[str, Any]:
        """The job at its end."""
        wait_until(lambda: self.shop.bury() or self.look(job)["status"] in ("completed", "failed", "cancelled"))
        return self.look(job)

    @property
    def balance(self) -> int:
        """What is left, after a look whether the books agree."""
        assert self.shop.services.ledger.check() == []
        return self.shop.services.ledger.balance(self.account)

    def captures(self, job: str) -> list[tuple[int, int]]:
        """(part, amount) of what was captured."""
        entries = self.shop.services.ledger.entries(self.account, limit=1000)
        return [(row.part, row.amount) for row in entries if row.subject == job and row.kind == "capture"]


@pytest.fixture
def doors(tmp_path: Path, database_url: str) -> Iterator[Shop]:
    """Two API processes and nobody who works."""
    made = Shop(tmp_path, doors=2, database_url=database_url)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    made = Shop(tmp_path_factory.mktemp("shop"), doors=1)
    try:
        made.start("cpu-1", "cpu-2", "scheduler")
        yield made
    finally:
        made.stop()


def test_nobody_orders_what_they_cannot_pay(doors: Shop) -> None:
    """64 at once with money for ten; then 50 with one key; and what was refused leaves nothing behind."""
    sound = short(1).wav
    price = micro_of(doors.customer(DOLLAR).order(sound).json()["cost"]["held"])
    customer, other = doors.customer(10 * price), doors.customer(2 * price)
    with ThreadPoolExecutor(64) as threads:
        answers = list(threads.map(lambda n: customer.order(sound, door=n), range(64)))
    assert Counter(answer.status_code for answer in answers) == {202: 10, 402: 54}
    refused = next(answer.json()["error"] for answer in answers if answer.status_code == 402)
    assert (refused["code"], "subscription never covers" in refused["message"]) == ("insufficient_balance", True)
    assert customer.balance == 0

    with ThreadPoolExecutor(50) as threads:
        again = list(threads.map(lambda n: other.order(sound, door=n, key="same"), range(50)))
    assert {answer.status_code for answer in again} == {202}
    assert len({answer.json()["id"] for answer in again}) == 1
    assert [answer.headers.get("idempotent-replayed") for answer in again].count(None) == 1
    assert other.balance == price
    assert customer.order(sound, key="same").status_code == 402, "another account's key is another request"
    with doors.services.database.read() as session:
        jobs, media = (session.execute(select(func.count()).select_from(table)).scalar_one() for table in (Job, Media))
        holds = select(func.count()).where(LedgerEntry.kind == "hold")
        assert jobs == 12
        assert 12 <= media <= 12 + len(doors.busy), (
            "a database that is away cannot forget at once; the sweep does later"
        )
        assert session.execute(holds).scalar_one() == 12


def test_a_worker_killed_between_capture_and_finish_bills_once(shop: Shop) -> None:
    customer = shop.customer(DOLLAR)
    job = customer.ordered(LONG.wav, f"until=killed at={LATE}")
    shop.account = customer.account
    name = shop.name_of(wait_until(lambda: worker_of(shop, job, after=2)))
    assert customer.captures(job)
    shop.kill(name)
    shop.let("killed")
    body = customer.ended(job)
    shop.start(name)
    assert body["status"] == JobStatus.COMPLETED, body["error"]
    chunks = [idx for idx, _ in customer.captures(job)]
    assert sorted(chunks) == list(range(body["progress"]["chunks"]["total"]))
    assert body["cost"]["held"] == 0
    assert DOLLAR - customer.balance == price_of(body) == micro_of(body["cost"]["captured"])


def test_a_message_delivered_twenty_times_bills_once(shop: Shop) -> None:
    customer = shop.customer(DOLLAR)
    job = customer.ordered(LONG.wav, "latency=0.2")
    for _ in range(20):
        shop.services.queue.send_job(job)
    body = customer.ended(job)
    assert len(customer.captures(job)) == body["progress"]["chunks"]["total"]
    assert DOLLAR - customer.balance == price_of(body)


def test_a_year_that_only_the_header_claims_costs_two_seconds(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "two.wav").write_bytes(long(2, seed=3).wav)
    ffmpeg("-i", tmp_path / "two.wav", "-c:a", "libopus", tmp_path / "two.ogg")
    claimed = claiming_a_year((tmp_path / "two.ogg").read_bytes())
    customer = shop.customer(DOLLAR)
    answer = customer.order(claimed)
    assert micro_of(answer.json()["cost"]["held"]) < 60 * SECOND
    body = customer.ended(answer.json()["id"])
    assert body["status"] == JobStatus.COMPLETED, body["error"]
    assert body["input"]["duration"] == pytest.approx(2, abs=0.6)
    assert DOLLAR - customer.balance == price_of(body)


def test_gaps_are_free_and_a_retry_bills_only_them(shop: Shop) -> None:
    talk = long(12, seed=21)  # unheard: what fails once has failed once for all
    said = list(talk.words)
    odd = next(word for word in said[len(said) // 2 :] if said.count(word) == 1)
    customer = shop.customer(DOLLAR)
    job = customer.ordered(talk.wav, f"fail=1 error=refused at={odd}", on_chunk_failure="partial")
    body = customer.ended(job)
    assert body["partial"] is True
    hole = sum(gap["end"] - gap["start"] for gap in body["gaps"])
    paid = DOLLAR - customer.balance
    assert paid == pytest.approx(SECOND * (body["input"]["duration"] - hole), abs=1)
    assert customer.steer(job, "retry").status_code == 202
    body = customer.ended(job)
    assert (body["status"], body["partial"]) == (JobStatus.COMPLETED, False)
    assert DOLLAR - customer.balance == price_of(body) > paid
    receipt = shop.services.receipts.of(job)
    assert receipt is not None
    assert receipt.cost == price_of(body)


def test_failed_work_is_free(shop: Shop) -> None:
    customer = shop.customer(DOLLAR)
    talk = long(12, seed=22)
    body = customer.ended(customer.ordered(talk.wav, f"fail=9 error=refused at={talk.words[-1]}"))
    assert body["status"] == JobStatus.FAILED
    assert body["cost"]["captured"] == body["cost"]["held"] == 0
    assert customer.balance == DOLLAR


def test_cancelling_gives_the_rest_back_at_once(shop: Shop) -> None:
    customer = shop.customer(DOLLAR)
    talk = long(30, seed=9)
    last = next(word for word in reversed(talk.words) if talk.words.count(word) == 1)
    job = customer.ordered(talk.wav, f"until=cancelled at={last}")
    wait_until(lambda: customer.captures(job))
    cost = customer.steer(job, "cancel").json()["cost"]
    shop.let("cancelled")
    assert cost["held"] == 0
    assert DOLLAR - customer.balance == micro_of(cost["captured"]) > 0
    body = customer.ended(job)
    assert body["status"] == JobStatus.CANCELLED
    assert DOLLAR - customer.balance == micro_of(cost["captured"]) < 30 * SECOND


def test_no_provider_is_asked_beyond_the_limit_of_costs(shop: Shop, tmp_path: Path) -> None:
    """What is sure is refused at the door, what only decoding tells before the first call."""
    recording = Recording(LONG.wav, LONG.words)
    customer = shop.customer(DOLLAR)
    refused = customer.order(recording.wav, max_cost="0.0005")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "cost_limit_exceeded")
    assert refused.json()["error"]["param"] == "max_cost"
    (tmp_path / "long.wav").write_bytes(recording.wav)
    ffmpeg("-i", tmp_path / "long.wav", "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", tmp_path / "long.mp4")
    calls = sum(shop.calls().values())
    body = customer.ended(customer.ordered((tmp_path / "long.mp4").read_bytes(), max_cost="0.0005"))
    assert (body["status"], body["error"]["code"]) == (JobStatus.FAILED, "cost_limit_exceeded")
    assert sum(shop.calls().values()) == calls
    assert customer.balance == DOLLAR
    done = customer.ended(customer.ordered(recording.wav, max_cost="0.01"))
    assert done["status"] == JobStatus.COMPLETED
    assert DOLLAR - customer.balance == price_of(done)


def micro_of(usd: float) -> int:
    return round(usd * DOLLAR)


def price_of(body: dict[str, Any]) -> int:
    """What the decoded seconds cost."""
    return int(body["input"]["duration"] * SECOND + 0.5)


def claiming_a_year(ogg: bytes) -> bytes:
    """The last page gets the stamp of a year."""
    data = bytearray(ogg)
    last = data.rindex(b"OggS")
    data[last + 6 : last + 14] = struct.pack("<q", 48_000 * 365 * 86_400)
    data[last + 22 : last + 26] = bytes(4)
    data[last + 22 : last + 26] = struct.pack("<I", ogg_crc(data[last:]))
    return bytes(data)
