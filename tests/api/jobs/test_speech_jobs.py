"""Speech jobs over HTTP: a text of any length, its sound in every format, and what is said when."""

from typing import Any

import pytest
import srt

from pipeline.audio.decode import decode
from pipeline.options import SPEECH_FORMATS
from tests.api.conftest import JOBS, House

pytestmark = pytest.mark.processes

TEXT = " ".join(f"This is sentence number {number} of a long story." for number in range(60))


def spoken(house: House, text: str = TEXT, **options: Any) -> dict[str, Any]:
    asked = {"task": "speech", "model": "espeak-ng", "text": text, **options}
    answer = house.post(JOBS, json=asked)
    assert answer.status_code == 202, answer.text
    house.work()
    job = house.get(f"{JOBS}/{answer.json()['id']}").json()
    assert job["status"] == "completed", job["error"]
    return job


@pytest.mark.parametrize("target", SPEECH_FORMATS)
def test_a_text_longer_than_one_request(house: House, target: str) -> None:
    job = spoken(house, response_format=target, speed=2.0)
    assert job["progress"]["chunks"]["total"] == len(TEXT) // 1500 + 1
    assert job["progress"]["characters_total"] == len(TEXT)
    assert (job["input"]["type"], job["input"]["characters"], job["input"]["duration"]) == ("text", len(TEXT), None)
    assert job["usage"] == {"type": "characters", "characters": len(TEXT)}
    assert job["model_used"] == "espeak-ng"
    sound = house.get(f"{JOBS}/{job['id']}/audio")
    assert sound.status_code == 200
    assert (job["sound"]["format"], job["sound"]["bytes"]) == (target, len(sound.content))
    seconds = job["sound"]["duration"]
    if target == "pcm":
        assert len(sound.content) == pytest.approx(48_000 * seconds, abs=48)
    else:
        with decode(sound.content, max_seconds=3600) as decoding:
            assert sum(map(len, decoding)) / 32_000 == pytest.approx(seconds, abs=0.2)
    body = house.get(f"{JOBS}/{job['id']}/transcript?format=verbose_json&timestamp_granularities=word").json()
    assert [word["word"] for word in body["words"]] == TEXT.split(), "every word is said once, in order"
    assert body["words"][-1]["end"] <= seconds + 0.001


def test_what_is_said_when(house: House) -> None:
    job = spoken(house)
    captions = list(srt.parse(house.get(f"{JOBS}/{job['id']}/transcript?format=srt").text))
    assert " ".join(" ".join(caption.content.split()) for caption in captions) == TEXT
    segments = house.get(f"{JOBS}/{job['id']}/segments?limit=1000").json()
    assert [segment["text"] for segment in segments["data"]] == [f"{part}." for part in TEXT[:-1].split(". ")]
    assert segments["complete"] is True


def test_nothing_is_kept_but_the_result(house: House) -> None:
    """Passages and their sound go once they are laid end to end; the text and the result go with the job."""
    job = spoken(house)
    kept = [key.rsplit("/", maxsplit=1)[-1].split("-")[0] for key in house.stored()]
    assert sorted(name for name in kept if not name.startswith("med_")) == ["peaks", "speech", "transcript"]
    assert house.delete(f"{JOBS}/{job['id']}").status_code == 200


def test_as_the_synchronous_endpoint_is_asked(house: House) -> None:
    """`input` for text, a voice as an object, and Prefer: respond-async."""
    asked = {"model": "espeak-ng", "input": "Good morning.", "voice": {"id": "nova"}, "response_format": "wav"}
    answer = house.post("/v1/audio/speech", json=asked, headers=house.auth() | {"Prefer": "respond-async"})
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    house.work()
    done = house.get(answer.headers["location"]).json()
    assert (done["task"], done["status"], done["request"]["voice"]) == ("speech", "completed", "nova")
    assert house.get(answer.headers["location"] + "/audio").content[:4] == b"RIFF"


def test_what_cannot_be_had_is_said(house: House) -> None:
    waiting = house.post(JOBS, json={"task": "speech", "model": "espeak-ng", "text": "Hello."}).json()
    early = house.get(f"{JOBS}/{waiting['id']}/audio")
    assert early.status_code == 409 and early.json()["error"]["current_status"] == "queued"
    unknown = house.post(JOBS, json={"task": "speech", "model": "espeak-ng", "text": "Hi.", "voice": "nobody"}).json()
    house.work()
    failed = house.get(f"{JOBS}/{unknown['id']}").json()
    assert failed["status"] == "failed" and "nobody" in failed["error"]["message"]
    for voice in ("", {"id": ""}, 7):
        asked = {"task": "speech", "model": "espeak-ng", "text": "Hi.", "voice": voice}
        nameless = house.post(JOBS, json=asked)
        assert nameless.status_code == 400 and nameless.json()["error"]["param"].startswith("voice")


def test_the_same_text_twice_with_one_key_is_one_job(house: House) -> None:
    headers = house.auth() | {"Idempotency-Key": "once"}
    asked = {"task": "speech", "model": "espeak-ng", "text": "Hello."}
    first, second = (house.post(JOBS, json=asked, headers=headers) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["idempotent-replayed"] == "true"
    other = house.post(JOBS, json={**asked, "text": "Other."}, headers=headers)
    assert other.status_code == 409


def test_a_line_of_stars_is_no_reason_to_fail(house: House) -> None:
    """Passages of marks alone, which voices refuse, become pauses; the next chapter follows."""
    text = "Alpha. " * 220 + "* * * " * 600 + "Omega."
    job = spoken(house, text, model="oracle")
    body = house.get(f"{JOBS}/{job['id']}/transcript?format=verbose_json&timestamp_granularities=word").json()
    assert [word["word"] for word in body["words"]] == text.split()


@pytest.mark.parametrize(
    "text",
    [
        "今日は天気がいいです。明日は雨です。",
        "שלום עולם. مرحبا بالعالم.",
        "😀😀 🎉",
        "… !!! —",
        "<speak>Hello <break time='3s'/> world & you</speak>",
        "One line.\r\nTwo lines.\r\n\r\nThree.",
        "A tab\tand \x01 a bell \x07 and a NUL \x00 too.",
    ],
)
def test_what_people_paste(house: House, text: str) -> None:
    job = spoken(house, text, response_format="flac", speed=4.0)
    assert job["input"]["characters"] == len(text)
    with decode(house.get(f"{JOBS}/{job['id']}/audio").content, max_seconds=60) as decoding:
        assert sum(map(len, decoding)) > 0
    told = house.get(f"{JOBS}/{job['id']}/transcript?format=json").json()["text"]
    assert [char for char in told if char.isprintable() and char != " "] == [
        char for char in text if char.isprintable() and char != " "
    ]


def test_a_word_without_end(house: House) -> None:
    job = spoken(house, "a" * 10_000, model="oracle", speed=4.0)
    assert job["progress"]["chunks"]["total"] == 7
    assert job["progress"]["characters_done"] == job["progress"]["characters_total"] == 10_000


def test_what_a_speech_job_does_not_take(house: House) -> None:
    asked = {"task": "speech", "model": "espeak-ng", "text": "Hello."}
    refused = {
        "url": {**asked, "url": "https://example.org/talk.mp3"},
        "text": {**asked, "text": " \r\n\t "},
        "response_format": {**asked, "response_format": "ogg"},
        "model": {**asked, "model": "whisper-1"},
    }
    for param, body in refused.items():
        answer = house.post(JOBS, json=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    forgotten = house.post(JOBS, json={"model": "whisper-1", "text": "Hello."}).json()["error"]
    assert '`task` to "speech"' in forgotten["message"]
    both = house.post(JOBS, json={"model": "whisper-1", "url": "https://example.org/talk.mp3", "text": "Hello."})
    assert (both.status_code, both.json()["error"]["param"]) == (400, "text"), (
        "exactly one input, and none is overlooked"
    )
    long = house.post(JOBS, json={**asked, "text": "x" * 1_000_001}).json()["error"]
    assert "1000000 characters" in long["message"]
    assert house.stored() == []


def test_the_longest_text_is_accepted_and_goes_without_a_trace(house: House) -> None:
    job = house.post(JOBS, json={"task": "speech", "model": "espeak-ng", "text": "x" * 1_000_000}).json()
    assert job["input"]["characters"] == 1_000_000
    assert house.delete(f"{JOBS}/{job['id']}?force=true").status_code in (200, 202)
    house.work()
    assert house.stored() == []


def test_in_a_form(house: House) -> None:
    form = {"task": (None, "speech"), "model": (None, "espeak-ng"), "text": (None, "Hello.")}
    assert house.post(JOBS, files=form).status_code == 202


def test_it_is_documented(house: House) -> None:
    body = house.client.get("/openapi.json").json()["paths"][JOBS]["post"]["requestBody"]
    kinds = body["content"]["application/json"]["schema"]["anyOf"]
    assert ["url" in kind["properties"] for kind in kinds] == [True, False]
    assert "text" in kinds[1]["properties"]
