"""A stream that ends before its time pays for what was sent, and for nothing else."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.http.client_disconnect import ClientDisconnect
from api.main import create_app
from api.sync.handed_out import HandedOut
from infra.database.tables.money import OpenHold, Receipt
from infra.settings import Settings
from infra.wiring import Services, build
from pipeline.transcript import Segment
from tests.api.conftest import recording
from tests.api.serving import Running, running
from tests.support.waiting import wait_until

CATALOG = """
[providers.oracle]
scripted = true
log = "{home}/calls"
max_s = 4
min_s = 1.5

[models.whisper-1]
routes = [{{ provider = "oracle", model = "oracle" }}]
"""
DOLLAR = 1_000_000
SECOND = 100  # micro-dollars
SOUND, SAID = recording(24.0, seed=5)
LATE = SAID[-2]
MIDDLE = next(word for word in SAID[len(SAID) // 2 :] if SAID.count(word) == 1)


def told(*ends: int) -> tuple[list[Segment], str]:
    return [Segment(f"until {end}", max(0, end - 100), end) for end in ends], "oracle"


def test_what_is_ready_is_not_what_has_left() -> None:
    handed_out = HandedOut()
    handed_out.ready(told(1000, 1800))
    handed_out.heard(2000)
    assert handed_out.until(gone=True).milliseconds == 0
    handed_out.leaves()
    handed_out.ready(told(3900))
    handed_out.heard(4000)
    left, ready = handed_out.until(gone=True), handed_out.until(gone=False)
    assert (left.milliseconds, left.text, left.model_used) == (1800, "until 1000 until 1800", "oracle")
    assert (ready.milliseconds, ready.text) == (3900, "until 1000 until 1800 until 3900")


def test_nobody_pays_for_more_than_was_heard() -> None:
    """A recording's clock may run on where nothing could be decoded."""
    handed_out = HandedOut()
    handed_out.ready(told(60_000))
    handed_out.heard(2000)
    assert handed_out.until(gone=False).milliseconds == 2000


class Customer:
    """An account with a dollar, and a connection to a server of its own."""

    def __init__(self, services: Services, place: Running, home: Path) -> None:
        self.services, self.home = services, home
        self.account_id = services.accounts.create_account("customer", "enterprise").id
        services.ledger.top_up(self.account_id, DOLLAR)
        self.secret, self.key = services.accounts.create_key(self.account_id)
        headers = {"Authorization": f"Bearer {self.secret}"}
        self.client = httpx2.Client(base_url=place.url, headers=headers, timeout=60)

    def hear(self, orders: str, patience: float = 60, **fields: str) -> Any:
        """The answer while it comes."""
        timeout = httpx2.Timeout(60, read=patience)
        data = {"model": "whisper-1", "prompt": f"oracle: {orders}", **fields}
        files = {"file": ("a.wav", SOUND)}
        return self.client.stream("POST", "/v1/audio/transcriptions", data=data, files=files, timeout=timeout)

    @property
    def spent(self) -> int:
        """When nothing is held any more, and the books agree."""
        wait_until(lambda: not self._held())
        assert self.services.ledger.check() == []
        return DOLLAR - self.services.ledger.balance(self.account_id)

    def _held(self) -> bool:
        with self.services.database.read() as session:
            return any(row.account_id == self.account_id for row in session.query(OpenHold))

    @property
    def receipts(self) -> list[Receipt]:
        with self.services.database.read() as session:
            return [row for row in session.query(Receipt) if row.account_id == self.account_id]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Services, Running, Path]]:
    home = tmp_path_factory.mktemp("home")
    (home / "catalog.toml").write_text(CATALOG.format(home=home))
    with (
        build(Settings(home=home, catalog=home / "catalog.toml"), engine_processes=1) as services,
        running(create_app(services)) as place,
    ):
        yield services, place, home


@pytest.fixture
def customer(serving: tuple[Services, Running, Path]) -> Iterator[Customer]:
    made = Customer(*serving)
    yield made
    made.client.close()


@pytest.fixture
def noticed(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """The server has seen that a client is gone."""
    seen, leave = threading.Event(), ClientDisconnect.leave

    def told_of(self: ClientDisconnect) -> None:
        leave(self)
        seen.set()

    monkeypatch.setattr(ClientDisconnect, "leave", told_of)
    return seen


@pytest.mark.processes
def test_who_closes_a_stream_before_its_end_pays_for_what_was_sent(
    customer: Customer, noticed: threading.Event
) -> None:
    with customer.hear(f"until=closed at={LATE}", stream="true") as answer:
        first = json.loads(next(answer.iter_lines()).removeprefix("data: "))
        assert first["type"] == "transcript.text.delta"
    assert noticed.wait(60)
    (customer.home / "closed").touch()
    assert 0 < customer.spent < 24 * SECOND
    (receipt,) = customer.receipts
    assert receipt.cost == customer.spent == (receipt.audio_ms + 5) // 10
    assert receipt.model_used == "oracle"


@pytest.mark.processes
def test_a_stream_whose_provider_fails_pays_for_what_was_sent(customer: Customer) -> None:
    with customer.hear(f"fail=99 at={LATE} error=refused", stream="true") as answer:
        came = answer.read().decode()
    assert "transcript.text.delta" in came and "transcript.text.done" not in came
    assert 0 < customer.spent < 24 * SECOND
    assert [receipt.cost for receipt in customer.receipts] == [customer.spent]


@pytest.mark.processes
@pytest.mark.parametrize("stream", ["true", "false"])
def test_who_has_got_nothing_pays_nothing(customer: Customer, noticed: threading.Event, stream: str) -> None:
    until = f"never-{stream}"
    with pytest.raises(httpx2.ReadTimeout), customer.hear(f"until={until}", 2, stream=stream) as _:
        raise AssertionError("nothing was to come")
    assert noticed.wait(60)
    (customer.home / until).touch()
    assert (customer.spent, customer.receipts) == (0, [])


@pytest.mark.processes
def test_what_fails_without_a_stream_is_free(customer: Customer) -> None:
    with customer.hear(f"fail=99 at={LATE} error=refused") as answer:
        assert answer.status_code == 502
    assert (customer.spent, customer.receipts) == (0, [])


@pytest.mark.processes
def test_a_revoked_keys_stream_ends_at_the_next_chunk(customer: Customer) -> None:
    with customer.hear(f"until=revoked at={MIDDLE}", stream="true") as answer:
        lines = answer.iter_lines()
        assert "transcript.text.delta" in next(lines)
        customer.services.accounts.revoke_key(customer.key.id)
        (customer.home / "revoked").touch()
        rest = "".join(lines)
    assert "invalid_api_key" in rest and "transcript.text.done" not in rest
    assert 0 < customer.spent < 24 * SECOND
