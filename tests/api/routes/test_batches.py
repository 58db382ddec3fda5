"""/v1/batches over HTTP: read as a whole, run line by line, answered line by line; in every dialect, and through every end."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from infra.database.tables.batches import Batch, BatchLine
from infra.database.tables.jobs import Job
from infra.database.tables.webhooks import WebhookMessage
from infra.money.ledger import Ledger
from pipeline.errors import LeaseLost
from tests.api.conftest import JOBS, House, recording
from tests.api.serving import running
from tests.support.accounts import rich
from tests.support.receiver import Receiver, receiving
from workers.batches import start_lines
from workers.batches.advance import advance_batches

BATCHES, FILES, HEAR = "/v1/batches", "/v1/files", "/v1/audio/transcriptions"
SOUND, SAID = recording(2.0, seed=23)
TEXT = " ".join(SAID)
pytestmark = pytest.mark.processes


@pytest.fixture
def site() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def keep(house: House, data: bytes = SOUND, name: str = "talk.wav", purpose: str = "user_data") -> str:
    answer = house.post(FILES, data={"purpose": purpose}, files={"file": (name, data)})
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def line(custom_id: Any, endpoint: str = HEAR, method: str = "POST", **body: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": method, "url": endpoint, "body": {"model": "oracle", **body}}


def submit(house: House, lines: list[Any], endpoint: str = HEAR, **fields: Any) -> dict[str, Any]:
    written = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines)
    file = keep(house, written.encode(), "lines.jsonl", "batch")
    asked = {"input_file_id": file, "endpoint": endpoint, "completion_window": "24h", **fields}
    answer = house.post(BATCHES, json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def shown(house: House, batch: dict[str, Any]) -> dict[str, Any]:
    return house.get(f"{BATCHES}/{batch['id']}").json()


def now_due(house: House) -> None:
    """Nobody waits for the seconds between two looks."""
    with house.services.database.write() as session:
        session.execute(update(Batch).values(next_at=0.0))


def step(house: House) -> None:
    now_due(house)
    advance_batches(house.services)


def run(house: House, batch: dict[str, Any], between: Callable[[], None] | None = None) -> dict[str, Any]:
    """Be the scheduler and the workers until the batch has ended."""
    for _ in range(30):
        step(house)
        (between or house.work)()
        found = shown(house, batch)
        if found["status"] in ("completed", "failed", "cancelled", "expired"):
            return found
    raise AssertionError(f"the batch did not end: {found}")


def content(house: House, file_id: str | None) -> dict[str, dict[str, Any]]:
    if file_id is None:
        return {}
    told = [json.loads(one) for one in house.get(f"{FILES}/{file_id}/content").text.splitlines()]
    return {one["custom_id"]: one for one in told}


def test_every_dialect_is_answered(house: House, site: Receiver) -> None:
    kept = keep(house)
    upload = house.post(
        "/v1/uploads",
        json={"bytes": len(SOUND), "filename": "a.wav", "mime_type": "audio/wav", "purpose": "user_data"},
    ).json()["id"]
    part = house.post(f"/v1/uploads/{upload}/parts", files={"data": ("a", SOUND)}).json()["id"]
    house.post(f"/v1/uploads/{upload}/complete", json={"part_ids": [part]})
    site.files["/a.wav"] = SOUND
    url = f"{site.url}/a.wav"
    lines = [
        line("file_id", file_id=kept),
        line("upload_id", upload_id=upload, response_format="text"),
        line("groq", url=url),
        line("vllm", file_url=url, response_format="verbose_json", timestamp_granularities=["word"]),
        line("together", method="FILE", file=url, response_format="srt"),
        "",
        line("gone", file_id="file-gone"),
    ]
    done = run(house, submit(house, lines, metadata={"a": "b"}))
    assert done["status"] == "completed"
    assert done["request_counts"] == {"total": 6, "completed": 5, "failed": 1}
    answers = content(house, done["output_file_id"])
    bodies = {name: one["response"]["body"] for name, one in answers.items()}
    assert bodies["file_id"]["text"] == bodies["groq"]["text"] == TEXT
    assert bodies["upload_id"].strip() == TEXT
    assert [word["word"] for word in bodies["vllm"]["words"]] == SAID
    assert bodies["together"].startswith("1\n00:00:0")
    assert {one["response"]["status_code"] for one in answers.values()} == {200}
    (failed,) = content(house, done["error_file_id"]).values()
    assert (failed["custom_id"], failed["error"]) == ("gone", None)
    assert failed["response"]["status_code"] == 400
    assert failed["response"]["body"]["error"]["param"] == "file_id"
    assert done["partial"] and done["metadata"] == {"a": "b"}
    assert done["usage"]["seconds"] == pytest.approx(5 * len(SOUND) / 32_000, rel=0.01)


def test_what_cannot_be_read_fails_before_anything_runs(house: House) -> None:
    lines = [
        line("a", file_id="f"),
        "{not json",
        line("a", file_id="f"),
        line("b", file_id="f", model="nobody"),
        line("c", "/v1/chat/completions", file_id="f"),
        line("d"),
        line(7, file_id="f"),
        line("e", file_id="f", temperature=9),
        line("g", file_id="f", webhook={"url": "http://127.0.0.1/"}),
    ]
    batch = submit(house, lines)
    step(house)
    failed = shown(house, batch)
    assert failed["status"] == "failed" and failed["failed_at"]
    assert [(one["line"], one["param"]) for one in failed["errors"]["data"]] == [
        (2, None), (3, "custom_id"), (4, "model"), (5, "url"), (6, "url"), (7, "custom_id"), (8, "temperature"),
        (9, "webhook"),
    ]  # fmt: skip
    assert "line 1" in failed["errors"]["data"][1]["message"]
    assert house.get(f"{JOBS}?batch_id={batch['id']}").json()["data"] == []
    with house.services.database.read() as session:
        assert session.scalars(select(BatchLine).where(col(BatchLine.batch_id) == batch["id"])).all() == []
    assert house.delete(f"{FILES}/{failed['input_file_id']}").status_code == 200
    empty = submit(house, ["\n\n"])
    step(house)
    assert shown(house, empty)["errors"]["data"][0]["message"] == "The input has no lines."


def test_an_input_that_is_gone_fails_its_batch(house: House) -> None:
    batch = submit(house, [line("a", file_id="f")])
    house.services.storage.delete_prefix(f"t/{house.account_id}/media")
    step(house)
    failed = shown(house, batch)
    assert (failed["status"], failed["errors"]["data"][0]["param"]) == ("failed", "input_file_id")


def test_jobs_and_speech_are_answered_by_the_job(house: House) -> None:
    spoken = submit(
        house,
        [line("s", "/v1/audio/speech", model="espeak-ng", input="hello", voice="alloy", response_format="wav")],
        "/v1/audio/speech",
    )
    done = run(house, spoken)
    job = content(house, done["output_file_id"])["s"]["response"]["body"]
    assert house.get(f"{JOBS}/{job['id']}/audio").content.startswith(b"RIFF")
    heard = submit(house, [line("j", JOBS, file_id=keep(house), client_reference_id="mine")], JOBS)
    done = run(house, heard)
    job = content(house, done["output_file_id"])["j"]["response"]["body"]
    assert (job["status"], job["client_reference_id"], job["batch_id"]) == ("completed", "mine", heard["id"])


def test_a_batch_is_no_live_job_and_its_lines_come_a_few_at_a_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_lines, "UNDER_WAY", 3)
    house.services.accounts.update(house.account_id, limits={"concurrent_jobs": 1})
    file = keep(house)
    batch = submit(house, [line(str(n), file_id=file) for n in range(8)])
    step(house)
    step(house)
    jobs = house.get(f"{JOBS}?batch_id={batch['id']}").json()["data"]
    assert [job["status"] for job in jobs] == ["queued"] * 3
    assert {job["request"]["priority"] for job in jobs} == {-10}
    assert house.get(JOBS).json()["data"] == []
    assert house.get("/v1/usage").json()["limits"]["concurrent_jobs"]["used"] == 0
    assert house.submit(SOUND)["status"] == "queued", "the one live job that the account may have"
    assert house.delete(f"{FILES}/{file}").status_code == 409
    seen = []

    def work() -> None:
        house.work()
        seen.append(shown(house, batch)["request_counts"]["completed"])

    assert run(house, batch, work)["request_counts"] == {"total": 8, "completed": 8, "failed": 0}
    assert seen == sorted(seen) and 0 < seen[1] < 8


def test_cancelling_leaves_what_was_answered(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_lines, "UNDER_WAY", 2)
    file = keep(house)
    batch = submit(house, [line(str(n), file_id=file) for n in range(5)])
    step(house)
    step(house)
    house.work()
    step(house)
    told = house.post(f"{BATCHES}/{batch['id']}/cancel").json()
    assert told["status"] == "cancelling"
    assert house.post(f"{BATCHES}/{batch['id']}/cancel").json()["status"] in ("cancelling", "cancelled")
    done = run(house, batch)
    assert (done["status"], done["partial"]) == ("cancelled", True)
    answers, failures = content(house, done["output_file_id"]), content(house, done["error_file_id"])
    assert set(answers) == {"0", "1"} and set(failures) == {"2", "3", "4"}
    assert {one["error"]["code"] for one in failures.values()} == {"batch_cancelled"}


def test_a_window_that_closes_ends_the_rest(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_lines, "UNDER_WAY", 1)
    file = keep(house)
    batch = submit(house, [line(str(n), file_id=file) for n in range(3)], completion_window="7d")
    assert batch["expires_at"] == batch["created_at"] + 7 * 24 * 3600
    step(house)
    step(house)
    house.work()
    with house.services.database.write() as session:
        session.execute(update(Batch).where(col(Batch.id) == batch["id"]).values(expires_at=1.0))
    done = run(house, batch)
    assert (done["status"], done["request_counts"]["completed"]) == ("expired", 1)
    assert {one["error"]["code"] for one in content(house, done["error_file_id"]).values()} == {"batch_expired"}


def test_money_is_waited_for_and_rolled_up(house: House) -> None:
    poor = house.services.accounts.create_account("poor", "enterprise").id
    key, _ = house.services.accounts.create_key(poor)
    theirs = House(house.services, house.client, poor, key, house.key)
    file = keep(theirs)
    lines = [line(str(n), model="oracle-priced", file_id=file) for n in range(2)]
    batch = submit(theirs, lines)
    step(theirs)
    step(theirs)
    told = shown(theirs, batch)
    assert (told["status"], told["waiting"]["code"]) == ("in_progress", "insufficient_balance")
    Ledger(house.services.database).top_up(poor, 10**6)
    done = run(theirs, batch, house.work)
    receipts = theirs.get("/v1/receipts").json()["data"]
    assert done["waiting"] is None and done["status"] == "completed"
    assert 0 < done["cost"]["captured"] == pytest.approx(sum(one["cost_usd"] for one in receipts))
    theirs.close()


def test_who_was_overtaken_makes_no_second_job(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler that reads a batch dies, or sleeps through its lease: its successor does all of it, once."""
    file = keep(house)
    batch = submit(house, [line(str(n), file_id=file) for n in range(3)])
    step(house)
    services = house.services
    now_due(house)
    sleeper = services.batches.claim()
    assert sleeper is not None and services.batches.claim() is None
    with services.database.write() as session:
        session.execute(update(Batch).values(lease_until=1.0))
    step(house)
    assert start_lines.start_lines(services, sleeper) is None, "no line waits any more"
    for late in (
        lambda: services.lines.leave_rest(sleeper),
        lambda: services.lines.ended(sleeper, over=False),
        lambda: services.batches.finished(sleeper, None, None),
    ):
        with pytest.raises(LeaseLost):
            late()
    with services.database.read() as session:
        jobs = session.scalars(select(Job).where(col(Job.batch_id) == batch["id"])).all()
    assert len(jobs) == 3
    assert run(house, batch)["request_counts"] == {"total": 3, "completed": 3, "failed": 0}


def test_endpoints_hear_of_it_once(house: House) -> None:
    site = "http://127.0.0.1:9/hook"
    hook = {"name": "b", "url": site, "event_types": ["audio.job.completed", "batch.completed"]}
    assert house.post("/v1/webhook_endpoints", json=hook).status_code == 200
    done = run(house, submit(house, [line("a", file_id=keep(house))]))
    step(house)
    with house.services.database.read() as session:
        mine = select(WebhookMessage).where(col(WebhookMessage.account_id) == house.account_id)
        (told,) = [json.loads(message.body) for message in session.scalars(mine)]
    assert (told["type"], told["data"]["id"]) == ("batch.completed", done["id"])
    assert told["data"]["output_file_id"] == done["output_file_id"]


def test_the_official_client_runs_the_round(house: House) -> None:
    hear: Any = HEAR  # which the client's types do not know yet
    with running(house.client.app) as server, openai.OpenAI(base_url=f"{server.url}/v1", api_key=house.key) as client:
        sound = client.files.create(file=("a.wav", SOUND), purpose="user_data")
        lines = "".join(json.dumps(line(f"request-{n}", file_id=sound.id)) + "\n" for n in range(3))
        file = client.files.create(file=("in.jsonl", lines.encode()), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id,
            endpoint=hear,
            completion_window="24h",
            metadata={"archive": "1998"},
        )
        assert batch.status == "validating" and batch.errors is None
        run(house, {"id": batch.id})
        done = client.batches.retrieve(batch.id)
        assert done.status == "completed" and done.request_counts is not None
        assert (done.request_counts.total, done.request_counts.completed) == (3, 3)
        told = [json.loads(one) for one in client.files.content(done.output_file_id or "").text.splitlines()]
        assert {one["custom_id"]: one["response"]["body"]["text"] for one in told} == {
            f"request-{n}": TEXT for n in range(3)
        }
        assert [one.id for one in client.batches.list(limit=1)] == [batch.id]
        assert client.files.retrieve(done.output_file_id or "").purpose == "batch_output"
        with pytest.raises(openai.ConflictError):
            client.batches.cancel(batch.id)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"endpoint": "/v1/chat/completions"}, "endpoint"),
        ({"completion_window": "8d"}, "completion_window"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": "file-none"}, "input_file_id"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(house: House, changes: dict[str, str], param: str) -> None:
    asked = {"input_file_id": keep(house), "endpoint": HEAR, "completion_window": "24h", **changes}
    answer = house.post(BATCHES, json=asked)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert house.get(f"{BATCHES}/batch_none").status_code == 404
    other = house.client.get(BATCHES, headers=house.auth(house.other_key))
    assert other.json()["data"] == []


def test_a_closed_account_runs_nothing_more(house: House) -> None:
    account = rich(house.services.database, "closing")
    key, row = house.services.accounts.create_key(account)
    theirs = House(house.services, house.client, account, key, house.key)
    batch = submit(theirs, [line("a", file_id=keep(theirs))])
    step(theirs)
    house.services.accounts.revoke_key(row.id)
    for _ in range(4):
        step(theirs)
    assert house.services.batches.get(account, batch["id"]).status == "cancelled"
