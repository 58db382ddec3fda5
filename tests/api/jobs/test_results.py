"""What comes out of a job: transcript, segments, timeline, deliveries."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from api.http.sse import Stream
from api.main import create_app
from cli.event_stream import read_events
from infra.database.tables.jobs import Job
from pipeline import formats
from pipeline.errors import InputMissing
from pipeline.formats.base import RenderOptions
from pipeline.transcript import Segment, Transcript, transcript_to_json
from tests.api.conftest import JOBS, House, recording
from tests.api.serving import Running, running

pytestmark = pytest.mark.processes


@pytest.fixture
def served(house: House) -> Iterator[Running]:
    """The same house over a real socket: the test client cannot read an answer while it is made."""
    with running(create_app(house.services)) as place:
        yield place


def test_every_format_and_the_caption_options(house: House) -> None:
    sound, said = recording(6.0)
    job = house.submit(sound)
    house.work()
    path = f"{JOBS}/{job['id']}/transcript"
    plain = house.get(path).json()
    assert plain["text"].split() == said
    assert plain["usage"]["type"] == "duration"
    for name in ("text", "srt", "vtt"):
        answer = house.get(f"{path}?format={name}")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert f'filename="talk.{name.replace("text", "txt")}"' in answer.headers["content-disposition"]
    verbose = house.get(
        f"{path}?format=verbose_json&timestamp_granularities[]=word&timestamp_granularities%5B%5D=segment"
    ).json()
    assert [word["word"] for word in verbose["words"]] == said
    assert verbose["segments"]
    assert verbose["language"] == "english"
    narrow = house.get(f"{path}?format=srt&max_line_chars=12&max_lines=1").text
    longest = max(len(line) for line in narrow.splitlines() if "-->" not in line)
    assert longest <= 14
    for query in (
        "format=docx",
        "max_lines=0",
        "max_line_chars=x",
        "timestamp_granularities=page",
        "min_cue=8000",
        "max_cue=1000&min_cue=2000",
    ):
        answer = house.get(f"{path}?{query}")
        assert answer.status_code == 400, query


def test_a_list_brings_the_transcripts_of_short_recordings(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = house.submit()["id"]
    house.work()
    asked = f"{JOBS}?ids={heard},{house.submit()['id']}&order=asc"

    def brought() -> list[Any]:
        return [job["transcript"] for job in house.get(f"{asked}&include=transcript").json()["data"]]

    whole = house.get(f"{JOBS}/{heard}/transcript?format=full_json").json()
    assert brought() == [whole["transcript"], None]
    assert "transcript" not in house.get(asked).json()["data"][0]
    assert house.get(f"{asked}&include=sound").status_code == 400
    with monkeypatch.context() as patch:
        patch.setattr("api.jobs.results.SHORT_MS", 0)
        assert brought() == [None, None], "a long one is fetched by itself"
    with house.services.database.write() as session:
        session.get(Job, heard).purged_at = time.time()
    assert brought() == [None, None]


def test_a_transcript_past_its_time_is_410(house: House) -> None:
    job = house.submit()
    house.work()
    with house.services.database.write() as session:
        session.get(Job, job["id"]).purged_at = time.time()
    for path in ("transcript", "segments"):
        answer = house.get(f"{JOBS}/{job['id']}/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (410, "expired")


@pytest.mark.processes
def test_a_result_that_is_lost_is_told_as_lost_and_not_as_past_its_time(house: House) -> None:
    heard = house.submit()
    spoken = house.post(JOBS, json={"task": "speech", "model": "oracle", "text": "one two"}).json()
    house.work()
    for job in (heard, spoken):
        with house.services.database.read() as session:
            row = session.get(Job, job["id"])
            kept = [row.result_key, *([row.sound["key"]] if row.sound else [])]
        house.services.storage.delete(*kept)
    for path in (f"{heard['id']}/transcript", f"{heard['id']}/segments", f"{spoken['id']}/audio"):
        answer = house.get(f"{JOBS}/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "result_lost"), path


def test_a_result_that_is_purged_while_it_is_read_is_past_its_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = house.submit()
    house.work()

    def purged(*_: object) -> None:
        with house.services.database.write() as session:
            session.get(Job, job["id"]).purged_at = time.time()
        raise InputMissing

    monkeypatch.setattr(house.services.storage, "get", purged)
    monkeypatch.setattr(house.services.storage, "blocks", purged)
    answer = house.get(f"{JOBS}/{job['id']}/transcript")
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "expired")


def test_segments_grow_while_it_runs_and_never_change(house: House) -> None:
    sound, said = recording(100.0)
    job = house.submit(sound)
    path = f"{JOBS}/{job['id']}/segments"
    assert house.get(path).json() == {
        "object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False, "complete": False, "status": "queued",
    }  # fmt: skip
    house.work(chunks=1)
    early = house.get(path).json()
    assert early["status"] == "processing"
    assert not early["complete"]
    assert early["data"]
    assert house.get(f"{JOBS}/{job['id']}").json()["progress"]["chunks"]["completed"] >= 1
    house.work()
    seen: list[dict[str, Any]] = []
    after = -1
    while True:
        page = house.get(f"{path}?limit=3&after={after}").json()
        seen += page["data"]
        if page["complete"]:
            break
        after = page["last_id"]
    assert seen[: len(early["data"])] == early["data"]
    assert " ".join(one["text"] for one in seen).split() == said
    assert [one["id"] for one in seen] == list(range(len(seen)))


def test_polling_fetches_each_finished_chunk_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    job = house.submit(recording(100.0)[0])
    path = f"{JOBS}/{job['id']}/segments"
    house.work(chunks=2)
    fetched: list[str] = []
    storage = house.services.storage
    get = storage.get
    monkeypatch.setattr(storage, "get", lambda key: fetched.append(key) or get(key))
    early = house.get(path).json()["data"]
    count = len(fetched)
    assert 1 <= count <= 2
    assert [house.get(path).json()["data"] for _ in range(3)] == [early] * 3
    assert len(fetched) == count
    house.work()
    assert house.get(path).json()["data"][: len(early)] == early
    assert house.get(f"{path}?after=2").json()["data"] == house.get(path).json()["data"][3:]
    assert sum("transcript" in key for key in fetched) == 1


def test_suspects_are_kept_marked_or_dropped_when_read(house: House) -> None:
    job = house.submit()
    house.work()
    with house.services.database.read() as session:
        key = session.get(Job, job["id"]).result_key
    ghost = Segment("Thanks for watching.", 100, 900, suspect=("no_speech",))
    whole = Transcript((ghost, Segment("Indeed.", 1000, 1800)), 2000)
    house.services.storage.put(key, transcript_to_json(whole))

    def read(query: str) -> str:
        return str(house.get(f"{JOBS}/{job['id']}/transcript?{query}").text)

    for name in ("text", "json", "srt", "vtt"):
        assert "Thanks for watching. Indeed." in " ".join(read(f"format={name}").split()) or name in ("srt", "vtt")
        assert "Thanks" in read(f"format={name}")
        assert "[? Thanks for watching. ?]" in read(f"format={name}&suspect=mark")
        dropped = read(f"format={name}&suspect=drop")
        assert "Thanks" not in dropped and "Indeed." in dropped
    verbose = house.get(f"{JOBS}/{job['id']}/transcript?format=verbose_json&suspect=mark").json()
    assert verbose["segments"][0]["suspect"] == ["no_speech"]
    assert "Thanks" not in read("format=verbose_json&suspect=drop")
    assert house.get(f"{JOBS}/{job['id']}/transcript?suspect=hide").status_code == 400


def test_the_timeline_as_json(house: House) -> None:
    job = house.submit()
    house.work()
    path = f"{JOBS}/{job['id']}/events"
    body = house.get(path).json()
    kinds = [one["type"] for one in body["data"]]
    assert kinds[0] == "created"
    assert kinds[-1] == "completed"
    rest = house.get(f"{path}?after={body['data'][0]['id']}&limit=1").json()
    assert rest["data"] == body["data"][1:2]
    assert rest["has_more"] == (len(kinds) > 2)


def events_in(lines: Iterator[str]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(id, name, data) of the timeline's lines in a stream of server-sent events."""
    held: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            held[name] = value
        else:
            if "id" in held:
                yield int(held["id"]), held["event"], json.loads(held["data"])
            held = {}


def test_the_timeline_is_followed_to_the_end(house: House, served: Running) -> None:
    job = house.submit()
    url = f"{served.url}{JOBS}/{job['id']}/events"
    headers = house.auth() | {"Accept": "text/event-stream"}
    with httpx2.stream("GET", url, headers=headers, timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        following = events_in(answer.iter_lines())
        first = next(following)
        house.work()
        seen = [first, *following]
    assert [name for _, name, _ in seen] == [
        one["type"] for one in house.get(f"{JOBS}/{job['id']}/events").json()["data"]
    ]
    assert seen[-1][1] == "completed"
    again = httpx2.get(url, headers=headers | {"Last-Event-ID": str(seen[0][0])}, timeout=60)
    assert list(events_in(iter(again.text.split("\n")))) == seen[1:]
    assert httpx2.get(url, headers=headers | {"Last-Event-ID": "x"}, timeout=60).status_code == 400


def test_the_stream_says_why_one_waits_and_when_to_come_back(house: House, served: Running) -> None:
    job = house.submit()["id"]
    url = f"{served.url}{JOBS}/{job}/events?stream=true"
    told: list[dict[str, Any]] = []
    with httpx2.stream("GET", url, headers=house.auth(), timeout=60) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        for event in read_events(lines):
            if event.name == "progress":
                told.append(json.loads(event.data))
                if len(told) == 1:
                    house.work()
            last = event.name
    assert last == "completed", "the end tells itself"
    assert (told[0]["id"], told[0]["status"], told[0]["queue"]["lane"]) == (job, "queued", "cpu")
    assert "waits for its turn" in told[0]["progress"]["message"]
    assert 1 <= told[0]["progress"]["retry_after"] <= 10
    asked = house.get(f"{JOBS}/{job}").json()["progress"]
    assert (asked["message"], asked["retry_after"]) == ("The transcript is ready.", None)


def test_a_follower_who_leaves_is_forgotten(house: House, served: Running) -> None:
    job = house.submit()
    with httpx2.stream(
        "GET", f"{served.url}{JOBS}/{job['id']}/events?stream=true", headers=house.auth(), timeout=60
    ) as answer:
        assert next(answer.iter_lines())
    house.post(f"{JOBS}/{job['id']}/cancel")


def test_following_a_job_that_is_deleted_ends(house: House, served: Running) -> None:
    job = house.submit()["id"]
    url = f"{served.url}{JOBS}/{job}/events?stream=true"
    with httpx2.stream("GET", url, headers=house.auth(), timeout=60) as answer:
        following = events_in(answer.iter_lines())
        assert next(following)[1] == "created"
        assert house.delete(f"{JOBS}/{job}?force=true").status_code == 200
        assert "completed" not in [name for _, name, _ in following]
    assert httpx2.get(url, headers=house.auth(), timeout=60).status_code == 404, "whoever asks again is told why"


def test_what_a_follower_is_told_first_was_true_when_it_was_let_in(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is deleted while the answer begins: its follower has got what there was, not an empty answer."""
    job = house.submit()["id"]
    started = Stream.__call__

    async def deleted_first(self: Stream, *connection: Any) -> None:
        house.services.jobs.delete(house.account_id, job, force=True)
        await started(self, *connection)

    monkeypatch.setattr(Stream, "__call__", deleted_first)
    answer = house.get(f"{JOBS}/{job}/events?stream=true")
    assert (answer.status_code, [name for _, name, _ in events_in(iter(answer.text.split("\n")))]) == (200, ["created"])


def test_deliveries_show_every_attempt(house: House) -> None:
    job = house.submit(**{"webhook[url]": "http://127.0.0.1:9/hook"})
    assert job["webhook"]["secret"].startswith("whsec_"), "made for the caller, shown once"
    shown = house.get(f"{JOBS}/{job['id']}")
    assert "secret" not in shown.json()["webhook"]
    house.work()
    before = house.get(f"{JOBS}/{job['id']}")
    assert before.json()["webhook"]["next_attempt_at"] is not None
    house.deliver()
    after = house.get(f"{JOBS}/{job['id']}")
    assert house.get(JOBS).json()["data"] == [after.json()]
    assert after.headers["etag"] != before.headers["etag"]
    (delivery,) = house.get(f"{JOBS}/{job['id']}/deliveries").json()["data"]
    assert (delivery["object"], delivery["type"], delivery["status"]) == (
        "webhook.delivery",
        "audio.job.completed",
        "pending",
    )
    assert [attempt["n"] for attempt in delivery["attempts"]] == [1]
    assert delivery["attempts"][0]["error"]


def test_a_callers_own_secret_is_never_shown(house: House) -> None:
    secret = "whsec_" + "QUJD" * 8
    job = house.submit(**{"webhook[url]": "http://127.0.0.1:9/hook", "webhook[secret]": secret})
    assert job["webhook"] == {
        "url": "http://127.0.0.1:9/hook", "status": "pending", "delivery_id": None, "attempts": 0, "last_status": None,
        "error": None, "delivered_at": None, "next_attempt_at": None,
    }  # fmt: skip
    assert secret not in json.dumps(job)


def test_words_are_found_with_their_times(house: House) -> None:
    """`?q=`: only the segments that say it, with their ids, paged like all."""
    sound, said = recording(30.0)
    job = house.submit(sound)
    house.work()
    path = f"{JOBS}/{job['id']}/segments"
    everything = house.get(f"{path}?limit=1000").json()["data"]
    wanted = next(word for word in said if said.count(word) > 1)
    found = house.get(path, params={"q": wanted.upper(), "limit": 1000}).json()
    matches = [match for segment in found["data"] for match in segment["matches"] if match["text"] == wanted]
    assert len(matches) == said.count(wanted)
    by_id = {segment["id"]: segment for segment in everything}
    for segment in found["data"]:
        assert {**by_id[segment["id"]], "matches": segment["matches"]} == segment
        for match in segment["matches"]:
            assert segment["start"] <= match["start"] < match["end"] <= segment["end"]
    first = house.get(path, params={"q": wanted, "limit": 1}).json()
    assert first["has_more"] is (len(found["data"]) > 1)
    rest = house.get(path, params={"q": wanted, "limit": 1000, "after": first["data"][0]["id"]}).json()
    assert first["data"] + rest["data"] == found["data"]
    assert house.get(path, params={"q": "nobody-says-this"}).json()["data"] == []


def test_forty_who_ask_for_the_same_captions_have_them_written_once(
    house: House, served: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, begun, go_on = list[str](), threading.Event(), threading.Event()
    job = house.submit(recording(3.0)[0])
    house.work()
    vtt = formats.load("vtt")
    render = vtt.render

    def slowly(transcript: Transcript, options: RenderOptions) -> str:
        written.append(vtt.name)
        begun.set()
        assert go_on.wait(60)
        return render(transcript, options)

    monkeypatch.setattr(vtt, "render", slowly)
    query = "format=vtt&max_line_chars=250&max_lines=8&max_cue=60000"

    def ask() -> httpx2.Response:
        return httpx2.get(f"{served.url}{JOBS}/{job['id']}/transcript?{query}", headers=house.auth(), timeout=60)

    with ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(ask) for _ in range(40)]
        assert begun.wait(60)
        quick = house.submit(recording(1.0)[0])  # an upload is taken meanwhile
        assert quick["status"] == "queued"
        go_on.set()
        answers = [one.result() for one in asked]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert ask().text == answers[0].text
    assert written == ["vtt"]
