"""What a server finds too large is cut, and remembered; what a model does not know is left out from then on."""

import io
import re
import wave
from collections.abc import Callable

import httpx2
import numpy as np
import pytest

from pipeline.errors import CatalogBroken, ProviderRefused, UnsupportedValue
from pipeline.openai_api.audio_payload import as_file, quietest
from pipeline.openai_api.client import Config, Server
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.provider_protocol import FileRefused
from pipeline.providers.openai import OpenAI, check
from pipeline.transcript import SAMPLE_RATE

ASKED = TranscriptionOptions(model="any")
Answer = Callable[[httpx2.Request], httpx2.Response]


def noise(seconds: float) -> bytes:
    """White, with a silence in the second third's middle."""
    sound = np.random.default_rng(7).normal(0, 3000, round(seconds * SAMPLE_RATE))
    middle = round(0.45 * len(sound))
    sound[middle : middle + SAMPLE_RATE // 2] = 0
    return sound.astype("<i2").tobytes()


class Upstream:
    """Takes files of `limit` bytes, and says how many samples of WAV it was given."""

    def __init__(self, limit: int = 10**9, answer: Answer | None = None) -> None:
        self.limit, self.answer = limit, answer
        self.sizes: list[int] = []
        self.bodies: list[bytes] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        body = request.read()
        self.sizes.append(len(body))
        self.bodies.append(body)
        if len(body) > self.limit:
            return httpx2.Response(413, html="<html>too large")
        if self.answer:
            return self.answer(request)
        with wave.open(io.BytesIO(body[body.index(b"RIFF") :])) as file:
            seconds = file.getnframes() / SAMPLE_RATE
        return httpx2.Response(200, json={"text": "a", "segments": [{"text": "a", "start": 0, "end": seconds}]})

    def opened(self, **settings: object) -> OpenAI:
        config = Config.model_validate({"base_url": "http://x/v1", "retry_s": 0, **settings})
        return OpenAI(Server(config, httpx2.MockTransport(self)))


def test_a_chunk_that_is_too_large_is_heard_in_halves() -> None:
    upstream = Upstream(limit=1_000_000)
    provider = upstream.opened(containers=("wav",))
    heard = provider.hear(noise(40), ASKED, "m")
    ends = [segment.end for segment in heard.segments]
    assert 18_000 < ends[0] < 18_500 and ends[-1] == 40_000, "cut in the silence at 18 s"
    assert all(before.end == after.start for before, after in zip(heard.segments, heard.segments[1:], strict=False))
    refused = sum(size > upstream.limit for size in upstream.sizes)
    provider.hear(noise(40), ASKED, "m")
    assert refused and sum(size > upstream.limit for size in upstream.sizes) == refused, "found out once"


def test_a_smaller_container_before_a_cut() -> None:
    upstream = Upstream(limit=400_000, answer=lambda _: httpx2.Response(200, json={"text": "a"}))
    assert len(upstream.opened().hear(noise(40), ASKED, "gpt-4o-transcribe").segments) == 1
    assert b"audio.mp3" in upstream.bodies[-1]


def test_who_takes_nothing_is_not_asked_for_ever() -> None:
    upstream = Upstream(limit=0)
    with pytest.raises(ProviderRefused):
        upstream.opened().hear(noise(60), ASKED, "m")
    assert len(upstream.sizes) <= 6


def test_a_limit_in_seconds() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if len(request.content) > 700_000:
            return httpx2.Response(
                400, json={"error": {"message": "audio duration 30.0 seconds is longer than 20 seconds"}}
            )
        return httpx2.Response(200, json={"text": "a"})

    upstream = Upstream(answer=answer)
    provider = upstream.opened(containers=("wav",))
    assert len(provider.hear(noise(30), ASKED, "gpt-4o-transcribe").segments) == 2
    assert provider.takes.max_bytes > 20_000_000


@pytest.mark.parametrize("parameter", ["timestamp_granularities[]", "response_format"])
def test_a_parameter_that_was_refused_is_left_out_from_then_on(parameter: str) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        sent = dict(re.findall(rb'name="([^"]+)"\r\n(?:[^\r]+\r\n)*\r\n([^\r]*)', request.content))
        if sent.get(parameter.encode(), b"json") != b"json":
            return httpx2.Response(400, json={"error": {"message": "unknown", "param": parameter}})
        return httpx2.Response(200, json={"text": "a"})

    upstream = Upstream(answer=answer)
    provider = upstream.opened()
    for calls in (2, 3):
        assert provider.hear(noise(1), ASKED, "m").segments[0].text == "a"
        assert len(upstream.sizes) == calls


def test_a_voice_that_comes_as_wav_only() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if b'"pcm"' in request.content:
            return httpx2.Response(400, json={"error": {"message": "response_format must be wav"}})
        held = io.BytesIO()
        with wave.open(held, "wb") as file:
            file.setparams((1, 2, 24_000, 0, "NONE", ""))
            file.writeframes(bytes(2400))
        return httpx2.Response(200, content=held.getvalue())

    upstream = Upstream(answer=answer)
    provider = upstream.opened()
    for calls in (2, 3):
        assert b"".join(provider.speak(SpeechOptions(model="any", input="x"), "m")) == bytes(2400)
        assert len(upstream.sizes) == calls


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_file_that_is_refused(status: int) -> None:
    upstream = Upstream(answer=lambda _: httpx2.Response(status, json={"error": {"message": "Invalid file format."}}))
    with pytest.raises(FileRefused):
        upstream.opened().hear_file(b"OggS" * 100, "a.ogg", "audio/ogg", 1000, ASKED, "m")


def test_a_file_goes_out_as_it_is() -> None:
    upstream = Upstream(answer=lambda _: httpx2.Response(200, json={"text": "a", "duration": 1.5}))
    heard = upstream.opened().hear_file(b"OggS\r\n" * 100, "a.ogg", "audio/ogg", 1500, ASKED, "m")
    assert b"OggS\r\n" * 100 in upstream.bodies[0] and heard.duration == 1500


def test_a_wrong_value_of_the_callers_is_told() -> None:
    upstream = Upstream(answer=lambda _: httpx2.Response(400, json={"error": {"message": "no", "param": "language"}}))
    with pytest.raises(UnsupportedValue) as refused:
        upstream.opened().hear(noise(1), ASKED, "m")
    assert refused.value.param == "language"


def test_how_long_chunks_are() -> None:
    provider = Upstream().opened()
    captions = ASKED.model_copy(update={"response_format": "srt"})
    assert provider.profile_for(ASKED, "whisper-1").max_s == 300
    assert provider.profile_for(captions, "whisper-1").max_s == 300
    assert provider.profile_for(ASKED, "gpt-4o-transcribe").max_s == 300
    assert provider.profile_for(captions, "gpt-4o-transcribe").max_s == 30
    told_apart = ASKED.model_copy(update={"speakers": "auto"})
    assert provider.profile_for(told_apart, "gpt-4o-transcribe") == provider.profile_for(ASKED, "gpt-4o-transcribe")
    assert provider.profile_for(ASKED, "gpt-4o-transcribe-diarize").max_s == 1400


@pytest.mark.parametrize("seconds", [0.01, 1, 3])
def test_the_quietest_place(seconds: float) -> None:
    sound = np.full(round(seconds * SAMPLE_RATE), 900, dtype="<i2")
    assert abs(quietest(sound.tobytes()) - len(sound) / 2) <= 320, "the middle of what is equal everywhere"
    if seconds > 1:
        sound[20_000:24_000] = 0
        assert 20_000 < quietest(sound.tobytes()) < 24_000


def test_the_file_fits_or_there_is_none() -> None:
    pcm = noise(40)
    for most in (10**9, 1_200_000, 600_000, 330_000):
        sound = as_file(pcm, containers=("wav", "flac", "mp3"), most=most)
        assert sound and len(sound[1]) <= most
    assert as_file(pcm, containers=("wav", "flac", "mp3"), most=100_000) is None
    assert as_file(pcm, containers=("wav",), most=1_200_000) is None


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({}, "base_url"),
        ({"base_url": "ftp://x"}, "base_url"),
        ({"base_url": "http://x:port/v1"}, "base_url"),
        ({"base_url": "http://x", "api_key": "two words"}, "api_key"),
        ({"base_url": "http://x", "api_key_env": "NOT_THERE"}, "NOT_THERE"),
        ({"base_url": "http://x", "timeout": 5}, "timeout"),
        ({"base_url": "http://x", "containers": ["exe"]}, "containers"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, object], word: str) -> None:
    with pytest.raises(CatalogBroken, match=word) as broken:
        check({"name": "mine", **settings})
    assert "'mine'" in broken.value.message and "two words" not in broken.value.message
