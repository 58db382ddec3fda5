"""The sound of a job, whole and in ranges: what a text has become, and the recording that was sent."""

from typing import Any

import pytest

from api.jobs import kept_sound
from infra.database.tables import Job
from tests.api.conftest import JOBS, House, recording

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
