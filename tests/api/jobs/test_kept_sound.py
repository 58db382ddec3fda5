"""The sound of a job, whole and in ranges: what a text has become, and the recording that was sent."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
import soundfile
from sqlalchemy import update
from sqlmodel import col

from api.jobs import kept_sound
from infra.database.tables.accounts import Account
from infra.database.tables.jobs import Job
from pipeline.errors import SandboxFailed
from tests.api.conftest import JOBS, House, recording
from workers.deletions import drop_media
from workers.steps import browser_copy

pytestmark = pytest.mark.processes
SOUND, _ = recording()


def part(house: House, job: dict[str, Any], asked: str, **headers: str) -> Any:
    return house.get(f"{JOBS}/{job['id']}/audio", headers=house.auth() | {"Range": asked, **headers})


@pytest.fixture(params=["recording", "speech"])
def job(request: pytest.FixtureRequest, house: House) -> dict[str, Any]:
    """A finished one of either kind."""
    asked = {"task": "speech", "model": "oracle", "text": "one two three", "response_format": "wav"}
    made = house.submit(SOUND) if request.param == "recording" else house.post(JOBS, json=asked).json()
    house.work()
    return made


def test_whole_and_in_ranges(house: House, job: dict[str, Any]) -> None:
    whole = house.get(f"{JOBS}/{job['id']}/audio")
    size = len(whole.content)
    assert (whole.status_code, whole.headers["accept-ranges"], whole.content[:4]) == (200, "bytes", b"RIFF")
    for asked, start, end in (("bytes=0-99", 0, 100), ("bytes=100-", 100, size), ("bytes=-7", size - 7, size)):
        some = part(house, job, asked)
        assert (some.status_code, some.content) == (206, whole.content[start:end])
        assert some.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert some.headers["content-length"] == str(end - start)
    beyond = part(house, job, f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert beyond.json()["error"]["code"] == "range_not_satisfiable"


def test_a_range_goes_on_only_in_the_same_sound(house: House, job: dict[str, Any]) -> None:
    tag = house.get(f"{JOBS}/{job['id']}/audio").headers["etag"]
    assert part(house, job, "bytes=1-2", **{"If-Range": tag}).status_code == 206
    assert part(house, job, "bytes=1-2", **{"If-Range": '"another"'}).status_code == 200


def test_what_made_it_is_told(house: House, job: dict[str, Any]) -> None:
    for asked in ("audio", "transcript"):
        head = house.get(f"{JOBS}/{job['id']}/{asked}").headers
        assert (head["x-perf-model-used"], head["x-perf-cost-usd"]) == ("oracle", "0")
        assert int(head["x-perf-latency-ms"]) >= 0


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("a.mp3", "audio/mpeg"), ("a.webm", "video/webm"), ("a.html", kept_sound.BYTES), ("a", kept_sound.BYTES)],
)
def test_a_recording_is_nothing_that_a_browser_runs(house: House, name: str, media_type: str) -> None:
    answer = house.post(JOBS, data={"model": "oracle"}, files={"file": (name, SOUND)})
    got = house.get(f"{JOBS}/{answer.json()['id']}/audio")
    assert got.content == SOUND, "also before it has been heard"
    assert got.headers["content-type"].startswith(media_type)
    assert got.headers["content-disposition"].startswith(f'attachment; filename="{name}"')
    assert got.headers["x-content-type-options"] == "nosniff"


def test_a_recording_that_is_not_there(house: House) -> None:
    fetched = house.post(JOBS, json={"model": "oracle", "url": "http://127.0.0.1:9/a.wav"}).json()
    early = house.get(f"{JOBS}/{fetched['id']}/audio")
    assert (early.status_code, early.json()["error"]["current_status"]) == (409, "queued")
    job = house.submit(SOUND)
    house.work()
    with house.services.database.read() as session:
        media_id = session.get(Job, job["id"]).media_id
    for media in house.services.media.useless(media_id):
        house.services.storage.delete(media.storage_key)
        house.services.media.forget(media.id)
    gone = house.get(f"{JOBS}/{job['id']}/audio")
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "expired")
    assert house.get(f"{JOBS}/{job['id']}/transcript").status_code == 200


def test_a_file_in_ranges(house: House) -> None:
    kept = house.post("/v1/files", data={"purpose": "user_data"}, files={"file": ("a.wav", SOUND)}).json()
    some = house.get(f"/v1/files/{kept['id']}/content", headers=house.auth() | {"Range": "bytes=4-7"})
    assert (some.status_code, some.content) == (206, SOUND[4:8])


@pytest.fixture
def apple() -> bytes:
    """The same as browsers but Safari do not play it."""
    samples, rate = soundfile.read(io.BytesIO(SOUND), dtype="int16")
    written = io.BytesIO()
    soundfile.write(written, samples, rate, format="AIFF", subtype="PCM_16")
    return written.getvalue()


def copies(house: House) -> dict[str, int]:
    return {found.key: found.size for found in house.services.storage.list(f"t/{house.account_id}/copies")}


def playable(house: House, job: dict[str, Any], **headers: str) -> Any:
    return house.get(f"{JOBS}/{job['id']}/audio?playable=true", headers=house.auth() | headers)


def test_what_browsers_do_not_play_has_a_copy_as_long_as_it_is_kept(house: House, apple: bytes) -> None:
    job = house.submit(apple)
    house.work()
    (size,) = copies(house).values()
    copy = playable(house, job)
    assert (copy.status_code, copy.headers["content-type"], len(copy.content)) == (200, "audio/ogg", size)
    assert size < len(apple) / 5
    assert copy.headers["content-disposition"] == 'inline; filename="talk.ogg"'
    some = playable(house, job, Range="bytes=10-19", **{"If-Range": copy.headers["etag"]})
    assert (some.status_code, some.content) == (206, copy.content[10:20])
    whole = house.get(f"{JOBS}/{job['id']}/audio")
    assert (whole.content, whole.headers["etag"] != copy.headers["etag"]) == (apple, True)
    stored = {found.key: found.size for found in house.services.storage.list(f"t/{house.account_id}")}
    with house.services.database.read() as session:
        account = session.get(Account, house.account_id)
        assert account is not None
        assert account.stored_bytes == sum(stored.values())
    with house.services.database.write() as session:
        session.execute(update(Job).where(col(Job.id) == job["id"]).values(ended_at=0.0))
    drop_media(house.services)
    assert not copies(house)
    assert playable(house, job).status_code == 410


def test_what_they_play_has_none(house: House, job: dict[str, Any]) -> None:
    assert not copies(house)
    assert playable(house, job).content == house.get(f"{JOBS}/{job['id']}/audio").content


@pytest.mark.parametrize("asked", [{"range[start]": "0", "range[end]": "1"}, {"priority": "low"}, {}])
def test_no_copy_of_a_part_or_in_an_archive_nor_where_the_operator_wants_none(
    house: House, apple: bytes, asked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not asked:
        monkeypatch.setattr(
            house.services, "settings", house.services.settings.model_copy(update={"browser_copies": False})
        )
    job = house.submit(apple, **asked)
    house.work()
    assert not copies(house)
    assert playable(house, job).content == apple


def test_a_copy_that_cannot_be_made_keeps_no_job_from_its_end(
    house: House, apple: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Iterator[bytes]:
        yield b"OggS"
        raise SandboxFailed

    monkeypatch.setattr(browser_copy, "browser_copy", broken)
    job = house.submit(apple)
    house.work()
    assert house.get(f"{JOBS}/{job['id']}").json()["status"] == "completed"
    assert not copies(house)
    assert playable(house, job).content == apple
