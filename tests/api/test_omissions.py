"""What was not heard, and what that costs: told alike by a synchronous answer, a job and an estimate."""

import io
import wave
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from pipeline.oracle.speech import say
from pipeline.transcript import SAMPLE_RATE
from tests.api.conftest import JOBS, House, recording
from tests.pipeline.audio.clock.test_random_recordings import EDGE, GAP, Piece, placed
from tests.pipeline.audio.clock.test_random_recordings import holed as between_holes
from tests.pipeline.audio.sounds import ffmpeg
from tests.support.holed_sound import DAMAGE, HOLE, PLACES, HoledSound
from tests.support.sound_files import with_tracks

pytestmark = pytest.mark.processes

HEAR, TRANSLATE, ESTIMATE = "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/estimates"
SECONDS = 6.0
END = HOLE + SECONDS
GAPS = [
    {
        "start": 0.0,
        "end": HOLE,
        "code": "hole",
        "reason": "The recording has no sound here.",
        "retryable": False,
    },
    {
        "start": END,
        "end": END + DAMAGE,
        "code": "undecodable",
        "reason": "The sound here is damaged and could not be decoded.",
        "retryable": False,
    },
]
WARNINGS = [{"code": "truncated", "start": END, "end": END + DAMAGE, "message": "The file ends early."}]


@pytest.fixture
def holed(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in PLACES:
        monkeypatch.setattr(place, HoledSound)


def call(*seeds: int, seconds: float = SECONDS) -> tuple[bytes, list[list[str]]]:
    """A channel for each seed, and who says what."""
    sides = [recording(seconds, seed=seed) for seed in seeds]
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setparams((len(seeds), 2, 16_000, 0, "NONE", ""))
        samples = [sound[44:] for sound, _ in sides]
        file.writeframes(b"".join(side[at : at + 2] for at in range(0, len(samples[0]), 2) for side in samples))
    return held.getvalue(), [said for _, said in sides]


def hear(house: House, sound: bytes, path: str = HEAR, **fields: Any) -> Any:
    return house.post(path, data={"model": "oracle-priced", **fields}, files={"file": ("a.wav", sound)})


def done(house: House, sound: bytes, **fields: Any) -> dict[str, Any]:
    job = house.submit(sound, model="oracle-priced", **fields)
    house.work()
    found = house.get(f"{JOBS}/{job['id']}").json()
    assert found["status"] == "completed", found["error"]
    return found


def estimated(house: House, sound: bytes, **fields: Any) -> dict[str, Any]:
    answer = house.post(ESTIMATE, data={"model": "oracle-priced", **fields}, files={"file": ("a.wav", sound)})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.usefixtures("holed")
def test_a_synchronous_answer_tells_and_counts_sound_alone(house: House) -> None:
    sound, said = recording(SECONDS)
    answer = hear(house, sound, response_format="verbose_json")
    body = answer.json()
    assert (body["gaps"], body["warnings"], body["incomplete"]) == (GAPS, WARNINGS, True)
    assert body["text"].split() == said
    assert body["duration"] == END + DAMAGE
    assert body["usage"] == {"type": "duration", "seconds": SECONDS}
    assert body["perf"]["audio_duration_seconds"] == SECONDS
    assert body["duration"] - body["usage"]["seconds"] == sum(gap["end"] - gap["start"] for gap in body["gaps"])
    assert body["perf"]["cost_usd"] == pytest.approx(SECONDS * 0.0001)
    assert all(segment["start"] >= HOLE for segment in body["segments"])
    receipt = house.get(f"/v1/receipts?request_id={body['perf']['request_id']}").json()["data"][0]
    assert receipt["audio_seconds"] == SECONDS


@pytest.mark.usefixtures("holed")
@pytest.mark.parametrize("name", ["json", "text", "srt", "vtt"])
def test_every_format_says_how_much_is_missing(house: House, name: str) -> None:
    answer = hear(house, recording(SECONDS)[0], response_format=name)
    assert (answer.headers["x-perf-gaps"], answer.headers["x-perf-warnings"]) == ("2", "1")
    assert "x-perf-gaps" in answer.headers["access-control-expose-headers"]


@pytest.mark.usefixtures("holed")
def test_a_streams_last_event_tells_as_well(house: House) -> None:
    answer = hear(house, recording(SECONDS)[0], stream="true")
    assert '"incomplete"' in answer.text.strip().split("\n\n")[-1]


def test_a_plain_answer_has_nothing_more(house: House) -> None:
    answer = hear(house, recording(SECONDS)[0], response_format="verbose_json")
    assert not {"gaps", "warnings", "incomplete"} & set(answer.json())
    assert not {"x-perf-gaps", "x-perf-warnings"} & set(answer.headers)


@pytest.mark.usefixtures("holed")
@pytest.mark.parametrize("seconds", [SECONDS, 70.0])
def test_a_job_tells_the_same_and_an_estimate_counts_the_same(house: House, seconds: float) -> None:
    """In one chunk, and in several."""
    sound = recording(seconds)[0]
    job, told = done(house, sound), hear(house, sound, response_format="verbose_json").json()
    assert (job["gaps"], job["warnings"], job["incomplete"]) == (told["gaps"], told["warnings"], True)
    assert job["partial"] is False
    assert job["input"]["duration"] == told["duration"] == HOLE + seconds + DAMAGE
    assert job["input"]["audio_tracks"] == [
        {"number": 1, "codec": "opus", "channels": 2, "language": "eng", "title": "Ann"}
    ]
    assert job["usage"] == told["usage"] == {"type": "duration", "seconds": seconds}
    assert job["progress"]["audio_seconds_done"] == job["progress"]["audio_seconds_total"] == seconds
    estimate = estimated(house, sound)
    assert estimate["duration_seconds"] == seconds
    costs = [job["cost"]["captured"], told["perf"]["cost_usd"], estimate["cost"]["estimated"]]
    assert costs == [pytest.approx(seconds * 0.0001)] * 3
    read = house.get(f"{JOBS}/{job['id']}/transcript?format=verbose_json").json()
    assert {name: read[name] for name in ("gaps", "warnings", "incomplete", "usage", "duration")} == {
        name: told[name] for name in ("gaps", "warnings", "incomplete", "usage", "duration")
    }
    assert house.get(f"{JOBS}/{job['id']}/transcript?format=text").headers["x-perf-gaps"] == "2"


@pytest.mark.usefixtures("holed")
def test_a_failed_chunk_stands_among_the_gaps_until_it_is_heard(house: House) -> None:
    sound, said = recording(70.0, seed=61)  # which no other test lets anybody hear: the oracle fails at first hearing
    rare = next(word for word in reversed(said) if said.count(word) == 1)
    job = done(house, sound, prompt=f"oracle: fail=1 error=refused at={rare}", on_chunk_failure="partial")
    assert (job["partial"], job["incomplete"]) == (True, True)
    assert [gap["code"] for gap in job["gaps"]] == ["hole", "provider_refused", "undecodable"]
    failed = job["gaps"][1]
    assert failed["retryable"] and failed["reason"] and failed["chunk"] > 0
    lacking = failed["end"] - failed["start"]
    assert job["usage"]["seconds"] == pytest.approx(70.0 - lacking)
    assert house.post(f"{JOBS}/{job['id']}/retry").status_code == 202
    house.work()
    again = house.get(f"{JOBS}/{job['id']}").json()
    assert (again["partial"], again["incomplete"], again["gaps"][0]) == (False, True, GAPS[0])
    assert [gap["code"] for gap in again["gaps"]] == ["hole", "undecodable"]
    assert (again["usage"]["seconds"], again["warnings"]) == (70.0, job["warnings"])
    assert house.post(f"{JOBS}/{job['id']}/retry").status_code == 409, "no retry finds more"


def test_every_track_by_itself(house: House, tmp_path: Path) -> None:
    sides = [recording(SECONDS, seed=seed) for seed in (1, 2)]
    sound, said = with_tracks(tmp_path, *(wav for wav, _ in sides)), [words for _, words in sides]
    told = hear(house, sound, response_format="verbose_json", audio_track="all").json()
    job = done(house, sound, audio_track="all")
    read = house.get(f"{JOBS}/{job['id']}/transcript?format=verbose_json").json()
    for body in (told, read):
        for track, words in enumerate(said, start=1):
            mine = [segment["text"].strip() for segment in body["segments"] if segment["track"] == track]
            assert " ".join(mine).split() == words
    listed = house.get(f"{JOBS}/{job['id']}/segments").json()["data"]
    assert [one["track"] for one in listed] == [one["track"] for one in read["segments"]]
    offered = {"codec": "pcm_s16le", "channels": 1}
    assert job["input"]["audio_tracks"] == [
        {"number": 1, **offered, "language": "eng", "title": None},
        {"number": 2, **offered, "language": None, "title": "Track 2"},
    ]
    estimate = estimated(house, sound, audio_track="all")
    costs = [job["cost"]["captured"], told["perf"]["cost_usd"], estimate["cost"]["estimated"]]
    assert costs == [pytest.approx(2 * SECONDS * 0.0001)] * 3, "each track that is heard is paid for"
    assert (job["input"]["duration"], told["duration"], told["usage"]["seconds"]) == (SECONDS, SECONDS, 2 * SECONDS)
    text = hear(house, sound, response_format="text", audio_track="all").text
    assert "track_1: " in text and "track_2: " in text


def test_one_track(house: House, tmp_path: Path) -> None:
    sides = [recording(SECONDS, seed=seed) for seed in (1, 2)]
    sound = with_tracks(tmp_path, *(wav for wav, _ in sides))
    assert hear(house, sound, audio_track="2").json()["text"].split() == sides[1][1]
    job = done(house, sound, audio_track="2", max_cost="1")
    body = house.get(f"{JOBS}/{job['id']}/transcript?format=verbose_json").json()
    assert body["text"].split() == sides[1][1]
    assert "track" not in body["segments"][0]
    assert job["gaps"] == job["warnings"] == []
    refused = hear(house, sound, audio_track="3")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "audio_track")


def test_what_is_measured_first_is_told_once(house: House, tmp_path: Path) -> None:
    """With `max_cost` a recording is decoded to its end before anybody is paid to hear it, and then once more."""
    (tmp_path / "a.wav").write_bytes(recording(SECONDS)[0])
    late = tmp_path / "late.mka"
    ffmpeg("-itsoffset", "61", "-i", tmp_path / "a.wav", "-c:a", "libopus", late)
    job = done(house, late.read_bytes(), max_cost="1")
    (gap,) = job["gaps"]
    assert (gap["code"], gap["start"], gap["end"]) == ("hole", 0.0, pytest.approx(61, abs=0.02))
    assert job["input"]["duration"] - job["usage"]["seconds"] == pytest.approx(gap["end"] - gap["start"], abs=0.001)
    assert not job["partial"] and not job["incomplete"]


@pytest.mark.parametrize("path", [HEAR, TRANSLATE])
def test_channels_at_the_synchronous_endpoints(house: House, path: str) -> None:
    """Both speak all the time: mixed, nobody could be understood."""
    sound, said = call(1, 2)
    answer = hear(house, sound, path, model="oracle", response_format="verbose_json", channels="separate")
    body = answer.json()
    for channel, words in enumerate(said):
        mine = [segment["text"].strip() for segment in body["segments"] if segment["channel"] == channel]
        assert " ".join(mine).split() == words
    assert body["perf"]["audio_duration_seconds"] == 2 * SECONDS
    mixed = hear(house, sound, path, model="oracle", response_format="verbose_json", channels="mix").json()
    assert "channel" not in str(mixed["segments"])


def test_channels_tell_who_speaks_whoever_hears_them(house: House) -> None:
    sound, _ = call(1, 2)
    assert hear(house, sound, response_format="diarized_json").status_code == 400
    body = hear(house, sound, response_format="diarized_json", channels="separate").json()
    assert {segment["speaker"] for segment in body["segments"]} == {"channel_0", "channel_1"}


@pytest.mark.parametrize(
    "wrong",
    [{"audio_track": "0"}, {"audio_track": "two"}, {"audio_track": "1.5"}, {"audio_track": "-1"}, {"channels": "left"}],
)
@pytest.mark.parametrize("path", [HEAR, TRANSLATE, JOBS, ESTIMATE])
def test_what_makes_no_sense_is_refused(house: House, wrong: dict[str, str], path: str) -> None:
    answer = hear(house, recording(1.0)[0], path, model="oracle", **wrong)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == next(iter(wrong))


def test_how_many_tracks_there_are_a_length_does_not_tell(house: House) -> None:
    asked = {"model": "oracle", "duration_seconds": 40, "audio_track": "all"}
    refused = house.post(ESTIMATE, json=asked).json()["error"]
    assert (refused["param"], "tracks" in refused["message"]) == ("audio_track", True)


def test_stretches_between_holes_are_heard_together_and_in_their_places(house: House) -> None:
    """A recorder that sleeps in every pause: five stretches, with up to two minutes between them."""
    pieces = [Piece(seed, 48_000, 1) for seed in range(1, 6)]
    lengths = [len(say(piece.spoken, gap_s=GAP, edge_s=EDGE)) / 2 / SAMPLE_RATE for piece in pieces]
    holes = [1.5, 120.0, 4.0, 30.0]
    sound = between_holes(pieces, "mka", list(accumulate(lengths))[:-1], holes)
    shifts = accumulate(holes, initial=0.0)
    starts = [start + shift for start, shift in zip(accumulate(lengths[:-1], initial=0.0), shifts, strict=True)]
    wanted = placed(pieces, starts)
    job = done(house, sound, response_format="verbose_json", **{"timestamp_granularities[]": "word"})
    told = house.get(f"{JOBS}/{job['id']}/transcript").json()
    assert [word["word"] for word in told["words"]] == [word for word, _ in wanted]
    assert [word["start"] for word in told["words"]] == pytest.approx([at for _, at in wanted], abs=0.03)
    assert job["progress"]["chunks"]["total"] == 1
    assert [gap["end"] - gap["start"] for gap in job["gaps"]] == pytest.approx(holes, abs=0.03)
    assert job["usage"]["seconds"] == pytest.approx(sum(lengths), abs=0.03)
    assert told["duration"] == pytest.approx(sum(lengths) + sum(holes), abs=0.05)
    assert estimated(house, sound)["duration_seconds"] == job["usage"]["seconds"]
    assert hear(house, sound, response_format="text").text.split() == [word for word, _ in wanted]
