"""/v1/files and /v1/uploads over HTTP; the official client over a real server."""

import hashlib
import io
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from infra.files.upload_store import PART_BYTES
from infra.storage import open_storage
from tests.api.conftest import JOBS, House, recording
from tests.api.serving import running
from tests.support.s3_server import S3Server
from workers.sweep import CLEANING, EVERY_MINUTE, Sweeper

FILES, UPLOADS = "/v1/files", "/v1/uploads"
SOUND, SAID = recording(2.0, seed=19)


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    with running(house.client.app) as server:
        made = openai.OpenAI(base_url=f"{server.url}/v1", api_key=house.key, max_retries=0)
        made._strict_response_validation = True
        with made:
            yield made


def keep(house: House, sound: bytes = SOUND, name: str = "talk.wav", **fields: Any) -> dict[str, Any]:
    answer = house.post(FILES, data={"purpose": "user_data", **fields}, files={"file": (name, sound)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def used(house: House) -> int:
    return house.get("/v1/usage").json()["limits"]["stored_bytes"]["used"]


def text_of(house: House, job: dict[str, Any]) -> str:
    house.work()
    return house.get(f"{JOBS}/{job['id']}/transcript?format=text").text.strip()


def test_the_official_client_keeps_files(client: openai.OpenAI) -> None:
    file = client.files.create(
        file=("a b é.wav", SOUND), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert (file.filename, file.bytes, file.status) == ("a b é.wav", len(SOUND), "processed")
    assert file.expires_at == file.created_at + 3600
    assert client.files.wait_for_processing(file.id, poll_interval=60).id == file.id
    others = [client.files.create(file=io.BytesIO(b'{"a": 1}\n'), purpose="batch").id for _ in range(2)]
    assert [one.id for one in client.files.list(limit=1)] == [*reversed(others), file.id], "three pages"
    assert [one.id for one in client.files.list(purpose="user_data")] == [file.id]
    content = client.files.content(file.id)
    assert content.read() == SOUND
    assert "filename*=utf-8''a%20b%20%C3%A9.wav" in content.response.headers["content-disposition"]
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


@pytest.mark.processes
def test_the_official_client_uploads_in_parts(client: openai.OpenAI, house: House) -> None:
    done = client.uploads.upload_file_chunked(
        file=SOUND,
        filename="talk.wav",
        bytes=len(SOUND),
        mime_type="audio/wav",
        purpose="user_data",
        part_size=30_000,
        md5=hashlib.md5(SOUND).hexdigest(),
    )
    assert done.status == "completed" and done.file is not None
    assert client.files.wait_for_processing(done.file.id).status == "processed"
    assert client.files.content(done.file.id).read() == SOUND
    for name, value in (("upload_id", done.id), ("file_id", done.file.id)):
        answer = house.post(JOBS, json={"model": "oracle", name: value})
        assert answer.status_code == 202, answer.text
        assert answer.json()["input"]["file_id"] == done.file.id
        assert text_of(house, answer.json()).split() == SAID
    with pytest.raises(openai.BadRequestError, match="md5"):
        client.uploads.upload_file_chunked(
            file=SOUND, filename="x", bytes=len(SOUND), mime_type="audio/wav", purpose="user_data", md5="0" * 32
        )


@pytest.mark.processes
def test_a_file_serves_many_jobs_and_outlives_them(house: House) -> None:
    file = keep(house)
    jobs = [house.post(JOBS, json={"model": "oracle", "file_id": file["id"]}).json() for _ in range(2)]
    refused = house.delete(f"{FILES}/{file['id']}")
    assert refused.status_code == 409 and "live job" in refused.json()["error"]["message"]
    assert {text_of(house, job) for job in jobs} == {" ".join(SAID)}
    for job in jobs:
        assert house.delete(f"{JOBS}/{job['id']}").status_code == 200
    Sweeper(house.services).perform((*CLEANING, *EVERY_MINUTE))
    assert house.get(f"{FILES}/{file['id']}/content").content == SOUND
    assert used(house) == len(SOUND)
    assert house.delete(f"{FILES}/{file['id']}").json() == {"id": file["id"], "object": "file", "deleted": True}
    Sweeper(house.services).perform(CLEANING)
    assert (used(house), house.stored()) == (0, [])


def test_a_kept_recording_costs_what_a_sent_one_does(house: House) -> None:
    file = keep(house)
    kept = house.post(JOBS, json={"model": "oracle-priced", "file_id": file["id"]}).json()
    sent = house.submit(SOUND, model="oracle-priced")
    assert kept["cost"]["held"] == sent["cost"]["held"] > 0


@pytest.mark.parametrize(
    ("fields", "param", "status"),
    [
        ({"file_id": "file-none"}, "file_id", 400),
        ({"upload_id": "upload_none"}, "upload_id", 400),
        ({"file_id": "file-none", "url": "http://127.0.0.1/a.wav"}, "url", 400),
        ({"task": "speech", "text": "hello", "model": "espeak-ng", "file_id": "file-none"}, "file_id", 400),
    ],
)
def test_what_cannot_be_heard_is_named(house: House, fields: dict[str, Any], param: str, status: int) -> None:
    answer = house.post(JOBS, json={"model": "oracle", **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text


def test_others_files_and_text_are_refused(house: House) -> None:
    file, text = keep(house), keep(house, b"no sound at all, only words. " * 40, "words.txt")
    other = house.client.post(
        JOBS, json={"model": "oracle", "file_id": file["id"]}, headers=house.auth(house.other_key)
    )
    assert (other.status_code, other.json()["error"]["param"]) == (400, "file_id")
    answer = house.post(JOBS, json={"model": "oracle", "file_id": text["id"]})
    assert answer.json()["error"]["code"] == "unsupported_media"
    pending = begin(house, 5)
    early = house.post(JOBS, json={"model": "oracle", "upload_id": pending["id"]})
    assert (early.status_code, early.json()["error"]["current_status"]) == (409, "pending")


@pytest.mark.parametrize("purpose", [None, "world peace"])
def test_a_file_without_a_purpose_is_not_kept(house: House, purpose: str | None) -> None:
    data = {} if purpose is None else {"purpose": purpose}
    answer = house.post(FILES, data=data, files={"file": ("a.wav", SOUND)})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "purpose")
    assert house.files() == []
    assert house.post(FILES, data={"purpose": "batch"}, files={"other": ("a", b"b")}).status_code == 400


def test_repeating_is_harmless(house: House) -> None:
    headers = house.auth() | {"Idempotency-Key": uuid.uuid4().hex}
    sent = {"data": {"purpose": "user_data"}, "files": {"file": ("talk.wav", SOUND)}, "headers": headers}
    first, second = house.post(FILES, **sent), house.post(FILES, **sent)
    assert first.json() == second.json() and second.headers["idempotent-replayed"] == "true"
    assert len(house.get(FILES).json()["data"]) == 1 and used(house) == len(SOUND)
    assert house.post(FILES, **{**sent, "data": {"purpose": "batch"}}).status_code == 409
    sent = {"json": {"bytes": 5, "filename": "a", "mime_type": "b", "purpose": "batch"}, "headers": headers}
    first, second = house.post(UPLOADS, **sent), house.post(UPLOADS, **sent)
    assert first.json() == second.json() and second.headers["idempotent-replayed"] == "true"


def begin(house: House, size: int = len(SOUND)) -> dict[str, Any]:
    fields = {"bytes": size, "filename": "../talk.wav", "mime_type": "audio/wav", "purpose": "user_data"}
    answer = house.post(UPLOADS, json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def send(house: House, upload: dict[str, Any], data: bytes) -> Any:
    return house.post(f"{UPLOADS}/{upload['id']}/parts", files={"data": ("upload", data)})


def test_an_upload_is_taken_up_where_it_broke_off(house: House) -> None:
    upload = begin(house)
    tail = send(house, upload, SOUND[40_000:]).json()
    shown = house.get(f"{UPLOADS}/{upload['id']}").json()
    assert (shown["status"], shown["filename"]) == ("pending", "talk.wav")
    assert [(part["id"], part["sha256"]) for part in shown["parts"]] == [
        (tail["id"], hashlib.sha256(SOUND[40_000:]).hexdigest())
    ]
    head = send(house, upload, SOUND[:40_000]).json()
    done = house.post(f"{UPLOADS}/{upload['id']}/complete", json={"part_ids": [head["id"], tail["id"]]}).json()
    assert house.get(f"{FILES}/{done['file']['id']}/content").content == SOUND
    assert house.get(f"{UPLOADS}/{upload['id']}").json()["file"] == done["file"]
    assert house.post(f"{UPLOADS}/{upload['id']}/cancel").status_code == 409


def test_a_part_has_64_mib_and_no_byte_more(house: House) -> None:
    upload = begin(house, PART_BYTES + 1)
    assert send(house, upload, bytes(PART_BYTES)).status_code == 200
    assert send(house, upload, bytes(PART_BYTES + 1)).json()["error"]["param"] == "data"
    assert send(house, upload, b"").json()["error"]["code"] == "empty_media"
    assert house.post(f"{UPLOADS}/{upload['id']}/parts", files={"file": ("a", b"b")}).status_code == 400
    assert house.post(f"{UPLOADS}/{upload['id']}/cancel").json()["status"] == "cancelled"
    assert send(house, upload, b"more").status_code == 409
    assert house.get(f"{UPLOADS}/upload_none").status_code == 404
    too_large = house.services.settings.max_upload_bytes + 1
    fields = {"bytes": too_large, "filename": "a", "mime_type": "b", "purpose": "batch"}
    assert house.post(UPLOADS, json=fields).json()["error"]["param"] == "bytes"


def test_direct_parts_are_refused_by_name_where_nobody_offers_them(house: House) -> None:
    upload = begin(house)
    ask = {"json": {"direct": True, "bytes": 5}}
    answer = house.post(f"{UPLOADS}/{upload['id']}/parts", **ask)
    assert answer.json()["error"]["code"] == "direct_upload_unavailable"
    assert "STENOPOOL_STORAGE_PUBLIC_URL" in answer.json()["error"]["message"]
    assert house.get(f"{UPLOADS}/{upload['id']}").json()["parts"] == []


def test_direct_parts_go_straight_into_s3(house: House, moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    moto_s3.use(monkeypatch)
    services, storage = house.services, open_storage(f"s3://direct-{uuid.uuid4().hex}/some")
    storage.check()
    joiner = type(services.joiner)(services.uploads, services.files, storage)
    offering = services.settings.model_copy(update={"storage_public_url": moto_s3.endpoint})
    for name, value in (("storage", storage), ("joiner", joiner), ("settings", offering)):
        monkeypatch.setattr(services, name, value)
    upload = begin(house)
    direct = house.post(f"{UPLOADS}/{upload['id']}/parts", json={"direct": True, "bytes": 40_000}).json()
    rest = send(house, upload, SOUND[40_000:]).json()
    complete = {"json": {"part_ids": [direct["id"], rest["id"]], "md5": hashlib.md5(SOUND).hexdigest()}}
    assert house.post(f"{UPLOADS}/{upload['id']}/complete", **complete).status_code == 400
    assert direct["url"].startswith(moto_s3.endpoint) and "content-length" in direct["url"].lower()
    with httpx2.Client() as outside:
        assert outside.put(direct["url"], content=SOUND[:40_000]).status_code == 200
    shown = house.get(f"{UPLOADS}/{upload['id']}").json()
    assert [part["status"] for part in shown["parts"]] == ["stored", "stored"]
    done = house.post(f"{UPLOADS}/{upload['id']}/complete", **complete).json()
    assert house.get(f"{FILES}/{done['file']['id']}/content").content == SOUND
    storage.close()
