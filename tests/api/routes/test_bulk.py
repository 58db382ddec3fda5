"""/v1/audio/bulk: from a bucket and back, by a real S3 server over HTTP; interrupted, repeated, refused."""

import csv
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import boto3
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from infra.batches.source_store import SourceStore
from infra.database.tables.batches import Batch
from infra.database.tables.jobs import Job
from infra.database.tables.webhooks import WebhookMessage
from infra.settings import Settings
from infra.storage import BucketObject
from infra.wiring import Services, build
from pipeline.errors import LeaseLost, StorageUnavailable
from pipeline.transcript import transcript_from_json
from tests.api.conftest import ADMIN_KEY, CATALOG, JOBS, House, house_over, recording
from tests.support.s3_server import S3Server
from workers.batches import start_lines, write_results
from workers.batches.advance import advance_batches

BULK = "/v1/audio/bulk"
SOUNDS = [recording(1.0 + n / 4, seed=40 + n) for n in range(3)]
pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def opened(moto_s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services whose operator has opened two buckets."""
    home = tmp_path_factory.mktemp("bulk")
    (home / "catalog.toml").write_text(CATALOG)
    grants = [
        {"uri": "s3://calls/in/", "access": "read"},
        {"uri": "s3://calls/both/", "access": "read-write"},
        {"uri": "s3://texts/out", "access": "read-write"},
    ]
    with pytest.MonkeyPatch.context() as patch:
        moto_s3.use(patch)
        for name in ("calls", "texts"):
            s3().create_bucket(Bucket=name)
        settings = Settings(
            home=home, catalog=home / "catalog.toml", buckets=grants, admin_key=ADMIN_KEY, outbound_allow="127.0.0.0/8"
        )
        with build(settings, engine_processes=1) as services:
            yield services


@pytest.fixture
def house(opened: Services, moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    moto_s3.use(monkeypatch)
    empty()
    with house_over(opened) as built:
        yield built


def s3() -> Any:
    return boto3.client("s3")


def empty() -> None:
    for bucket in ("calls", "texts"):
        for found in s3().list_objects_v2(Bucket=bucket).get("Contents", ()):
            s3().delete_object(Bucket=bucket, Key=found["Key"])


def put(key: str, data: bytes, bucket: str = "calls") -> None:
    s3().put_object(Bucket=bucket, Key=key, Body=data)


def there(folder: str = "out/", bucket: str = "texts") -> dict[str, bytes]:
    """Every object, by its key without the folder; the kept transcripts apart."""
    keys = [found["Key"] for found in s3().list_objects_v2(Bucket=bucket, Prefix=folder).get("Contents", ())]
    read = {key: s3().get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys if "/transcripts/" not in key}
    return {key.removeprefix(folder): body for key, body in read.items()}


def outputs() -> dict[str, bytes]:
    return {key: body for key, body in there().items() if not key.startswith("_report/")}


def ask(house: House, status: int = 202, **fields: Any) -> dict[str, Any]:
    given = {"model": "oracle", "input": {"uri": "s3://calls/in/"}, "output": {"uri": "s3://texts/out/"}, **fields}
    answer = house.post(BULK, json=given)
    assert answer.status_code == status, answer.text
    return answer.json()


def step(house: House) -> None:
    with house.services.database.write() as session:
        session.execute(update(Batch).values(next_at=0.0))
    advance_batches(house.services)


def run(house: House, started: dict[str, Any], between: Callable[[], None] | None = None) -> dict[str, Any]:
    """Be the scheduler and the workers until the run has ended."""
    for _ in range(40):
        step(house)
        (between or house.work)()
        found = shown(house, started)
        if found["status"] in ("completed", "failed", "cancelled"):
            return found
    raise AssertionError(f"the run did not end: {found}")


def shown(house: House, started: dict[str, Any]) -> dict[str, Any]:
    return house.get(f"{BULK}/{started['id']}").json()


def files(house: House, started: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    return house.get(f"{BULK}/{started['id']}/files{query}").json()["data"]


def calls(house: House) -> int:
    """Jobs that were made in the account."""
    with house.services.database.read() as session:
        return len(session.scalars(select(col(Job.id)).where(col(Job.account_id) == house.account_id)).all())


def archive() -> None:
    """Two recordings, one of them twice, two of one stem, a text, an empty file, what nobody means."""
    put("in/a b/talk 😀.wav", SOUNDS[0][0])
    put("in/same/again.wav", SOUNDS[0][0])
    put("in/same/talk.wav", SOUNDS[1][0])
    put("in/same/talk.mp3", SOUNDS[2][0])
    put("in/text.mp3", b"these are words, and no sound at all")
    put("in/zero.wav", b"")
    put("in/notes.txt", b"...")
    put("in/half.wav.part", SOUNDS[0][0])


def test_every_good_one_has_its_outputs_and_every_bad_one_its_reason(house: House) -> None:
    archive()
    done = run(house, ask(house, output={"uri": "s3://texts/out", "formats": ["srt", "verbose_json"]}))
    assert (done["status"], done["partial"]) == ("completed", True)
    assert done["counts"] == {"total": 6, "completed": 4, "skipped": 0, "failed": 2}
    names = ("a b/talk 😀", "same/again", "same/talk.mp3", "same/talk.wav")
    assert set(outputs()) == {name + suffix for name in names for suffix in (".srt", ".verbose.json")}
    whole = {name: json.loads(outputs()[f"{name}.verbose.json"]) for name in names}
    said = {names[0]: SOUNDS[0], names[1]: SOUNDS[0], names[2]: SOUNDS[2], names[3]: SOUNDS[1]}
    assert {name: body["text"] for name, body in whole.items()} == {name: " ".join(w) for name, (_, w) in said.items()}
    lines = {one["source"]: one for one in map(json.loads, there()["_report/report.jsonl"].splitlines())}
    assert {name: one["error"]["code"] for name, one in lines.items() if one["state"] == "failed"} == {
        "text.mp3": "unsupported_media", "zero.wav": "empty_media",
    }  # fmt: skip
    first = lines["a b/talk 😀.wav"]
    assert first["sha256"] == sha256(SOUNDS[0][0]).hexdigest() and first["attempts"] == 1
    assert first["outputs"][0] == {
        "format": "srt", "path": "a b/talk 😀.srt", "sha256": sha256(outputs()["a b/talk 😀.srt"]).hexdigest(),
    }  # fmt: skip
    assert lines["same/again.wav"]["duplicate_of"] == "a b/talk 😀.wav" and lines["same/again.wav"]["cost"] == 0
    assert calls(house) == 3, "the same bytes are heard once"
    rows = list(csv.DictReader(io.StringIO(there()["_report/report.csv"].decode())))
    assert [row["source"] for row in rows] == sorted(lines)
    told = json.loads(there()["_report/summary.json"])
    assert told["files"] == {"total": 6, "completed": 4, "skipped": 0, "failed": 2, "not_started": 0}
    assert [one["source"] for one in files(house, done, "?limit=2&after=1")] == sorted(lines)[1:3]
    assert [one["source"] for one in files(house, done, "?state=failed")] == ["text.mp3", "zero.wav"]
    assert house.get(f"{BULK}/{done['id']}/report").content == there()["_report/report.jsonl"]
    assert house.get(f"{BULK}/{done['id']}/report?format=csv").content == there()["_report/report.csv"]
    assert house.get(JOBS).json()["data"] == [], "its jobs are listed by batch_id alone"
    assert house.services.quota.recount() == {}
    media = [key for key in house.stored() if "/media/" in key]
    assert media == [], "the copies of recordings are gone with their hearing"


def test_a_second_run_sends_nothing_and_another_format_is_rendered(house: House) -> None:
    archive()
    run(house, ask(house))
    before, heard = outputs(), calls(house)
    again = run(house, ask(house))
    assert again["counts"] == {"total": 6, "completed": 4, "skipped": 4, "failed": 2}
    assert (outputs(), calls(house), again["cost"]["captured"]) == (before, heard, 0)
    put("in/new.wav", recording(1.0, seed=77)[0])
    s3().delete_object(Bucket="texts", Key="out/same/again.srt")
    more = run(house, ask(house, output={"uri": "s3://texts/out/", "formats": ["srt", "vtt"]}))
    assert more["counts"] == {"total": 7, "completed": 5, "skipped": 0, "failed": 2}
    assert calls(house) == heard + 1, "only the new one is heard"
    assert {key: body for key, body in outputs().items() if key in before} == before
    assert {key for key in outputs() if key.endswith(".vtt")} == {
        key[:-4] + ".vtt" for key in outputs() if key.endswith(".srt")
    }


def test_another_server_sends_nothing_either(house: House) -> None:
    """All state lies at the output: the rows of the run before, and its jobs, may be gone."""
    archive()
    first = run(house, ask(house))
    for one in files(house, first):
        if one["job_id"]:
            house.delete(f"{JOBS}/{one['job_id']}")
    SourceStore(house.services.database).forget()
    with house.services.database.write() as session:
        session.execute(update(Batch).values(completed_at=1.0))
    SourceStore(house.services.database).forget()
    assert house.get(f"{BULK}/{first['id']}/files").status_code == 410
    left = calls(house)
    more = run(house, ask(house, output={"uri": "s3://texts/out/", "formats": ["text"]}))
    assert (more["counts"]["completed"], calls(house)) == (4, left)
    assert outputs()["same/talk.wav.txt"].decode().strip() == " ".join(SOUNDS[1][1])


def test_what_another_run_did_stays_in_the_report(house: House) -> None:
    put("in/one/a.wav", SOUNDS[0][0])
    put("in/two/b.wav", SOUNDS[1][0])
    run(house, ask(house, input={"uri": "s3://calls/in/one/"}))
    run(house, ask(house, input={"uri": "s3://calls/in/two/"}))
    lines = [json.loads(one) for one in there()["_report/report.jsonl"].splitlines()]
    assert sorted(one["uri"] for one in lines) == ["s3://calls/in/one/a.wav", "s3://calls/in/two/b.wav"]
    assert run(house, ask(house, input={"uri": "s3://calls/in/one/"}))["counts"]["skipped"] == 1


def test_a_scheduler_that_dies_anywhere_is_followed_and_nothing_is_done_twice(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive()
    started = ask(house, model="oracle-priced")
    written = SourceStore.written
    deaths = iter([True, False, True, True, False])

    def dies(*given: Any, **named: Any) -> None:
        if next(deaths, False):
            with house.services.database.write() as session:
                session.execute(update(Batch).values(lease_until=1.0, lease_token="another's"))
            raise LeaseLost
        written(*given, **named)

    monkeypatch.setattr(SourceStore, "written", dies)
    for _ in range(10):
        step(house)
        house.work()
        with house.services.database.write() as session:
            session.execute(update(Batch).values(lease_until=1.0))
    done = run(house, started)
    assert done["counts"] == {"total": 6, "completed": 4, "skipped": 0, "failed": 2}
    assert calls(house) == 3
    receipts = house.get("/v1/receipts").json()["data"]
    lines = [json.loads(one) for one in there()["_report/report.jsonl"].splitlines()]
    assert done["cost"]["captured"] == pytest.approx(sum(one["cost_usd"] for one in receipts))
    assert sum(one["cost"] for one in lines) == pytest.approx(done["cost"]["captured"])


def test_a_bucket_that_is_away_is_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    put("in/a.wav", SOUNDS[0][0])
    started = ask(house)
    step(house)
    step(house)
    house.work()
    put_whole = write_results._put

    def away(*_: Any) -> str:
        raise StorageUnavailable("The object store failed: SlowDown")

    monkeypatch.setattr(write_results, "_put", away)
    step(house)
    told = shown(house, started)
    assert (told["status"], told["waiting"]["code"]) == ("in_progress", "storage_unavailable")
    assert outputs() == {}
    monkeypatch.setattr(write_results, "_put", put_whole)
    assert run(house, started)["counts"]["completed"] == 1
    assert calls(house) == 1


def test_what_failed_is_tried_again_when_it_is_asked_for(house: House) -> None:
    put("in/a.wav", b"no sound")
    put("in/b.wav", SOUNDS[1][0])
    done = run(house, ask(house))
    assert done["counts"]["failed"] == 1
    again = run(house, ask(house))
    assert (again["counts"]["failed"], again["counts"]["skipped"]) == (1, 1), "by its own fault: it is not sent again"
    assert house.post(f"{BULK}/{again['id']}/retry").json()["status"] == "in_progress"
    s3().put_object(Bucket="calls", Key="in/a.wav", Body=SOUNDS[0][0])
    done = run(house, again)
    (failed,) = files(house, done, "?state=failed")
    assert failed["error"]["code"] == "source_changed", "another run finds the new bytes"
    assert run(house, ask(house))["counts"] == {"total": 2, "completed": 2, "skipped": 1, "failed": 0}
    refused = house.post(f"{BULK}/{done['id']}/cancel")
    assert refused.status_code == 409


def test_cancelling_leaves_what_was_heard(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_lines, "UNDER_WAY", 1)
    for n in range(3):
        put(f"in/{n}.wav", SOUNDS[n][0])
    started = ask(house)
    step(house)
    step(house)
    house.work()
    assert house.post(f"{BULK}/{started['id']}/cancel").json()["cancelling_at"]
    done = run(house, started)
    assert (done["status"], done["counts"]["completed"], done["partial"]) == ("cancelled", 1, True)
    assert set(outputs()) == {"0.srt"}
    assert [one["state"] for one in files(house, done)] == ["completed", "not_started", "not_started"]
    assert run(house, ask(house))["counts"] == {"total": 3, "completed": 3, "skipped": 1, "failed": 0}


def test_max_cost_is_never_exceeded(house: House) -> None:
    for n in range(6):
        put(f"in/{n}.wav", recording(6.0, seed=60 + n)[0])
    each = 0.0006
    done = run(house, ask(house, model="oracle-priced", max_cost=3.5 * each))
    assert done["counts"]["completed"] == 3 and done["partial"]
    assert done["cost"]["captured"] <= 3.5 * each
    assert {one["error"]["code"] for one in files(house, done, "?state=not_started")} == {"max_cost_reached"}
    more = run(house, ask(house, model="oracle-priced", max_cost=4.5 * each))
    assert (more["counts"]["skipped"], more["counts"]["completed"]) == (3, 4), "earlier runs count"


def test_a_dry_run_hears_and_writes_nothing(house: House) -> None:
    archive()
    done = run(house, ask(house, model="oracle-priced", dry_run=True))
    seconds = sum(len(sound) - 44 for sound, _ in SOUNDS) / 32_000
    assert done["estimate"] == {
        "files": 6, "skipped": 0, "duplicates": 1, "unusable": 2, "unknown": 0,
        "audio_seconds": pytest.approx(seconds, rel=0.01), "cost": pytest.approx(seconds * 0.0001, rel=0.02),
    }  # fmt: skip
    assert (there(), calls(house)) == ({}, 0)
    run(house, ask(house, model="oracle-priced"))
    assert run(house, ask(house, model="oracle-priced", dry_run=True))["estimate"]["skipped"] == 4


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_manifest_says_for_each_line_what_is_special_of_it(house: House, suffix: str) -> None:
    put("in/a.wav", SOUNDS[0][0])
    put("in/b.wav", SOUNDS[1][0])
    entries = [
        {"source": "a.wav", "output": "x/first"},
        {"source": "s3://calls/in/b.wav", "language": "en"},
        {"source": "gone.wav"},
    ]
    written = "\n".join(map(json.dumps, entries))
    if suffix == "csv":
        written = "source,output,language\na.wav,x/first,\ns3://calls/in/b.wav,,en\ngone.wav,,\n"
    put(f"in/list.{suffix}", written.encode())
    done = run(house, ask(house, input={"mode": "manifest", "uri": f"s3://calls/in/list.{suffix}"}))
    assert done["counts"] == {"total": 3, "completed": 2, "skipped": 0, "failed": 1}
    assert set(outputs()) == {"x/first.srt", "calls/in/b.srt"}
    told = {one["source"]: one for one in files(house, done)}
    assert house.get(f"{JOBS}/{told['calls/in/b.wav']['job_id']}").json()["request"]["language"] == "en"
    assert told["gone.wav"]["error"]["code"] == "download_failed"


def test_lists_and_layouts(house: House) -> None:
    put("both/x/a.wav", SOUNDS[0][0])
    put("both/y/a.wav", SOUNDS[1][0])
    put("both/list.txt", b"x/a.wav\n\ny/a.wav\n")
    listed = {"mode": "list", "uri": "s3://calls/both/list.txt"}
    flat = run(house, ask(house, input=listed, output={"uri": "s3://texts/out/", "layout": "flat"}))
    assert (flat["status"], flat["errors"]["data"][0]["param"]) == ("failed", "output.layout")
    beside = {"uri": "s3://texts/out/", "layout": "adjacent"}
    done = run(house, ask(house, input={"uri": "s3://calls/both/"}, output=beside))
    assert done["counts"]["completed"] == 2 and outputs() == {}
    assert {key for key in there("both/", "calls") if key.endswith(".srt")} == {"x/a.srt", "y/a.srt"}
    put("both/list.txt", b"x/a.wav\nx/a.wav\n")
    assert run(house, ask(house, input=listed))["errors"]["data"][0]["param"] == "input.uri"
    nothing = run(house, ask(house, input={"uri": "s3://calls/both/", "include": ["*.flac"]}))
    assert nothing["errors"]["data"][0]["message"] == "No recording matches."


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"input": {"uri": "s3://calls/inner/"}}, 403, "bucket_not_allowed"),
        ({"input": {"uri": "s3://calls/"}}, 403, "bucket_not_allowed"),
        ({"output": {"uri": "s3://calls/in/"}}, 403, "bucket_not_allowed"),
        ({"output": {"uri": "s3://texts/out/", "layout": "adjacent"}}, 403, "bucket_not_allowed"),
        ({"input": {"uri": "calls/in"}}, 400, "invalid_request"),
        ({"model": "nobody"}, 404, "model_not_found"),
        ({"language": "xx"}, 400, "unsupported_language"),
        ({"task": "speech"}, 400, "invalid_request"),
        ({"output": {"uri": "s3://texts/out/", "formats": ["doc"]}}, 400, "unsupported_value"),
        ({"input": {"uri": "s3://calls/in/", "include": [""]}}, 400, "invalid_request"),
        ({"webhook": {"url": "http://169.254.169.254/"}}, 400, "outbound_refused"),
    ],
)
def test_what_is_wrong_is_refused_at_once(house: House, fields: dict[str, Any], status: int, code: str) -> None:
    assert ask(house, status, **fields)["error"]["code"] == code
    assert house.get(BULK).json()["data"] == []


def test_two_runs_to_one_place_are_one_too_many(house: House) -> None:
    put("in/a.wav", SOUNDS[0][0])
    first = ask(house)
    assert ask(house, 409)["error"]["code"] == "wrong_state"
    run(house, first)
    assert [one["id"] for one in house.get(BULK).json()["data"]] == [first["id"]]
    assert house.get(f"/v1/batches/{first['id']}").status_code == 404
    assert house.get(f"{BULK}/{first['id']}", headers=house.auth(house.other_key)).status_code == 404
    assert house.get("/v1/batches").json()["data"] == []


def test_its_webhook_and_endpoints_hear_of_it(house: House) -> None:
    put("in/a.wav", SOUNDS[0][0])
    hook = {"name": "b", "url": "http://127.0.0.1:9/e", "event_types": ["audio.bulk.completed", "audio.job.completed"]}
    assert house.post("/v1/webhook_endpoints", json=hook).status_code == 200
    started = ask(house, webhook={"url": "http://127.0.0.1:9/own"}, metadata={"a": "b"})
    assert started["webhook"]["secret"].startswith("whsec_")
    assert shown(house, started)["webhook"] == {"url": "http://127.0.0.1:9/own"}
    run(house, started)
    with house.services.database.read() as session:
        mine = select(WebhookMessage).where(col(WebhookMessage.account_id) == house.account_id)
        told = {message.url: json.loads(message.body) for message in session.scalars(mine)}
    assert {url: event["type"] for url, event in told.items()} == {
        "http://127.0.0.1:9/e": "audio.bulk.completed", "http://127.0.0.1:9/own": "audio.bulk.completed",
    }  # fmt: skip
    assert told["http://127.0.0.1:9/own"]["data"]["metadata"] == {"a": "b"}


def test_a_job_and_a_batch_hear_what_is_in_a_bucket(house: House) -> None:
    put("in/a.wav", SOUNDS[0][0])
    job = house.post(JOBS, json={"model": "oracle", "s3_uri": "s3://calls/in/a.wav"}).json()
    house.work()
    assert house.get(f"{JOBS}/{job['id']}/transcript?format=text").text.strip() == " ".join(SOUNDS[0][1])
    assert job["input"]["s3_uri"] == "s3://calls/in/a.wav"
    refused = house.post(JOBS, json={"model": "oracle", "s3_uri": "s3://calls/inner/a.wav"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "bucket_not_allowed")
    missing = house.post(JOBS, json={"model": "oracle", "s3_uri": "s3://calls/in/none.wav"})
    assert (missing.status_code, missing.json()["error"]["code"]) == (400, "download_failed")


class _Endless:
    """A bucket with so many keys, none of which is in memory before it is asked for."""

    def __init__(self, count: int) -> None:
        self.count = count

    def objects(self, folder: str) -> Iterator[BucketObject]:
        return (BucketObject(f"{folder}{n:07}.mp3", 9, f"{n:032x}", 0.0) for n in range(self.count))

    def head(self, _key: str) -> None:
        return None


def listed(house: House, count: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes at the most while so many keys became rows."""
    opened = house.services.buckets.open
    bucket: Any = _Endless(count)
    monkeypatch.setattr(house.services.buckets, "open", lambda *of: bucket if of[2] == "read" else opened(*of))
    started = ask(house)
    tracemalloc.start()
    try:
        step(house)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        monkeypatch.undo()
    found = house.post(f"{BULK}/{started['id']}/cancel").json()
    assert found["counts"]["total"] == count
    return peak


def test_however_many_keys_there_are_a_page_of_them_is_in_memory(
    house: House, moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = listed(house, 1_000, monkeypatch)
    moto_s3.use(monkeypatch)
    with house.services.database.write() as session:
        session.execute(update(Batch).values(status="cancelled"))
    many = listed(house, 10_000, monkeypatch)
    assert many < few + 4_000_000


def test_the_kept_transcript_is_whole(house: House) -> None:
    put("in/a.wav", SOUNDS[0][0])
    run(house, ask(house))
    (key,) = [one["Key"] for one in s3().list_objects_v2(Bucket="texts", Prefix="out/_report/transcripts/")["Contents"]]
    assert transcript_from_json(s3().get_object(Bucket="texts", Key=key)["Body"].read()).text == " ".join(SOUNDS[0][1])
