"""What a synchronous request costs, who pays when something goes wrong, and what the caller is told."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from infra.database.tables.money import OpenHold, OpenMinutes, Receipt
from infra.money.quota import Quota
from infra.settings import Settings
from infra.wiring import Services, build
from pipeline.errors import DatabaseUnavailable, ProviderUnavailable
from pipeline.pricing import Usage
from pipeline.providers.oracle import Oracle
from pipeline.transcript import TokenUsage
from tests.api.conftest import CATALOG, recording
from tests.api.serving import running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

HEAR, TRANSLATE, SPEAK = "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/speech"
PRICED = CATALOG + "".join(
    f'\n[models.{name}]\nroutes = [{{ provider = "oracle", model = "oracle" }}]\n'
    for name in ("whisper-1", "tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-transcribe")
)
DOLLAR = 1_000_000


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    home = tmp_path_factory.mktemp("priced")
    (home / "catalog.toml").write_text(PRICED)
    with build(Settings(home=home, catalog=home / "catalog.toml"), engine_processes=1) as opened:
        yield opened


@pytest.fixture
def client(priced: Services) -> Iterator[TestClient]:
    with TestClient(create_app(priced)) as opened:
        yield opened


class Customer:
    """An account with money and a key."""

    def __init__(self, services: Services, client: TestClient, micro: int = DOLLAR, **limits: int) -> None:
        self.services, self.client = services, client
        self.account_id = services.accounts.create_account("customer", "enterprise", limits=limits).id
        self.auth = {"Authorization": f"Bearer {services.accounts.create_key(self.account_id)[0]}"}
        self.began_with = micro
        if micro:
            services.ledger.top_up(self.account_id, micro)

    def hear(self, seconds: float = 2.5, path: str = HEAR, sound: bytes | None = None, **fields: Any) -> Any:
        files = {"file": ("a.wav", sound if sound is not None else recording(seconds)[0])}
        headers = self.auth | fields.pop("headers", {})
        return self.client.post(path, data={"model": "whisper-1", **fields}, files=files, headers=headers)

    def speak(self, text: str = "alpha bravo charlie", **fields: Any) -> Any:
        asked = {"model": "tts-1", "input": text, "voice": "alloy", "response_format": "pcm", **fields}
        return self.client.post(SPEAK, json=asked, headers=self.auth)

    @property
    def spent(self) -> int:
        """Micro-dollars; the books agree, and nothing is held."""
        entries = self.services.ledger.entries(self.account_id)
        balance = self.services.ledger.balance(self.account_id)
        assert sum(entry.delta for entry in entries) == balance
        amounts = {kind: sum(e.amount for e in entries if e.kind == kind) for kind in ("hold", "capture", "release")}
        assert amounts["hold"] == amounts["capture"] + amounts["release"]
        assert not holds(self.services, self.account_id)
        return self.began_with - balance

    @property
    def receipts(self) -> list[Any]:
        with self.services.database.read() as session:
            return [one for one in session.query(Receipt) if one.account_id == self.account_id]


@pytest.fixture
def customer(priced: Services, client: TestClient) -> Customer:
    return Customer(priced, client)


@pytest.mark.parametrize(("seconds", "usd"), [(12.5, "0.00125"), (2.5, "0.00025")])
def test_the_documented_examples_of_whisper(customer: Customer, seconds: float, usd: str) -> None:
    answer = customer.hear(seconds)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-perf-cost-usd"] == usd
    perf = answer.json()["perf"]
    assert perf["cost_usd"] == float(usd)
    assert perf["audio_duration_seconds"] == seconds
    assert customer.spent == int(Decimal(usd) * DOLLAR)
    (receipt,) = customer.receipts
    assert (receipt.cost, receipt.audio_ms, receipt.model) == (customer.spent, round(1000 * seconds), "whisper-1")
    assert receipt.subject == answer.headers["x-request-id"]
    assert receipt.key_id in customer.auth["Authorization"]


@pytest.mark.parametrize(("model", "usd"), [("tts-1", "0.015"), ("tts-1-hd", "0.03")])
def test_the_documented_examples_of_speech(customer: Customer, model: str, usd: str) -> None:
    text = ("alpha bravo charlie " * 50)[:999] + "."
    answer = customer.speak(text, model=model)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-perf-cost-usd"] == usd
    assert len(answer.content) > 0
    assert customer.spent == int(Decimal(usd) * DOLLAR)
    (receipt,) = customer.receipts
    assert (receipt.task, receipt.characters, receipt.cost) == ("speech", 1000, customer.spent)


def test_the_ratio_doubles_sound_and_nothing_else(customer: Customer) -> None:
    try:
        customer.services.ratios.set("*", Decimal(2))
        assert customer.hear(2.5).headers["x-perf-cost-usd"] == "0.0005"
        assert customer.speak("a" * 4 + " bravo").headers["x-perf-cost-usd"] == "0.00015"
    finally:
        customer.services.ratios.clear("*")
    assert customer.spent == 500 + 150
    assert {receipt.ratio for receipt in customer.receipts} == {"2"}
    assert customer.hear(2.5).headers["x-perf-cost-usd"] == "0.00025"


def test_translations_pay_and_free_models_do_not(customer: Customer) -> None:
    assert customer.hear(2.5, TRANSLATE).headers["x-perf-cost-usd"] == "0.00025"
    assert customer.hear(2.5, model="oracle").headers["x-perf-cost-usd"] == "0"
    assert customer.spent == 250
    assert sorted(receipt.cost for receipt in customer.receipts) == [0, 250]


def test_a_stream_tells_its_cost_at_its_end(customer: Customer) -> None:
    sound, said = recording(45.0, seed=31)  # two chunks, which nobody has heard before
    late = next(word for word in reversed(said) if said.count(word) == 1)
    # Its head leaves with the first chunk's words. The last one hangs: who has heard it, too, would tell the cost in the head.
    answer = customer.hear(sound=sound, stream="true", prompt=f"oracle: hang=2 at={late}")
    assert "x-perf-cost-usd" not in answer.headers
    assert answer.headers["x-perf-cost-usd-max"] == "0.0045", "its length is known, and nothing else is priced"
    done = last_event(answer)
    assert done["type"] == "transcript.text.done"
    assert done["perf"]["cost_usd"] == 0.0045
    assert customer.spent == 4500
    answer = customer.speak(stream_format="sse")
    done = json.loads(answer.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert done["perf"]["cost_usd"] == float(answer.headers["x-perf-cost-usd"]) == 19 * 15 / DOLLAR
    assert customer.spent == 4500 + 19 * 15


def test_tokens_nobody_can_count_ahead(customer: Customer) -> None:
    answer = customer.speak(model="gpt-4o-mini-tts", stream_format="sse")
    assert "x-perf-cost-usd" not in answer.headers
    done = last_event(answer)
    (receipt,) = customer.receipts
    assert receipt.counted == "estimated"
    assert Decimal(answer.headers["x-perf-cost-usd-max"]) * DOLLAR >= receipt.cost
    assert done["perf"]["cost_usd"] == receipt.cost / DOLLAR > 0
    assert customer.hear(model="gpt-4o-transcribe").json()["perf"]["cost_usd"] > 0
    assert customer.spent == sum(receipt.cost for receipt in customer.receipts)


def last_event(answer: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(answer.text.strip().split("\n\n")[-1].removeprefix("data: "))
    return told


@pytest.mark.parametrize("model", ["tts-1", "gpt-4o-mini-tts"])
def test_a_stream_of_speech_ends_with_the_tokens_of_its_receipt(customer: Customer, model: str) -> None:
    usage = last_event(customer.speak(model=model, stream_format="sse"))["usage"]
    (receipt,) = customer.receipts
    assert usage["input_tokens"] == receipt.tokens["text_in"] > 0
    assert usage["output_tokens"] == receipt.tokens["audio_out"] > 0
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


@pytest.mark.parametrize("stream", ["true", "false"])
def test_a_transcript_priced_by_tokens_tells_those_of_its_receipt(customer: Customer, stream: str) -> None:
    """The oracle counts none: ours are billed, and told."""
    answer = customer.hear(3.5, model="gpt-4o-transcribe", stream=stream)
    usage = (last_event(answer) if stream == "true" else answer.json())["usage"]
    (receipt,) = customer.receipts
    assert usage["type"] == "tokens"
    assert usage["input_token_details"] == {"text_tokens": 0, "audio_tokens": receipt.tokens["audio_in"]}
    assert usage["output_tokens"] == receipt.tokens["text_out"] > 0


def test_a_receipt_is_found_by_its_request_and_has_the_whole_latency(customer: Customer) -> None:
    answer = customer.speak(model="gpt-4o-mini-tts", input="alpha bravo. " * 20)
    told = customer.client.get(f"/v1/receipts?request_id={answer.headers['x-perf-request-id']}", headers=customer.auth)
    (receipt,) = told.json()["data"]
    assert receipt["latency_ms"] >= int(answer.headers["x-perf-latency-ms"]) >= 0
    assert receipt["cost_usd"] * DOLLAR == pytest.approx(customer.spent)


def test_never_more_than_the_head_has_promised(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.sync.billing.most_usage", lambda *_, **__: Usage(tokens=TokenUsage(audio_out=1)))
    answer = customer.speak(model="gpt-4o-mini-tts")
    assert answer.headers["x-perf-cost-usd-max"] == "0.000012"
    assert customer.spent == 12
    (receipt,) = customer.receipts
    assert (receipt.cost, receipt.tokens["audio_out"] > 1) == (12, True)


def test_without_money_nobody_is_asked(priced: Services, client: TestClient) -> None:
    poor = Customer(priced, client, micro=0)
    for answer in (poor.hear(), poor.hear(stream="true"), poor.hear(path=TRANSLATE), poor.speak()):
        assert answer.status_code == 402
        error = answer.json()["error"]
        assert error["code"] == "insufficient_balance"
        assert "pay-as-you-go" in error["message"] and "top up" in error["message"]
        assert answer.headers["x-perf-cost-usd"] == "0"
        assert "retry-after" not in answer.headers
    assert poor.hear(model="oracle").status_code == 200
    assert poor.spent == 0
    assert not [receipt for receipt in poor.receipts if receipt.model != "oracle"]


def test_failed_work_is_free(customer: Customer) -> None:
    for prompt in ("oracle: fail=9 error=refused", "oracle: fail=9 error=unavailable"):
        assert customer.hear(prompt=prompt).status_code in (502, 503)
    assert customer.hear(sound=b"this is no sound").status_code == 400
    assert customer.hear(response_format="nothing").status_code == 400
    for name in ("pcm", "wav", "mp3"):  # also where an encoder has a head to write before there is any sound
        wrong = customer.speak(instructions="oracle: fail=9 error=refused", response_format=name)
        assert wrong.status_code in (502, 503)
        assert customer.speak(voice="nobody", response_format=name).status_code == 400
    assert customer.spent == 0
    assert customer.receipts == []
    assert [entry.kind for entry in customer.services.ledger.entries(customer.account_id)].count("hold") >= 3


def test_what_fails_in_the_middle_is_free_but_for_what_was_handed_out(customer: Customer) -> None:
    """The hold covers the whole of it, chunks that went well included."""
    sound, said = recording(90.0)
    early = set(said[: len(said) // 2])
    late = next(word for word in reversed(said) if word not in early)
    orders = f"oracle: fail=99 error=refused at={late}"
    assert customer.hear(sound=sound, prompt=orders).status_code == 502
    assert (customer.spent, customer.receipts) == (0, [])
    answer = customer.hear(sound=sound, prompt=orders, stream="true")
    assert "transcript.text.delta" in answer.text
    assert "transcript.text.done" not in answer.text
    (receipt,) = customer.receipts
    assert 0 < receipt.audio_ms < 90_000
    assert customer.spent == receipt.cost > 0


@pytest.mark.parametrize(("sent", "characters"), [(1.0, 15), (60.0, 43)])
def test_a_provider_that_breaks_off_is_paid_for_what_it_has_spoken(
    customer: Customer, monkeypatch: pytest.MonkeyPatch, sent: float, characters: int
) -> None:
    def breaks_off(self: Oracle, *_: object) -> Iterator[bytes]:
        yield bytes(2 * round(sent * self.sample_rate))
        raise ProviderUnavailable(provider="oracle")

    monkeypatch.setattr(Oracle, "speak", breaks_off)
    answer = customer.speak("alpha bravo charlie delta echo foxtrot golf")
    assert len(answer.content) <= 2 * round(sent * Oracle.sample_rate)
    (receipt,) = customer.receipts
    assert (receipt.characters, receipt.cost) == (characters, characters * 15)
    assert customer.spent == receipt.cost


def test_a_callers_own_request_id_may_come_again(customer: Customer) -> None:
    for _ in range(2):
        answer = customer.hear(headers={"X-Request-Id": "mine"})
        assert answer.status_code == 200
        assert answer.headers["x-request-id"] == "mine"
        assert answer.json()["perf"]["request_id"] == answer.headers["x-perf-request-id"]
        found = customer.client.get(
            f"/v1/receipts?request_id={answer.headers['x-perf-request-id']}", headers=customer.auth
        )
        assert [row["cost_usd"] for row in found.json()["data"]] == [0.00025]
    assert customer.spent == 500
    assert len(customer.receipts) == 2


def test_the_minutes_of_a_day(priced: Services, client: TestClient) -> None:
    limited = Customer(priced, client, transcription_minutes_per_day=1)
    assert limited.hear(55.0).status_code == 200
    refused = limited.hear(6.0)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "limit_exceeded"
    assert "0.08 left" in refused.json()["error"]["message"]
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert limited.hear(3.0, path=TRANSLATE, model="oracle").status_code == 200  # free of charge, not of minutes
    assert limited.hear(3.0, model="oracle").status_code == 429
    assert limited.hear(2.0, prompt="oracle: fail=9 error=refused").status_code == 502
    assert limited.hear(2.0, stream="true").status_code == 200
    assert Quota(priced.database).used_today(limited.account_id) == 60_000
    assert limited.speak().status_code == 200
    job = limited.client.post(
        "/v1/audio/jobs", data={"model": "oracle"}, files={"file": recording()[0]}, headers=limited.auth
    )
    assert job.status_code == 429
    assert limited.spent == 5500 + 200 + 19 * 15


def test_a_long_wait_is_not_for_clients_to_retry(
    priced: Services, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    noon = 1_800_000_000 - 1_800_000_000 % 86_400 + 43_200
    monkeypatch.setattr("infra.money.quota.read_clock", lambda _: float(noon))
    limited = Customer(priced, client, transcription_minutes_per_day=1)
    assert limited.hear(55.0).status_code == 200
    refused = limited.hear(6.0)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "43200"
    assert refused.headers["x-should-retry"] == "false"


def test_what_no_day_has_room_for_is_not_to_be_tried_again(priced: Services, client: TestClient) -> None:
    refused = Customer(priced, client, transcription_minutes_per_day=0).hear()
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "limit_exceeded")
    assert "retry-after" not in refused.headers
    assert refused.headers["x-should-retry"] == "false"


def test_a_lying_header_is_billed_by_what_it_holds(customer: Customer) -> None:
    """A WAV that announces hours and holds two seconds, as recorders that were cut off leave it."""
    sound = bytearray(recording(2.0)[0])
    sound[40:44] = (0xFFFFFF00).to_bytes(4, "little")
    answer = customer.hear(sound=bytes(sound))
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-perf-cost-usd"] == "0.0002"
    assert customer.spent == 200


def test_sound_that_nobody_can_measure_is_held_for_as_it_is_decoded(
    priced: Services, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.passthrough.measured_ms", lambda _: None)
    rich, poor = Customer(priced, client, transcription_minutes_per_day=5), Customer(priced, client, micro=4000)
    assert rich.hear(90.0).status_code == 200
    assert rich.spent == 9000
    assert [entry.kind for entry in priced.ledger.entries(rich.account_id)].count("hold") > 1
    assert Quota(priced.database).used_today(rich.account_id) == 90_000
    assert poor.hear(90.0).status_code == 402
    assert poor.spent == 0


def test_a_database_that_goes_away_at_the_end_takes_nothing_from_the_caller(
    customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(customer.services.ledger, "settle", away)
    answer = customer.hear()
    assert answer.status_code == 200
    assert answer.headers["x-perf-cost-usd"] == "0.00025"
    monkeypatch.undo()
    assert customer.services.ledger.balance(customer.account_id) == DOLLAR - 250
    assert customer.services.ledger.release_dead(-1.0) == 1  # the sweep, later
    assert customer.spent == 0


def test_who_hangs_up_pays_once_or_not_at_all(priced: Services) -> None:
    with running(create_app(priced)) as server, TestClient(create_app(priced)) as client:
        customer = Customer(priced, client)
        body = json.dumps(
            {"model": "tts-1", "input": "alpha bravo. " * 300, "voice": "alloy", "response_format": "wav"}
        )
        head = f"POST {SPEAK} HTTP/1.1\r\nHost: x\r\nAuthorization: {customer.auth['Authorization']}\r\n"
        with server.connection() as connection:
            connection.sendall(
                f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            assert connection.recv(64)
        wait_until(lambda: not holds(priced, customer.account_id))
        assert customer.spent == 13 * 300 * 15
        assert len(customer.receipts) == 1


def holds(services: Services, account_id: str) -> int:
    """How many holds of money and of minutes the account's requests have left open."""
    with services.database.read() as session:
        rows = [one for table in (OpenHold, OpenMinutes) for one in session.query(table)]
    return len([one for one in rows if one.account_id == account_id])
