"""A whole application over SQLite and a folder; its workers are called by hand, so that a test decides when they work."""

import io
import os
import threading
import wave
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlmodel import col

from api import job_watcher
from api.main import create_app
from api.routes.account import webhooks
from infra.batches.batch_store import CANCELLED
from infra.database.tables.batches import Batch
from infra.database.tables.jobs import Chunk, Job
from infra.files.file_store import UNFINISHED
from infra.jobs.queue.row_claims import take
from infra.jobs.store import Lease
from infra.leases import LeaseKeeper
from infra.settings import Settings
from infra.wiring import Services, build
from pipeline.lifecycle import LIVE
from pipeline.oracle.speech import generate
from tests.support.accounts import rich
from tests.support.waiting import wait_until
from workers.steps.deliver import deliver
from workers.steps.turn import take_turn
from workers.worker_context import WorkerContext

JOBS = "/v1/audio/jobs"
ADMIN_KEY = "the administrator's own"
CATALOG = """
[providers.oracle]
scripted = true

[models.oracle-priced]
tasks = ["transcription"]
routes = [{ provider = "oracle", model = "oracle" }]
prices = { audio_minute = "0.006" }

[models.unserved]
tasks = ["transcription"]
routes = []
"""


def recording(seconds: float = 2.0, *, seed: int = 1) -> tuple[bytes, list[str]]:
    """A WAV of oracle speech and the words in it."""
    said: list[str] = []
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        for block, words in generate(seconds=seconds, style="natural", seed=seed):
            file.writeframes(block)
            said += [word.text for word in words]
    return held.getvalue(), said


@dataclass
class House:
    """What a test holds in its hands."""

    services: Services
    client: TestClient
    account_id: str
    key: str
    other_key: str
    _bench: list[WorkerContext] = field(default_factory=list)

    def auth(self, key: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {key or self.key}"}

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, **{"headers": self.auth(), **options})

    def post(self, path: str, **options: Any) -> Any:
        return self.client.post(path, **{"headers": self.auth(), **options})

    def delete(self, path: str, **options: Any) -> Any:
        return self.client.delete(path, **{"headers": self.auth(), **options})

    def submit(self, sound: bytes | None = None, **fields: Any) -> dict[str, Any]:
        """A new job over some speech."""
        data = {"model": "oracle", **fields}
        answer = self.post(JOBS, data=data, files={"file": ("talk.wav", sound or recording()[0])})
        assert answer.status_code == 202, answer.text
        return answer.json()

    def work(self, *, chunks: int | None = None) -> None:
        """Be the workers until nothing is due, or until so many chunks are heard."""
        heard = self._heard()
        while chunks is None or self._heard() < heard + chunks:
            if not (take_turn(self.bench()) or take_turn(replace(self.bench(), role="io"))):
                return

    def _heard(self) -> int:
        with self.services.database.read() as session:
            ended = select(func.count()).where(col(Chunk.status).in_(("completed", "failed")), col(Chunk.attempt) > 0)
            return session.execute(ended).scalar_one()

    def claim(self, job_id: str) -> Lease:
        """Claim this very job, whatever else waits."""
        with self.services.database.write() as session:
            claimed = take(session, job_id, -1, "test", 60)
        assert claimed is not None
        return claimed.lease

    def deliver(self) -> None:
        """Be the worker that delivers webhooks: all that wait, since the claim may choose those of other tests first."""
        self.services.webhooks.due()
        for _ in range(self.services.webhooks.rung()):
            deliver(self.bench(), "whichever is next")

    @contextmanager
    def delivering(self) -> Iterator[None]:
        """A worker delivers webhooks for as long as the block lasts."""
        over = threading.Event()

        def deliver_all() -> None:
            while not over.wait(0.02):
                self.deliver()

        worker = threading.Thread(target=deliver_all)
        worker.start()
        try:
            yield
        finally:
            over.set()
            worker.join()

    def bench(self) -> WorkerContext:
        if not self._bench:
            leases = LeaseKeeper(self.services.jobs, self.services.settings.lease_seconds, lambda: None)
            self._bench.append(WorkerContext(self.services, leases, "cpu", "test"))
        return self._bench[0]

    def stored(self) -> list[str]:
        """Every object of the account."""
        return [found.key for found in self.services.storage.list(f"t/{self.account_id}")]

    def test_event(self, endpoint: str) -> None:
        """It stands to be delivered: nobody waits for somebody to do it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(webhooks, "PATIENCE", 0.0)
            assert self.post(f"/v1/webhook_endpoints/{endpoint}/test").is_success

    def files(self) -> list[Path]:
        """Every file of the account's folder, half-written ones included."""
        folder = self.services.settings.home / "storage" / "t" / self.account_id
        # os.walk passes over a folder that is deleted under its feet; rglob of Python 3.11 raises
        return [Path(place, name) for place, _, names in os.walk(folder) for name in names]

    def close(self) -> None:
        for bench in self._bench:
            bench.leases.close()


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """One set of services for all tests of the door; each test has its own account."""
    home = tmp_path_factory.mktemp("home")
    catalog = home / "catalog.toml"
    catalog.write_text(CATALOG)
    settings = Settings(
        home=home,
        catalog=catalog,
        outbound_allow="127.0.0.0/8",
        read_timeout_seconds=60,
        max_upload_bytes=400_000_000,
        admin_key=ADMIN_KEY,
    )
    with build(settings, engine_processes=1) as opened:
        yield opened


@contextmanager
def services_under(public_url: str, home: Path) -> Iterator[Services]:
    """Services of their own that are reached by this address."""
    catalog = home / "catalog.toml"
    catalog.write_text(CATALOG)
    allowed = {"admin_key": ADMIN_KEY, "outbound_allow": "127.0.0.0/8"}
    with build(Settings(home=home, catalog=catalog, public_url=public_url, **allowed), engine_processes=1) as opened:
        yield opened


@contextmanager
def house_over(services: Services) -> Iterator[House]:
    """The application, a new account and a second one."""
    account = rich(services.database, "mine")
    other = rich(services.database, "other")
    key, _ = services.accounts.create_key(account)
    other_key, _ = services.accounts.create_key(other)
    with TestClient(create_app(services)) as client:
        built = House(services, client, account, key, other_key)
        yield built
        built.close()
    for owner in (account, other):
        _end_batches(services, owner)
        _cancel_live_jobs(services, owner)


def _end_batches(services: Services, account: str) -> None:
    """Batches and bulk runs: the next test's scheduler takes up whatever is due."""
    with services.database.write() as session:
        mine = (col(Batch.account_id) == account, col(Batch.status).in_(UNFINISHED))
        session.execute(update(Batch).where(*mine).values(status=CANCELLED))


def _cancel_live_jobs(services: Services, account: str) -> None:
    """The next test's workers take whatever waits: it would hear this test's recordings, with the programs that they need."""
    with services.database.read() as session:
        live = session.execute(select(col(Job.id)).where(col(Job.account_id) == account, col(Job.status).in_(LIVE)))
        found = list(live.scalars())
    for job_id in found:
        services.jobs.cancel(account, job_id)


@pytest.fixture
def house(services: Services) -> Iterator[House]:
    with house_over(services) as built:
        yield built


@pytest.fixture
def watched(house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Returns once somebody is seen to wait for that job."""
    asked, marks = set[str](), house.services.jobs.marks

    def told(job_ids: Collection[str]) -> Any:
        asked.update(job_ids)
        return marks(job_ids)

    def seen(job_id: str) -> None:
        asked.clear()
        wait_until(lambda: job_id in asked)

    monkeypatch.setattr(job_watcher, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(house.services.jobs, "marks", told)
    return seen
