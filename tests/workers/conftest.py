"""A worker with real services in a home of its own: SQLite, local storage, the oracle, and no broker but a list of messages."""

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.database.tables.jobs import Job
from infra.jobs.store import NewJob
from infra.leases import LeaseKeeper
from infra.settings import Settings
from infra.wiring import build
from pipeline.errors import BrokerUnavailable
from pipeline.transcript import transcript_from_json
from tests.support.accounts import rich
from tests.support.recordings import Recording
from workers.steps.turn import take_turn
from workers.worker_context import Role, WorkerContext

CATALOG = """
[providers.oracle]
scripted = true
log = "{log}"
max_s = 4.0
min_s = 1.5

[providers.far]
kind = "oracle"
remote = true
max_s = 4.0
min_s = 1.5

[models.far]
tasks = ["transcription"]
routes = [{{ provider = "far", model = "oracle" }}]
"""


class SentMessages:
    """Remembers what was sent; `away` makes it a broker that does not answer."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.away = False
        self.cut_off: set[str] = set()  # workers that say here that they live

    def wake(self, queue: str) -> bool:
        return self._send(queue, "")

    def send_job(self, job_id: str, queue: str = "cpu") -> bool:
        return self._send(queue, job_id)

    def send_chunk(self, job_id: str, idx: int, queue: str) -> bool:
        return self._send(queue, job_id, idx)

    def send_delivery(self, message_id: str) -> bool:
        return self._send("webhooks", message_id)

    def lengths(self) -> dict[str, int]:
        if self.away:
            raise BrokerUnavailable()
        return {name: sum(message[0] == name for message in self.sent) for name in ("cpu", "io", "webhooks")}

    def still_there(self, workers: Collection[str]) -> set[str]:
        if self.away:
            raise BrokerUnavailable()
        return self.cut_off & set(workers)

    def close(self) -> None:
        pass

    def _send(self, *message: Any) -> bool:
        if not self.away:
            self.sent.append(message)
        return not self.away


class WorkerHarness:
    """Desks of any role over the same services, and the account whose jobs they do."""

    def __init__(self, home: Path) -> None:
        self.log = home / "oracle.log"
        catalog = home / "catalog.toml"
        catalog.write_text(CATALOG.format(log=self.log))
        settings = Settings(home=home, catalog=catalog, outbound_allow="127.0.0.0/8", webhook_time_scale=0.001)
        self.services = build(settings, engine_processes=1)
        self.messages = SentMessages()
        self.services.queue.close()
        self.services.queue = self.messages
        self.account = rich(self.services.database, "workers")
        self._keeper = LeaseKeeper(self.services.jobs, 6.0)

    def worker(self, role: Role = "cpu") -> WorkerContext:
        return WorkerContext(self.services, self._keeper, role, f"{role}@here:1")

    def work(self, *roles: Role, most: int = 1000) -> int:
        """Be workers of these roles (default: cpu) until nothing is due, or for so many turns; returns how many."""
        turns = 0
        while turns < most and any(take_turn(self.worker(role)) for role in roles or ("cpu",)):
            turns += 1
        return turns

    def beat(self) -> None:
        """Say now, not at some time within two seconds, that what is worked on is still held: what is cancelled is void then."""
        self._keeper._beat()

    def submit(self, recording: Recording, prompt: str = "", **more: Any) -> str:
        """Store the recording and make a job of it; returns the job's id."""
        media = self.services.media.begin(self.account, "recording.wav")
        self.services.storage.put(media.storage_key, recording.wav)
        media = self.services.media.stored(media.id, len(recording.wav), recording.digest)
        return self.create(media=media, prompt=f"oracle: {prompt}", **more)

    def create(self, *, model: str = "oracle", prompt: str = "", request: Any = None, **more: Any) -> str:
        """A job of whatever input; returns its id."""
        wishes = {"prompt": prompt, "response_format": "srt", **(request or {})}
        task = more.pop("task", "transcription")
        new = NewJob(account_id=self.account, task=task, model=model, request=wishes, **more)
        return self.services.jobs.create(new)[0].id

    def job(self, job_id: str) -> Job:
        """The row as it is now."""
        return self.services.jobs.get(self.account, job_id)

    def text(self, job_id: str) -> str:
        """A completed job's text."""
        key = self.job(job_id).result_key
        assert key
        return transcript_from_json(self.services.storage.get(key)).text

    def stored(self, folder: str = "") -> list[str]:
        """The keys in storage, below the account's folder."""
        root = f"t/{self.account}"
        return [
            found.key.removeprefix(f"{root}/") for found in self.services.storage.list(f"{root}/{folder}".rstrip("/"))
        ]

    def calls(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0

    def close(self) -> None:
        self._keeper.close()
        self.services.close()


@pytest.fixture
def harness(tmp_path: Path, sqlite_template: Path) -> Iterator[WorkerHarness]:
    shutil.copy(sqlite_template, tmp_path / "stenopool.db")
    made = WorkerHarness(tmp_path)
    yield made
    made.close()
