"""Jobs over HTTP: make, look, list, steer."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.conftest import JOBS, House, recording
from tests.pipeline.audio.sounds import wav

KEYS = {
    "id", "object", "task", "status", "created_at", "queued_at", "processing_at", "cancelling_at", "completed_at", "failed_at",
    "cancelled_at", "expired_at", "client_reference_id", "metadata", "input", "request", "model", "model_used", "language",
    "progress", "queue", "partial", "incomplete", "gaps", "warnings", "quality", "usage", "sound", "cost", "receipt_url", "error",
    "webhook", "attempt", "expires_at", "waiting", "timing", "ignored",
}  # fmt: skip


@pytest.mark.processes
def test_a_job_from_upload_to_transcript(house: House) -> None:
    sound, said = recording(3.0)
    answer = house.post(
        JOBS,
        data={"model": "oracle", "metadata[a]": "b", "client_reference_id": "ref-1", "response_format": "srt"},
        files={"file": ("../../Gespräch.wav", sound)},
    )
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"{JOBS}/{job['id']}"
    assert int(answer.headers["retry-after"]) >= 1
    assert set(job) == KEYS
    assert job["id"].startswith("job_") and len(job["id"]) == 30
    assert (job["object"], job["task"], job["status"], job["model"]) == (
        "audio.job",
        "transcription",
        "queued",
        "oracle",
    )
    assert (job["client_reference_id"], job["metadata"]) == ("ref-1", {"a": "b"})
    assert job["input"]["filename"] == "Gespräch.wav"
    assert job["input"]["bytes"] == len(sound)
    assert len(job["input"]["sha256"]) == 64
    assert job["cost"] == {"currency": "usd", "estimated": 0, "held": 0, "captured": 0}

    early = house.get(f"{JOBS}/{job['id']}/transcript")
    assert early.status_code == 409
    assert early.json()["error"]["current_status"] == "queued"
    assert early.json()["error"]["allowed_statuses"] == ["completed"]

    house.work()
    done = house.get(f"{JOBS}/{job['id']}")
    body = done.json()
    assert set(body) == KEYS
    assert "retry-after" not in done.headers
    assert body["status"] == "completed", body["error"]
    assert body["progress"]["percent"] == 100.0
    assert body["progress"]["stage"] == "done"
    assert body["progress"]["eta_seconds"] == 0
    assert body["usage"] == {"type": "duration", "seconds": pytest.approx(3.0, abs=0.5)}
    assert body["model_used"]
    srt = house.get(f"{JOBS}/{job['id']}/transcript")
    assert srt.headers["content-type"] == "text/plain; charset=utf-8"
    assert srt.text.startswith("1\n00:00:0")
    assert house.get(f"{JOBS}/{job['id']}/transcript?format=json").json()["text"].split() == said


def test_the_order_of_file_and_fields_does_not_matter(house: House) -> None:
    sound, _ = recording()
    boundary = "bb"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'.encode()
        + sound
        + b"\r\n",
        f'--{boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\noracle\r\n'.encode(),
    ]
    for ordered in (parts, parts[::-1]):
        content = b"".join(ordered) + f"--{boundary}--\r\n".encode()
        headers = house.auth() | {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        assert house.post(JOBS, content=content, headers=headers).status_code == 202


def test_waiting_ends_with_the_job(house: House, watched: Callable[[str], None]) -> None:
    path = f"{JOBS}/{house.submit()['id']}"
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(house.get, f"{path}?wait=55")
        watched(path.rpartition("/")[2])
        assert not waiting.done()
        house.post(f"{path}/cancel")
        assert waiting.result().json()["status"] == "cancelled"


def test_waiting_for_any_change(house: House, watched: Callable[[str], None]) -> None:
    job = house.submit()
    first = house.get(f"{JOBS}/{job['id']}")
    etag = first.headers["etag"]
    headers = house.auth() | {"If-None-Match": etag}
    same = house.get(f"{JOBS}/{job['id']}?wait=0.3", headers=headers)
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(house.get, f"{JOBS}/{job['id']}?wait=55", headers=headers)
        watched(job["id"])
        house.claim(job["id"])
        changed = waiting.result()
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag
    assert int(first.headers["retry-after"]) >= 1


@pytest.mark.parametrize("wait", ["56", "-1", "nan", "x"])
def test_waits_out_of_bounds(house: House, wait: str) -> None:
    job = house.submit()
    answer = house.get(f"{JOBS}/{job['id']}?wait={wait}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "wait")


BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "model"),
    ({"temperature": "2"}, "temperature"),
    ({"temperature": "nan"}, "temperature"),
    ({"response_format": "docx"}, "response_format"),
    ({"timestamp_granularities[]": "syllable"}, "timestamp_granularities.0"),
    ({"language": "not a language"}, "language"),
    ({"task": "speech"}, "text"),
    ({"task": "dance"}, "task"),
    ({"channels": "both"}, "channels"),
    ({"range": "2-1"}, "range"),
    ({"priority": "1000"}, "priority"),
    ({"timeout_seconds": "0"}, "timeout_seconds"),
    ({"timeout_seconds": "99999999"}, "timeout_seconds"),
    ({"retention_seconds": "999999999"}, "retention_seconds"),
    ({"on_chunk_failure": "shrug"}, "on_chunk_failure"),
    ({"on_provider_outage": "hope"}, "on_provider_outage"),
    ({"client_reference_id": "x" * 256}, "client_reference_id"),
    ({"metadata": "{not json"}, "metadata"),
    ({"metadata[k]": "x" * 513}, "metadata.k"),
    ({f"metadata[{n}]": "x" for n in range(17)}, "metadata"),
    ({"webhook[url]": "http://169.254.169.254/latest"}, "webhook.url"),
    ({"webhook[url]": "ftp://example.org"}, "webhook.url"),
    ({"webhook[url]": "http://127.0.0.1/", "webhook[secret]": "plain"}, "webhook.secret"),
    ({"webhook[url]": "http://127.0.0.1/", "webhook[secret]": "whsec_" + "-_" * 20}, "webhook.secret"),
    ({"webhook[url]": "http://127.0.0.1/", "webhook[events][]": "all"}, "webhook.events"),
    ({"url": "http://127.0.0.1/a.wav"}, "url"),
    ({"upload_id": "upload_1"}, "upload_id"),
    ({"s3_uri": "s3://bucket/../k"}, "s3_uri"),
    ({"file_id": "file_1"}, "file_id"),
    ({"task": "speech", "text": "hello", "speed": "9"}, "speed"),
    ({"task": "speech", "text": "hello", "model": "whisper-1"}, "model"),
    ({"task": "speech", "text": "hello", "model": "espeak-ng"}, "file"),
    ({"s3_uri": "s3://bucket/key"}, "s3_uri"),
]


@pytest.mark.parametrize(("fields", "param"), BAD_FIELDS, ids=lambda value: str(value)[:40])
def test_a_wrong_field_is_named_and_nothing_is_kept(house: House, fields: dict[str, Any], param: str) -> None:
    answer = house.post(JOBS, data={"model": "oracle", **fields}, files={"file": ("a.wav", recording()[0])})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request", param)
    assert house.files() == []
    assert house.get(JOBS).json()["data"] == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"webhook": "http://127.0.0.1/"}, "webhook: an object with named fields is needed"),
        ({"metadata": "mine"}, "metadata: an object with named values is needed"),
        ({f"metadata[{n}]": "x" for n in range(17)}, "metadata: at most 16 entries"),
        ({f"metadata[{'k' * 65}]": "v"}, f"metadata.{'k' * 65}: String should have at most 64 characters"),
    ],
    ids=["webhook", "metadata", "pairs", "key"],
)
def test_what_is_wrong_is_said_in_the_callers_words(house: House, fields: dict[str, Any], message: str) -> None:
    answer = house.post(JOBS, data={"model": "oracle", **fields}, files={"file": ("a.wav", recording()[0])})
    assert answer.json()["error"]["message"] == message


def test_an_unknown_model_is_404_and_one_that_does_something_else_400(house: House) -> None:
    sound = {"file": ("a.wav", recording()[0])}
    unknown = house.post(JOBS, data={"model": "nonsense"}, files=sound)
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    assert house.post(JOBS, data={"model": "tts-1"}, files=sound).status_code == 400
    assert house.files() == []


def test_fields_nobody_knows_are_taken(house: House) -> None:
    assert house.submit(**{"shoe_size": "44", "extra[a][b]": "c"})["status"] == "queued"


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"{}", "application/json"),
        (b"[]", "application/json"),
        (b"not json", "application/json"),
        (b"", "application/json"),
        (b'{"model":"oracle"}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"x", "text/plain"),
        (b"x", "multipart/form-data"),
        (b"model=oracle", "application/x-www-form-urlencoded"),
        (b'{"model":"oracle","url":"http://10.0.0.1/a.wav"}', "application/json"),
        (b'{"model":"oracle","url":"file:///etc/passwd"}', "application/json"),
        (b'{"model":"oracle","url":"http://127.0.0.1/a","headers":{"Host":"x"}}', "application/json"),
        (b'{"model":"oracle","url":"http://127.0.0.1/a","headers":{"A":"x\\r\\nB: c"}}', "application/json"),
        (b'{"model":"oracle","url":5}', "application/json"),
    ],
)
def test_bodies_that_make_no_job(house: House, content: bytes, content_type: str) -> None:
    answer = house.post(JOBS, content=content, headers=house.auth() | {"Content-Type": content_type})
    assert answer.status_code == 400, answer.text
    assert set(answer.json()["error"]) - {"missing"} == {"message", "type", "param", "code"}


def test_a_url_with_secrets_shows_none(house: House) -> None:
    url = "http://127.0.0.1:9/talks/a.wav?signature=s3cr3t"
    answer = house.post(JOBS, json={"model": "oracle", "url": url, "headers": {"X-Token": "t0k3n"}})
    assert answer.status_code == 202, answer.text
    assert answer.json()["input"]["url"] == "http://127.0.0.1:9/talks/a.wav"
    everything = answer.text + house.get(f"{JOBS}/{answer.json()['id']}").text + house.get(JOBS).text
    assert "s3cr3t" not in everything
    assert "t0k3n" not in everything


def test_repeating_with_a_key_gives_the_first_answer(house: House) -> None:
    sound = recording()[0]

    def send(key: str, **fields: str) -> Any:
        headers = house.auth() | {"Idempotency-Key": key}
        return house.post(JOBS, data={"model": "oracle", **fields}, files={"file": ("a.wav", sound)}, headers=headers)

    first, again = send("k-1"), send("k-1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert len(house.stored()) == 1, "the repetition's upload is gone"
    other = send("k-1", prompt="else")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert len(house.stored()) == 1
    assert send("k-2").json()["id"] != first.json()["id"]
    assert send("x" * 256).status_code == 400


def test_the_same_key_at_the_same_time_makes_one_job(house: House) -> None:
    sound = recording()[0]
    found: list[str] = []

    def send() -> None:
        headers = house.auth() | {"Idempotency-Key": "same"}
        answer = house.post(JOBS, data={"model": "oracle"}, files={"file": ("a.wav", sound)}, headers=headers)
        found.append(answer.json()["id"])

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(house.stored()) == 1


def test_lists_page_and_filter(house: House) -> None:
    ids = [house.submit(client_reference_id=f"r{n}")["id"] for n in range(5)]
    page = house.get(f"{JOBS}?limit=2").json()
    assert [one["id"] for one in page["data"]] == ids[:2:-1]
    assert (page["object"], page["has_more"]) == ("list", True)
    assert (page["first_id"], page["last_id"]) == (ids[4], ids[3])
    seen = [one["id"] for one in page["data"]]
    while page["has_more"]:
        page = house.get(f"{JOBS}?limit=2&after={page['last_id']}").json()
        seen += [one["id"] for one in page["data"]]
    assert seen == ids[::-1]
    assert [one["id"] for one in house.get(f"{JOBS}?limit=2&before={ids[1]}").json()["data"]] == [ids[3], ids[2]]
    assert [one["id"] for one in house.get(f"{JOBS}?order=asc&limit=1").json()["data"]] == ids[:1]
    assert [one["id"] for one in house.get(f"{JOBS}?client_reference_id=r3").json()["data"]] == [ids[3]]
    named = house.get(f"{JOBS}?client_reference_ids=r4,r0,nobody").json()["data"]
    assert [one["id"] for one in named] == [ids[4], ids[0]]
    many = ",".join(f"r{n}" for n in range(101))
    assert house.get(f"{JOBS}?client_reference_ids={many}").json()["error"]["param"] == "client_reference_ids"
    assert house.get(f"{JOBS}?status=completed").json()["data"] == []
    assert len(house.get(f"{JOBS}?status=queued&task=transcription&model=oracle").json()["data"]) == 5
    several = house.get(f"{JOBS}?ids={ids[4]},{ids[0]},job_x,{ids[0]}&order=asc").json()
    assert [one["id"] for one in several["data"]] == [ids[0], ids[4]]
    assert not several["has_more"]
    assert len(house.get(f"{JOBS}?ids={','.join(ids)}&limit=2").json()["data"]) == 5, "all on one page"
    assert house.get(f"{JOBS}?ids=").json()["data"] == []
    assert house.get(f"{JOBS}?ids={','.join(f'job_{n}' for n in range(101))}").json()["error"]["param"] == "ids"
    for query in ("limit=0", "limit=101", "status=sleeping", "order=up", "after=job_x", "created_after=soon"):
        assert house.get(f"{JOBS}?{query}").status_code == 400, query


@pytest.mark.processes
def test_cancel_before_work_begins(house: House) -> None:
    job = house.submit()
    answer = house.post(f"{JOBS}/{job['id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert house.post(f"{JOBS}/{job['id']}/cancel").status_code == 200, "cancelling twice is no error"
    house.work()
    assert house.get(f"{JOBS}/{job['id']}").json()["status"] == "cancelled"
    refused = house.post(f"{JOBS}/{job['id']}/retry")
    assert refused.status_code == 409
    error = refused.json()["error"]
    assert (error["code"], error["current_status"]) == ("wrong_state", "cancelled")
    assert set(error["allowed_statuses"]) == {"completed", "failed"}
    assert refused.headers["x-should-retry"] == "false"


@pytest.mark.processes
def test_what_has_ended_cannot_be_cancelled(house: House) -> None:
    job = house.submit()
    house.work()
    answer = house.post(f"{JOBS}/{job['id']}/cancel", headers=house.auth() | {"Content-Type": "application/json"})
    assert answer.status_code == 409
    assert "completed" not in answer.json()["error"]["allowed_statuses"]


@pytest.mark.processes
def test_delete_leaves_nothing(house: House) -> None:
    job = house.submit()
    live = house.delete(f"{JOBS}/{job['id']}")
    assert live.status_code == 409
    assert set(live.json()["error"]["allowed_statuses"]) == {"completed", "failed", "cancelled", "expired"}
    house.work()
    assert house.stored()
    answer = house.delete(f"{JOBS}/{job['id']}")
    assert (answer.status_code, answer.json()) == (200, {"id": job["id"], "object": "audio.job", "deleted": True})
    assert house.files() == []
    assert house.get(f"{JOBS}/{job['id']}").status_code == 404
    assert house.delete(f"{JOBS}/{job['id']}").status_code == 404


@pytest.mark.processes
def test_force_deletes_a_live_job(house: House) -> None:
    job = house.submit()
    assert house.delete(f"{JOBS}/{job['id']}?force=true").status_code == 200
    assert house.files() == []
    house.work()
    assert house.files() == []


@pytest.mark.processes
def test_a_failed_job_says_why_and_can_be_tried_again(house: House) -> None:
    job = house.submit(sound=wav(bytes(32_000), sample_rate=1))
    house.work()
    body = house.get(f"{JOBS}/{job['id']}").json()
    assert body["status"] == "failed"
    assert set(body["error"]) == {"code", "message", "stage", "retryable", "retry_at", "chunk", "provider"}
    assert (body["error"]["code"], body["error"]["retryable"]) == ("unsupported_media", False)
    retried = house.post(f"{JOBS}/{job['id']}/retry")
    assert (retried.status_code, retried.json()["status"]) == (202, "queued")
    house.work()
    assert house.get(f"{JOBS}/{job['id']}").json()["error"] == body["error"]


def test_the_steps_after_the_last_chunk_are_a_stage_with_an_eta(house: House) -> None:
    job_id = house.submit(recording(80.0, seed=3)[0])["id"]
    lease, jobs = house.claim(job_id), house.services.jobs
    for idx in range(100):
        heard = {"own_start": idx * 16_000, "own_end": (idx + 1) * 16_000, "audio_start": 0, "audio_end": 16_000}
        jobs.add_chunk(lease, idx, heard, None)
    assert jobs.cut_done(lease, 100 * 16_000, 100)
    body = house.get(f"{JOBS}/{job_id}").json()
    progress = body["progress"]
    assert (progress["stage"], progress["percent"], progress["audio_seconds_done"]) == ("stitching", 99.0, 100.0)
    assert progress["eta_seconds"] == 2, "a hundred results are to be read"
    assert body["queue"]["lane"] == "cpu"


def test_who_waits_is_told_where_it_stands(house: House) -> None:
    first = house.submit(recording(20.0, seed=4)[0], priority=5)
    assert first["queue"] == {"lane": "cpu", "ahead_audio_seconds": None, "eta": None}, "not counted yet"
    second = house.submit(recording(20.0, seed=5)[0], priority=5)
    before, after = (house.get(f"{JOBS}/{job['id']}").json()["queue"] for job in (first, second))
    assert after["ahead_audio_seconds"] > before["ahead_audio_seconds"] >= 0
    listed = {job["id"]: job["queue"] for job in house.get(JOBS).json()["data"]}
    assert listed[second["id"]]["ahead_audio_seconds"] == after["ahead_audio_seconds"]
    house.claim(first["id"])
    assert house.get(f"{JOBS}/{first['id']}").json()["queue"] is None


@pytest.mark.parametrize(("given", "number"), [("low", -10), ("normal", 0), ("7", 7), (None, 0)])
def test_priorities_have_names_and_numbers(house: House, given: str | None, number: int) -> None:
    job = house.submit(**({} if given is None else {"priority": given}))
    row = house.services.jobs.find(job["id"])
    assert row is not None and row.priority == number
    assert job["request"].get("priority") == (None if given is None else number)


def test_a_free_account_has_no_urgent_jobs(house: House) -> None:
    house.services.accounts.update(house.account_id, tier="free")
    answer = house.post(JOBS, data={"model": "oracle", "priority": 1}, files={"file": ("a.wav", recording()[0])})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "priority"
    assert "-10 to 0" in answer.json()["error"]["message"]
    assert house.submit(priority="low")["request"]["priority"] == -10


def test_percent_and_eta_are_there_before_the_length_is_counted(house: House) -> None:
    sound, _ = recording(80.0, seed=3)
    jobs = house.services.jobs
    job_id = house.submit(sound)["id"]
    path = f"{JOBS}/{job_id}"
    lease = house.claim(job_id)
    heard = {"own_start": 0, "own_end": 20 * 16_000, "audio_start": 0, "audio_end": 20 * 16_000}
    jobs.add_chunk(lease, 0, heard, None)
    progress = house.get(path).json()["progress"]
    assert (progress["audio_seconds_done"], progress["audio_seconds_total"]) == (20.0, None), (
        "the total is counted, not guessed"
    )
    assert progress["percent"] == 25.0
    assert progress["eta_seconds"] >= 1
    guessed = house.submit(b"\x00\x00\x01\xbano header says how long this is " * 1000)["id"]
    lease = house.claim(guessed)
    jobs.add_chunk(lease, 0, heard, None)
    progress = house.get(f"{JOBS}/{guessed}").json()["progress"]
    assert (progress["percent"], progress["eta_seconds"]) == (0.0, None)


@pytest.mark.processes
def test_holes_are_told_of_and_a_retry_fills_them(house: House) -> None:
    sound, said = recording(80.0, seed=7)  # which nobody has heard before: the oracle fails at a sound's first call
    odd = next(word for word in said[len(said) // 2 :] if said.count(word) == 1)
    job = house.submit(sound, prompt=f"oracle: fail=1 error=refused at={odd}", on_chunk_failure="partial")["id"]
    house.work()
    body = house.get(f"{JOBS}/{job}").json()
    assert (body["status"], body["partial"]) == ("completed", True)
    (gap,) = body["gaps"]
    assert 0 <= gap["start"] < gap["end"] <= body["input"]["duration"]
    assert gap["code"] == "provider_refused"
    assert body["progress"]["chunks"]["failed"] == 1
    path = f"{JOBS}/{job}/transcript"
    part = house.get(path).json()
    assert odd not in part["text"].split()
    missed = gap["end"] - gap["start"]
    assert part["usage"]["seconds"] == pytest.approx(body["usage"]["seconds"], abs=0.002)
    assert body["usage"]["seconds"] == pytest.approx(body["input"]["duration"] - missed, abs=0.002)
    assert house.post(f"{JOBS}/{job}/retry").status_code == 202
    assert house.get(path).status_code == 409
    house.work()
    body = house.get(f"{JOBS}/{job}").json()
    assert (body["status"], body["partial"], body["gaps"]) == ("completed", False, [])
    assert house.get(path).json()["text"].split() == said
    assert house.post(f"{JOBS}/{job}/retry").status_code == 409, "there is nothing left to retry"


@pytest.mark.processes
def test_cancel_in_the_middle(house: House) -> None:
    job = house.submit(recording(80.0)[0])["id"]
    house.work(chunks=1)
    assert house.post(f"{JOBS}/{job}/cancel").json()["status"] in ("cancelling", "cancelled")
    house.work()
    body = house.get(f"{JOBS}/{job}").json()
    assert body["status"] == "cancelled"
    assert body["progress"]["chunks"]["completed"] == 1
    assert body["cancelled_at"] is not None


def test_prefer_respond_async_makes_a_job(house: House) -> None:
    answer = house.post(
        "/v1/audio/translations",
        data={"model": "oracle"},
        files={"file": ("a.wav", recording()[0])},
        headers=house.auth() | {"Prefer": "respond-async, wait=5"},
    )
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    assert answer.json()["task"] == "translation"


def test_answers_are_json_even_for_odd_requests(house: House) -> None:
    for method, path, status in (
        ("GET", "/v1/nowhere", 404),
        ("PUT", JOBS, 405),
        ("PATCH", f"{JOBS}/x", 405),
        ("GET", f"{JOBS}/", 404),
        ("GET", f"{JOBS}/x/y/z", 404),
    ):
        answer = house.client.request(method, path, headers=house.auth())
        assert answer.status_code == status, path
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert json.loads(answer.content)["error"]["type"] == "invalid_request"


def test_what_is_not_allowed_is_answered_with_what_is(house: House) -> None:
    for method, path, allowed in (("PUT", JOBS, "GET, POST"), ("PATCH", f"{JOBS}/x", "GET, DELETE")):
        answer = house.client.request(method, path, headers=house.auth())
        assert answer.headers["allow"] == allowed
        assert allowed in answer.json()["error"]["message"]
