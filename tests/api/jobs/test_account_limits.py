"""What an account may have only so much of, over HTTP: the attack in small, refused, and nothing of it left."""

import base64
import json
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from infra.database.tables.jobs import Job
from infra.jobs.request_blobs import LARGE, whole_request
from infra.settings import Settings
from infra.wiring import Services, build
from pipeline.audio.encode import encode
from pipeline.errors import StorageUnavailable
from tests.api.conftest import JOBS, House, house_over, recording
from tests.support.s3_server import S3Server
from tests.support.waiting import wait_until
from workers.steps.turn import take_turn
from workers.sweep import CLEANING, EVERY_MINUTE, Sweeper

pytestmark = pytest.mark.processes

ON_BOTH_STORES = pytest.mark.parametrize("house", ["services", "services_on_s3"], indirect=True)
ENDPOINT = {"name": "mine", "url": "http://127.0.0.1:9/hook", "event_types": ["audio.job.completed"]}


@pytest.fixture(scope="module")
def services_on_s3(tmp_path_factory: pytest.TempPathFactory, moto_s3: S3Server) -> Iterator[Services]:
    with pytest.MonkeyPatch.context() as patch:
        moto_s3.use(patch)
        settings = Settings(
            home=tmp_path_factory.mktemp("home"), storage_url=f"s3://quota-{uuid.uuid4().hex}/some/prefix"
        )
        with build(settings, engine_processes=1) as services:
            wait_until(partial(bucket_is_there, services))
            yield services


def bucket_is_there(services: Services) -> bool:
    """Made by the look itself; a busy machine may need several."""
    try:
        services.storage.check()
    except StorageUnavailable:
        return False
    return True


@pytest.fixture
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    """Over a folder, unless a test asks for others."""
    services: Services = request.getfixturevalue(getattr(request, "param", "services"))
    with house_over(services) as built:
        yield built


def limit(house: House, **own: int) -> None:
    house.services.accounts.update(house.account_id, limits=own)


def used(house: House, name: str) -> float:
    return house.get("/v1/usage").json()["limits"][name]["used"]


def post(house: House, sound: bytes, **fields: Any) -> Any:
    return house.post(JOBS, data={"model": "oracle", **fields}, files={"file": ("talk.wav", sound)})


def refused(answer: Any, param: str) -> dict[str, Any]:
    assert answer.status_code == 429, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert (error["code"], error["param"]) == ("limit_exceeded", param)
    return error


def swept(house: House) -> list[str]:
    """What is stored after a minute."""
    Sweeper(house.services).perform((*CLEANING, *EVERY_MINUTE))
    return house.stored()


@ON_BOTH_STORES
def test_uploaded_and_cancelled_again_and_again_nothing_piles_up(house: House) -> None:
    sound, _ = recording()
    limit(house, stored_bytes=2 * len(sound))
    for _ in range(5):
        job = house.submit(sound)
        assert used(house, "stored_bytes") == len(sound)
        house.post(f"{JOBS}/{job['id']}/cancel")
        assert (used(house, "stored_bytes"), used(house, "stored_results")) == (0, 0)
    assert swept(house) == []


@ON_BOTH_STORES
def test_deleted_jobs_leave_room_at_once(house: House) -> None:
    sound, _ = recording()
    limit(house, stored_bytes=len(sound) + 2000)
    for _ in range(3):
        job = house.submit(sound)
        house.work()
        assert used(house, "stored_bytes") > len(sound), "its text counts, too"
        assert refused(post(house, sound), "stored_bytes")["limit"] == len(sound) + 2000
        house.delete(f"{JOBS}/{job['id']}")
        assert used(house, "stored_bytes") == 0
    assert swept(house) == []


def test_an_upload_that_says_that_it_is_too_much_is_refused_before_a_byte_is_stored(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(house, stored_bytes=1000)
    opened: list[str] = []
    monkeypatch.setattr(house.services.storage, "writer", opened.append)
    error = refused(post(house, bytes(20_000_000)), "stored_bytes")
    assert "the account may have 1000 in all" in error["message"]
    assert opened == []
    left = house.services.media.orphans(-1, limit=10_000)  # of other tests, too
    assert not [media for media in left if media.account_id == house.account_id]


@ON_BOTH_STORES
def test_an_upload_that_does_not_say_so_is_refused_while_it_streams(house: House) -> None:
    sound, _ = recording(60)
    limit(house, stored_bytes=1_200_000)
    head = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="' + name + b'"' + more + b"\r\n\r\n" + value
        for name, more, value in ((b"model", b"", b"oracle\r\n"), (b"file", b'; filename="a.wav"', b""))
    )

    def body() -> Iterator[bytes]:
        yield head
        for at in range(0, len(sound), 65_536):
            yield sound[at : at + 65_536]
        yield b"\r\n--x--\r\n"

    answer = house.post(
        JOBS, content=body(), headers=house.auth() | {"content-type": "multipart/form-data; boundary=x"}
    )
    refused(answer, "stored_bytes")
    assert used(house, "stored_bytes") == 0
    assert house.files() == [] == house.stored()


@ON_BOTH_STORES
def test_speech_that_does_not_fit_fails_and_is_made_when_there_is_room(house: House) -> None:
    text = "This is a sentence of a story. " * 60
    answer = house.post(JOBS, json={"task": "speech", "model": "espeak-ng", "text": text, "response_format": "wav"})
    job_id = answer.json()["id"]
    limit(house, stored_bytes=5_000_000)
    house.work()
    job = house.get(f"{JOBS}/{job_id}").json()
    assert job["status"] == "failed"
    assert (job["error"]["code"], job["error"]["retryable"]) == ("limit_exceeded", True)
    assert not [key for key in house.stored() if key.endswith(".wav")]
    assert used(house, "stored_bytes") <= 5_000_000
    limit(house)
    house.post(f"{JOBS}/{job_id}/retry")
    house.work()
    done = house.get(f"{JOBS}/{job_id}").json()
    assert done["status"] == "completed"
    left = {key.rsplit("/", 1)[-1].split("-")[0] for key in swept(house) if job_id in key}
    assert left == {"speech", "transcript", "peaks"}
    kept = sum(found.size for found in house.services.storage.list(f"t/{house.account_id}"))
    assert used(house, "stored_bytes") == kept


@ON_BOTH_STORES
def test_the_counter_is_what_storage_holds(house: House) -> None:
    house.submit()
    house.work()
    kept = sum(found.size for found in house.services.storage.list(f"t/{house.account_id}"))
    assert used(house, "stored_bytes") == kept


def test_a_recording_beyond_the_days_minutes_is_refused_at_the_door(house: House) -> None:
    limit(house, transcription_minutes_per_day=1)
    pcm = recording(40)[0][44:]
    sound = b"".join(encode([pcm], sample_rate=16_000, target="mp3"))
    assert post(house, sound).status_code == 202
    error = refused(post(house, sound), "transcription_minutes_per_day")
    assert "takes 0.6" in error["message"]
    assert "00:00 UTC" in error["message"]
    answer = post(house, recording(90)[0])
    assert "takes 1.50 minutes" in refused(answer, "transcription_minutes_per_day")["message"]
    assert answer.headers["x-should-retry"] == "false"
    assert len(house.get(JOBS).json()["data"]) == 1
    assert used(house, "transcription_minutes_per_day") == pytest.approx(0.67, abs=0.01)


def test_live_jobs_and_endpoints_are_refused_in_the_same_way(house: House) -> None:
    limit(house, concurrent_jobs=1, webhook_endpoints=1)
    house.submit()
    error = refused(post(house, recording()[0]), "concurrent_jobs")
    assert (error["used"], error["limit"]) == (1, 1)
    assert house.post("/v1/webhook_endpoints", json=ENDPOINT).status_code == 200
    assert refused(house.post("/v1/webhook_endpoints", json=ENDPOINT), "webhook_endpoints")["used"] == 1
    told = house.get("/v1/usage").json()["limits"]
    assert told["concurrent_jobs"] == {"used": 1, "limit": 1}
    assert told["connections"] == {"used": 0, "limit": None}, "no connection of a server in this test"
    assert set(told) >= {"stored_bytes", "stored_results", "webhook_endpoints", "transcription_minutes_per_day"}


def samples() -> list[str]:
    sound, _ = recording(3.0)
    return [f"data:audio/wav;base64,{base64.b64encode(sound).decode()}"] * 2


def named(house: House, **more: Any) -> dict[str, Any]:
    asked = {"model": "oracle", "known_speaker_names": json.dumps(["Ann", "Bob"]), **more}
    files = [
        ("file", ("talk.wav", recording()[0])),
        *(("known_speaker_references[]", (None, one)) for one in samples()),
    ]
    answer = house.post(JOBS, data=asked, files=files, headers=house.auth() | {"idempotency-key": "one"})
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


def row(services: Services, house: House, job_id: str) -> Job:
    return services.jobs.get(house.account_id, job_id)


def test_voice_samples_stand_in_storage_and_not_in_the_row(house: House) -> None:
    shown = named(house)
    assert shown["request"]["known_speaker_references"] == ["data:audio/wav;base64,…"] * 2
    assert named(house)["id"] == shown["id"]
    assert sum(key.endswith("request.json") for key in house.stored()) == 1, "a repetition leaves none"
    job = row(house.services, house, shown["id"])
    assert "known_speaker_references" not in job.request, "a worker of before hears it without them"
    assert len(json.dumps([job.request, job.blobs])) < LARGE
    assert house.get(JOBS).json()["data"][0]["request"] == shown["request"]
    assert job.blobs is not None
    assert used(house, "stored_bytes") == job.blobs["bytes"] + len(recording()[0])
    assert whole_request(house.services.storage, job) == {**job.request, "known_speaker_references": samples()}
    house.work()
    assert row(house.services, house, shown["id"]).status == "completed"
    house.delete(f"{JOBS}/{shown['id']}")
    assert house.stored() == []


def test_sound_that_waits_to_be_heard_counts_and_has_to_fit(house: House) -> None:
    sound = recording(100)[0]
    job_id = house.submit(sound)["id"]
    assert take_turn(house.bench()), "prepared: its chunks wait"
    waiting = [found.size for found in house.services.storage.list(f"t/{house.account_id}/jobs/{job_id}/sound")]
    assert len(waiting) > 2
    assert used(house, "stored_bytes") == len(sound) + sum(waiting)
    house.work()
    assert house.get(f"{JOBS}/{job_id}").json()["status"] == "completed"
    house.delete(f"{JOBS}/{job_id}")
    limit(house, stored_bytes=len(sound) + 100_000)
    job_id = house.submit(sound)["id"]
    house.work()
    job = house.get(f"{JOBS}/{job_id}").json()
    assert (job["status"], job["error"]["code"], job["error"]["retryable"]) == ("failed", "limit_exceeded", True)
    assert "bytes stored" in job["error"]["message"]
    assert used(house, "stored_bytes") == len(sound)
    limit(house)
    house.post(f"{JOBS}/{job_id}/retry")
    house.work()
    assert house.get(f"{JOBS}/{job_id}").json()["status"] == "completed"


def test_no_value_of_a_request_makes_a_row_large(house: House) -> None:
    """Whatever a tenant may send at its longest: what each look at the row and each list would read."""
    prompt, keywords = "🎈é" * 50_000, [f"{n:0200}" for n in range(1000)]
    body = {
        "model": "oracle-priced",
        "url": "http://127.0.0.1:9/talk.wav?" + "q" * 4000,
        "headers": {f"x-{n}": "v" * 500 for n in range(16)},
        "prompt": prompt,
        "keywords": keywords,
        "languages": ["en"] * 100,
        "include": ["logprobs"] * 1000,
        "known_speaker_names": ["é" * 100, "b" * 100, "c" * 100, "d" * 100],
        "client_reference_id": "é" * 255,
        "metadata": {f"{n:064}": "é" * 512 for n in range(16)},
        "webhook": {"url": "http://127.0.0.1:9/" + "w" * 2000, "events": ["audio.job.completed"] * 50},
    }
    answer = house.post(JOBS, json=body)
    assert answer.status_code == 202, answer.text
    shown = answer.json()["request"]
    assert shown["prompt"] == prompt[:256] + "…" and shown["keywords"] == [keywords[0], "…"]
    job = row(house.services, house, answer.json()["id"])
    assert whole_request(house.services.storage, job) == {**job.request, "prompt": prompt, "keywords": keywords}
    sizes = {name: len(json.dumps(value)) for name, value in job.model_dump().items() if name != "meta"}
    assert sum(sizes.values()) < 40_000, sizes
    assert len(json.dumps(job.meta)) < 60_000, "sixteen pairs, which are the caller's own"
    assert job.webhook_events == ["audio.job.completed"]
    too_much = house.post(JOBS, json={**body, "headers": {f"x-{n}": "v" * 600 for n in range(16)}})
    assert too_much.status_code == 400 and "8192 characters together" in too_much.json()["error"]["message"]
    too_many = house.post(JOBS, json={**body, "webhook": {**body["webhook"], "events": ["audio.job.completed"] * 51}})
    assert too_many.status_code == 400


def test_a_long_prompt_is_heard_and_held_for(house: House) -> None:
    job = house.submit(model="oracle", prompt="Ann and Bob. " * 1000)
    house.work()
    assert house.get(f"{JOBS}/{job['id']}").json()["status"] == "completed"


def test_samples_of_a_job_that_is_not_made_are_not_kept(house: House) -> None:
    limit(house, concurrent_jobs=0)
    with pytest.raises(AssertionError, match="concurrent_jobs"):
        named(house)
    assert house.stored() == []


def test_rows_of_before_which_hold_their_samples_still_work(house: House) -> None:
    job_id = house.submit()["id"]
    inline = {"model": "oracle", "known_speaker_names": ["Ann", "Bob"], "known_speaker_references": samples()}
    with house.services.database.write() as session:
        session.execute(update(Job).where(col(Job.id) == job_id).values(request=inline))
    shown = house.get(f"{JOBS}/{job_id}").json()["request"]["known_speaker_references"]
    assert shown == ["data:audio/wav;base64,…"] * 2
    house.work()
    assert house.get(f"{JOBS}/{job_id}").json()["status"] == "completed"
