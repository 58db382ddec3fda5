"""Each channel of a call by itself, and a part of a recording: right words, right labels, times of the whole."""

import io
import wave
from typing import Any

import numpy as np
import pytest
import srt
import webvtt

from pipeline.oracle.speech import generate
from tests.api.conftest import JOBS, House

pytestmark = pytest.mark.processes

RATE = 16_000
Said = list[tuple[str, float]]


def side(seconds: float, seed: int) -> tuple[np.ndarray, Said]:
    blocks, said = [], []
    for block, words in generate(seconds=seconds, style="natural", seed=seed):
        blocks.append(np.frombuffer(block, dtype="<i2"))
        said += [(word.text, word.start / RATE) for word in words]
    return np.concatenate(blocks), said


def recording(*channels: np.ndarray) -> bytes:
    length = max(map(len, channels))
    padded = [np.pad(channel, (0, length - len(channel))) for channel in channels]
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setparams((len(channels), 2, RATE, 0, "NONE", ""))
        file.writeframes(np.stack(padded, axis=1).tobytes())
    return held.getvalue()


def done(house: House, sound: bytes, **fields: Any) -> dict[str, Any]:
    job = house.submit(sound, **fields)
    house.work()
    found = house.get(f"{JOBS}/{job['id']}").json()
    assert found["status"] == "completed", found["error"]
    return found


def verbose(house: House, job: dict[str, Any]) -> dict[str, Any]:
    options = "format=verbose_json&timestamp_granularities=word&timestamp_granularities=segment"
    return house.get(f"{JOBS}/{job['id']}/transcript?{options}").json()


@pytest.mark.parametrize("seconds", [4.0, 70.0])
def test_each_channel_by_itself(house: House, seconds: float) -> None:
    """Both speak all the time: mixed, nobody could be understood."""
    (left, left_said), (right, right_said) = side(seconds, 1), side(seconds, 2)
    job = done(house, recording(left, right), channels="separate")
    assert job["input"]["channels"] == 2
    assert job["input"]["duration"] == pytest.approx(max(len(left), len(right)) / RATE, abs=0.001)
    body = verbose(house, job)
    for channel, said in enumerate((left_said, right_said)):
        mine = [segment for segment in body["segments"] if segment["channel"] == channel]
        assert " ".join(segment["text"].strip() for segment in mine).split() == [word for word, _ in said]
    starts = [segment["start"] for segment in body["segments"]]
    assert starts == sorted(starts)
    assert sorted(word["start"] for word in body["words"]) == pytest.approx(
        sorted(at for _, at in left_said + right_said), abs=0.02
    )


def test_labels_in_every_format(house: House) -> None:
    (left, left_said), (right, right_said) = side(3.0, 1), side(3.0, 2)
    silent = np.zeros(len(left), dtype="<i2")
    together = recording(np.concatenate([left, silent]), np.concatenate([silent, right]))
    job = done(house, together, channels="separate")
    address = f"{JOBS}/{job['id']}/transcript"
    said = [" ".join(word for word, _ in one) for one in (left_said, right_said)]
    assert house.get(f"{address}?format=text").text == f"channel_0: {said[0]}\nchannel_1: {said[1]}\n"
    vtt = list(webvtt.from_buffer(io.StringIO(house.get(f"{address}?format=vtt").text)))
    assert {caption.voice for caption in vtt} == {"channel_0", "channel_1"}
    captions = list(srt.parse(house.get(f"{address}?format=srt").text))
    assert captions[0].content.startswith("channel_0: ")
    speakers = [segment["speaker"] for segment in house.get(f"{address}?format=diarized_json").json()["segments"]]
    assert speakers == sorted(speakers) and set(speakers) == {"channel_0", "channel_1"}
    assert house.get(f"{address}?format=json").json()["text"] == f"channel_0: {said[0]}\nchannel_1: {said[1]}"
    verbose = house.get(f"{address}?format=verbose_json&timestamp_granularities=word").json()
    assert [word["channel"] for word in verbose["words"]] == [0] * len(left_said) + [1] * len(right_said)
    listed = house.get(f"{JOBS}/{job['id']}/segments").json()["data"]
    assert [segment["channel"] for segment in listed] == [int(speaker[-1]) for speaker in speakers]


def test_two_who_talk_at_once_are_no_disorder(house: House) -> None:
    (left, _), (right, _) = side(5.0, 1), side(5.0, 2)
    job = done(house, recording(left, right), channels="separate")
    assert job["quality"]["timeline_monotonic"] is True


def test_one_channel_asked_separately(house: House) -> None:
    left, said = side(3.0, 1)
    job = done(house, recording(left), channels="separate")
    assert verbose(house, job)["text"].split() == [word for word, _ in said]


@pytest.mark.parametrize("asked", [{"range": "20.5-41"}, {"range[start]": "20.5", "range[end]": "41"}])
def test_a_part_has_the_times_of_the_whole(house: House, asked: dict[str, str]) -> None:
    sound, said = side(60.0, 3)
    job = done(house, recording(sound), **asked)
    words = verbose(house, job)["words"]
    inside = [(word, at) for word, at in said if at >= 20.5 and at + 0.5 < 41]
    found = [(word["word"], word["start"]) for word in words]
    assert [word for word, _ in inside] == [word for word, _ in found if word in dict(inside)]
    assert len(found) <= len(inside) + 2, "a word at the edge may be heard in part"
    for word, at in inside:
        assert any(word == other and abs(at - start) < 0.02 for other, start in found), (word, at)
    assert job["usage"]["seconds"] == pytest.approx(20.5, abs=0.001)


def test_a_part_without_an_end_and_a_part_that_is_not_there(house: House) -> None:
    sound, said = side(20.0, 3)
    job = done(house, recording(sound), range="12-")
    words = [word["word"] for word in verbose(house, job)["words"]]
    assert words[-1] == said[-1][0] and len(words) < len(said)
    late = house.submit(recording(sound), range="400-500")
    house.work()
    failed = house.get(f"{JOBS}/{late['id']}").json()
    assert failed["status"] == "failed" and "but the recording has" in failed["error"]["message"]


@pytest.mark.parametrize("wrong", ["5-2", "abc", "-3", "5", "0:30-1:00", "\u0663-\u0665", "[1]", '{"start": -1}'])
def test_a_range_that_makes_no_sense(house: House, wrong: str) -> None:
    answer = house.post(
        JOBS, data={"model": "oracle", "range": wrong}, files={"file": ("a.wav", recording(side(1.0, 1)[0]))}
    )
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"].startswith("range") and "RangeFields" not in error["message"], error


def test_six_channels_of_which_four_are_silent(house: House) -> None:
    (one, one_said), (two, two_said) = side(3.0, 1), side(3.0, 2)
    silent = np.zeros(len(one), dtype="<i2")
    job = done(house, recording(silent, one, silent, silent, two, silent), channels="separate", range="0-60")
    body = verbose(house, job)
    for channel, said in ((1, one_said), (4, two_said)):
        mine = [segment["text"] for segment in body["segments"] if segment["channel"] == channel]
        assert " ".join(mine).split() == [word for word, _ in said]
    assert {segment["channel"] for segment in body["segments"]} == {1, 4}
    coverage = job["quality"]["coverage"]
    assert coverage["speech_seconds"] > 2 and coverage["transcribed_seconds"] > 2, "of all channels together"


def test_a_part_of_each_channel(house: House) -> None:
    (left, left_said), (right, right_said) = side(40.0, 1), side(40.0, 2)
    body = verbose(house, done(house, recording(left, right), channels="separate", range="20.5-33"))
    for channel, said in enumerate((left_said, right_said)):
        inside = [(word, at) for word, at in said if at >= 20.5 and at + 0.5 < 33]
        mine = [one for one in body["segments"] if one["channel"] == channel]
        text = " ".join(" ".join(one["text"] for one in mine).split())
        assert " ".join(word for word, _ in inside) in text
        assert mine[0]["start"] >= 20.5 and mine[-1]["end"] <= 33.001


def test_a_part_that_ends_where_there_are_more_channels_than_at_the_beginning(house: House) -> None:
    """Two recordings joined, of which the second alone has two channels; the part ends before it does."""
    (left, left_said), (right, right_said) = side(6.0, 1), side(6.0, 2)
    joined = recording(left) + recording(left, right)
    body = verbose(house, done(house, joined, channels="separate", range="4-10.5"))
    for channel, said in enumerate((left_said, right_said)):
        inside = [word for word, at in said if at + 0.5 < 4.5]
        mine = " ".join(one["text"].strip() for one in body["segments"] if one["channel"] == channel)
        assert " ".join(inside) in mine


def test_a_gap_says_in_which_channel_it_is(house: House) -> None:
    (left, left_said), (right, right_said) = side(70.0, 51), side(70.0, 52)
    rare = next(word for word, _ in reversed(right_said) if word not in {other for other, _ in left_said})
    asked = {"channels": "separate", "on_chunk_failure": "partial"}
    job = done(house, recording(left, right), prompt=f"oracle: fail=1 error=refused at={rare}", **asked)
    assert job["partial"] is True
    assert {gap["channel"] for gap in job["gaps"]} == {1}
    assert {gap["channel"] for gap in verbose(house, job)["gaps"]} == {1}
    assert house.post(f"{JOBS}/{job['id']}/retry").status_code == 202
    house.work()
    job = house.get(f"{JOBS}/{job['id']}").json()
    assert (job["status"], job["partial"], job["gaps"]) == ("completed", False, [])
    mine = [segment["text"] for segment in verbose(house, job)["segments"] if segment["channel"] == 1]
    assert " ".join(mine).split() == [word for word, _ in right_said]


def test_both_channels_are_paid_for(house: House) -> None:
    (left, _), (right, _) = side(6.0, 1), side(6.0, 2)
    sound = recording(left, right)
    job = done(house, sound, model="oracle-priced", channels="separate", range="1-5")
    told = house.post(
        "/v1/audio/estimates",
        data={"model": "oracle-priced", "channels": "separate", "range": "1-5"},
        files={"file": ("call.wav", sound)},
    ).json()
    assert job["cost"]["captured"] == told["cost"]["estimated"] == pytest.approx(2 * 4 * 0.0001)
