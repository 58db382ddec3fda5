"""The synchronous endpoints, over the oracle."""

import io
import json
import wave
from typing import Any

import pytest
import soundfile

from tests.api.conftest import House, recording

HEAR = "/v1/audio/transcriptions"
SPEAK = "/v1/audio/speech"


def hear(house: House, sound: bytes | None = None, path: str = HEAR, **fields: Any) -> Any:
    data = {"model": "oracle", **fields}
    return house.post(path, data=data, files={"file": ("upload", sound if sound is not None else recording()[0])})


@pytest.mark.processes
def test_every_format_with_what_made_it(house: House) -> None:
    sound, said = recording(3.0)
    for name in ("json", "verbose_json", "text", "srt", "vtt"):
        answer = hear(house, sound, response_format=name)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-perf-model-used"]
        assert answer.headers["x-perf-latency-ms"].isdigit()
        assert answer.headers["x-perf-cost-usd"] == "0"
        assert answer.headers["x-perf-request-id"] == answer.headers["x-request-id"]
        if name.endswith("json"):
            body = answer.json()
            assert body["text"].split() == said
            assert body["usage"] == {"type": "duration", "seconds": body["perf"]["audio_duration_seconds"]}
            assert body["perf"]["request_id"] == answer.headers["x-request-id"]
            assert set(body["perf"]) == {"request_id", "model_used", "audio_duration_seconds", "cost_usd", "latency_ms"}
        else:
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert said[0] in answer.text


@pytest.mark.processes
def test_translations_say_they_are(house: House) -> None:
    body = hear(house, path="/v1/audio/translations", response_format="verbose_json").json()
    assert (body["task"], body["language"]) == ("translate", "english")
    assert "usage" not in body


@pytest.mark.processes
def test_words_and_segments_when_asked_for(house: House) -> None:
    sound, said = recording()
    body = hear(house, sound, response_format="verbose_json", **{"timestamp_granularities[]": ["word"]}).json()
    assert [word["word"] for word in body["words"]] == said
    assert "segments" not in body
    both = hear(house, sound, response_format="verbose_json", timestamp_granularities='["word","segment"]').json()
    assert both["words"] and both["segments"]


@pytest.mark.processes
def test_a_stream_has_a_delta_per_segment_and_an_end(house: House) -> None:
    sound, said = recording(8.0)
    answer = hear(house, sound, stream="true")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(part.removeprefix("data: ")) for part in answer.text.strip().split("\n\n")]
    assert [one["type"] for one in events[:-1]] == ["transcript.text.delta"] * (len(events) - 1)
    assert events[-1]["type"] == "transcript.text.done"
    assert "".join(one["delta"] for one in events[:-1]) == events[-1]["text"]
    assert events[-1]["text"].split() == said


@pytest.mark.parametrize("stream", ["false", "true"])
def test_what_fails_early_fails_with_a_status(house: House, stream: str) -> None:
    answer = hear(house, b"only text " * 1000, stream=stream)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("Unsupported audio format. Supported: mp3, mp4, mpeg, mpga")


def test_bad_uploads(house: House) -> None:
    empty = hear(house, b"")
    assert (empty.status_code, empty.json()["error"]["code"]) == (400, "empty_media")
    missing = house.post(HEAR, data={"model": "oracle"}, files={"other": ("a", b"x")})
    assert (missing.status_code, missing.json()["error"]["param"]) == (400, "file")
    assert hear(house, model="nobody").status_code == 404
    unnamed = house.post(HEAR, files={"file": ("a.wav", recording()[0])})
    assert (unnamed.status_code, unnamed.json()["error"]["param"]) == (400, "model")


@pytest.mark.parametrize("begin", [b"", b"RIFF\xff\xff\xff\xffWAVE"], ids=["no sound", "sound"])
@pytest.mark.parametrize("more", [1, 100_000, 15_000_000])
def test_beyond_25_mb(house: House, begin: bytes, more: int) -> None:
    """Whatever else is wrong with the file, its size is told: that is what its sender can see."""
    large = hear(house, begin + bytes(26_214_400 + more - len(begin)))
    assert (large.status_code, large.json()["error"]["code"]) == (400, "file_too_large")
    assert large.json()["error"]["message"].startswith("File size exceeds maximum of 25MB")
    assert "/v1/audio/jobs" in large.json()["error"]["message"]


def test_exactly_25_mb_are_taken(house: House) -> None:
    """The limit is 26,214,400 bytes of file, whatever the form around it weighs."""
    answer = hear(house, b"RIFF" + bytes(26_214_396))
    assert answer.json()["error"]["code"] != "file_too_large"


@pytest.mark.processes
def test_providers_that_fail_are_named_and_shown_as_503(house: House) -> None:
    answer = hear(house, prompt="oracle: fail=99 error=unavailable")
    assert answer.status_code in (502, 503)
    assert "oracle" in answer.json()["error"]["message"]
    assert int(answer.headers["retry-after"]) >= 1


def test_failures_say_what_they_took_and_cost(house: House) -> None:
    answers = [hear(house, b"no sound"), house.post(SPEAK, json={"model": "oracle"}), house.client.post(HEAR)]
    assert [answer.status_code for answer in answers] == [400, 400, 401]
    assert answers[1].json()["error"]["message"] == "input text is required"
    for answer in answers:
        assert answer.headers["x-perf-request-id"].startswith("req_")
        assert answer.headers["x-perf-latency-ms"].isdigit()
        assert answer.headers["x-perf-cost-usd"] == "0"


FORMATS = {
    "mp3": ("audio/mpeg", (b"\xff", b"ID3")),
    "opus": ("audio/opus", (b"OggS",)),
    "aac": ("audio/aac", (b"\xff\xf1", b"\xff\xf9")),
    "flac": ("audio/flac", (b"fLaC",)),
    "wav": ("audio/wav", (b"RIFF",)),
    "pcm": ("audio/pcm", (b"",)),
}


@pytest.mark.processes
@pytest.mark.parametrize("name", FORMATS)
def test_speech_in_every_format(house: House, name: str) -> None:
    answer = house.post(
        SPEAK, json={"model": "oracle", "input": "hello there", "voice": "nova", "response_format": name}
    )
    assert answer.status_code == 200, answer.text
    kind, starts = FORMATS[name]
    assert answer.headers["content-type"] == kind
    assert answer.headers["x-perf-model-used"]
    assert answer.content.startswith(starts)
    assert len(answer.content) > 500


@pytest.mark.processes
@pytest.mark.parametrize("name", ["wav", "flac"])
def test_speech_made_at_once_has_a_header_that_tells_its_length(house: House, name: str) -> None:
    """A busy machine may take longer than the moment that is waited for: then it is a stream, and asked for again."""
    asked = {"model": "oracle", "input": "hello there", "voice": "nova", "response_format": name}
    unsaid = {"wav": (slice(40, 44), b"\xff" * 4), "flac": (slice(22, 26), bytes(4))}[name]
    answers = (house.post(SPEAK, json=asked).content for _ in range(10))
    data = next(data for data in answers if data[unsaid[0]] != unsaid[1])
    samples = len(soundfile.read(io.BytesIO(data))[0])
    assert 8_000 < samples < 240_000
    if name == "wav":
        with wave.open(io.BytesIO(data)) as file:
            assert file.getnframes() == samples == (len(data) - 44) // 2
    else:
        assert int.from_bytes(data[18:26], "big") & (1 << 36) - 1 == samples


@pytest.mark.processes
def test_speech_is_heard_again(house: House) -> None:
    spoken = house.post(
        SPEAK, json={"model": "oracle", "input": "hello there", "voice": {"id": "nova"}, "response_format": "wav"}
    )
    heard = hear(house, spoken.content)
    assert heard.status_code == 200, heard.text
    assert heard.json()["text"]


def test_speed_changes_the_length(house: House) -> None:
    def frames(speed: float) -> int:
        asked = {
            "model": "oracle",
            "input": "one two three four",
            "voice": "alloy",
            "response_format": "pcm",
            "speed": speed,
        }
        return len(house.post(SPEAK, json=asked).content)

    assert frames(0.5) > frames(1.0) > frames(2.0)


def test_speech_as_events(house: House) -> None:
    asked = {"model": "oracle", "input": "hello", "voice": "alloy", "response_format": "pcm", "stream_format": "sse"}
    answer = house.post(SPEAK, json=asked)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(part.removeprefix("data: ")) for part in answer.text.strip().split("\n\n")]
    assert {one["type"] for one in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "speech.audio.done"
    assert set(events[-1]["usage"]) == {"input_tokens", "output_tokens", "total_tokens"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": " \n"}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"speed": 0.2}, "speed"),
        ({"speed": 4.1}, "speed"),
        ({"response_format": "midi"}, "response_format"),
        ({"model": None}, "model"),
        ({"voice": 7}, "voice"),
        ({"voice": {}}, "voice"),
        ({"input": None}, "input"),
        ({"voice": {"id": ""}}, "voice"),
    ],
)
def test_bad_speech(house: House, fields: dict[str, Any], param: str) -> None:
    answer = house.post(SPEAK, json={"model": "oracle", "input": "hello", "voice": "alloy", **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    if param == "input" and not (fields["input"] or "").strip():
        assert answer.json()["error"]["message"] == "input text is required"


@pytest.mark.parametrize("headers", [{}, {"Prefer": "respond-async"}], ids=["at once", "as a job"])
def test_speech_wants_a_voice(house: House, headers: dict[str, str]) -> None:
    asked = {"model": "oracle", "input": "hello"}
    for given in (asked, {**asked, "voice": None}):
        answer = house.post(SPEAK, json=given, headers=house.auth() | headers)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "voice"), answer.text


def test_models(house: House) -> None:
    body = house.get("/v1/models").json()
    assert body["object"] == "list"
    by_id = {one["id"]: one for one in body["data"]}
    whisper = by_id["whisper-1"]
    assert {"id", "object", "created", "owned_by", "tasks", "formats", "prices", "available"} <= set(whisper)
    assert whisper["tasks"] == ["transcription", "translation"]
    assert (whisper["task"], whisper["endpoint"]) == ("transcription", "/v1/audio/transcriptions")
    assert {"json", "verbose_json", "text", "srt", "vtt"} <= set(whisper["formats"])
    assert "diarized_json" not in whisper["formats"]
    assert whisper["prices"] == {"currency": "usd", "audio_minute": "0.006"}
    assert set(by_id["tts-1"]["formats"]) == {"mp3", "opus", "aac", "flac", "wav", "pcm"}
    assert whisper.items() <= house.get("/v1/models/whisper-1").json().items()
    unknown = house.get("/v1/models/openai%2Fwhisper-large-v3")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    assert "openai/whisper-large-v3" in unknown.json()["error"]["message"]


def test_a_wav_answer_is_a_wav(house: House) -> None:
    answer = house.post(SPEAK, json={"model": "oracle", "input": "hello", "voice": "alloy", "response_format": "wav"})
    with wave.open(io.BytesIO(answer.content)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
