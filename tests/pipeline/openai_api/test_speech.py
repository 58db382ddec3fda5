"""What a server sends as speech has to be the bare samples that were asked for."""

import io
import wave

import numpy as np
import pytest

from pipeline.audio.encode import encode
from pipeline.errors import ProviderNonsense
from pipeline.openai_api.speech import samples
from pipeline.oracle.speech import say

PCM = say(["seven", "river"])


def wav(pcm: bytes, rate: int = 24_000, channels: int = 1) -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(pcm)
    return held.getvalue()


def through(sound: bytes, media_type: str = "audio/pcm", step: int = 1000) -> bytes:
    blocks = (sound[at : at + step] for at in range(0, len(sound), step))
    received = list(samples(blocks, media_type, sample_rate=24_000, provider="p"))
    assert all(received) and all(len(block) % 2 == 0 for block in received)
    return b"".join(received)


@pytest.mark.parametrize("step", [1, 3, 64, 1000, 10**6])
@pytest.mark.parametrize("media_type", ["audio/pcm", "application/octet-stream", "audio/mpeg", ""])
def test_samples_pass(step: int, media_type: str) -> None:
    assert through(PCM, media_type, step) == PCM


@pytest.mark.parametrize("pcm", [b"", b"\0\0", bytes(5000), b"{ " * 3 + bytes(500), b"\x7b\x00" * 900])
def test_unusual_samples_pass(pcm: bytes) -> None:
    assert through(pcm) == pcm


def test_half_a_sample_at_the_end_is_dropped() -> None:
    assert through(PCM + b"x", step=7) == PCM


@pytest.mark.parametrize("step", [1, 30, 10**6])
def test_a_wav_is_unwrapped(step: int) -> None:
    listed = wav(PCM)
    assert through(listed, step=step) == PCM
    assert through(listed + b"LIST\x04\x00\x00\x00abcd", step=step) == PCM
    assert through(listed[:12] + b"LIST\x04\x00\x00\x00abcd" + listed[12:], step=step) == PCM


def test_a_wav_of_unknown_length_is_unwrapped() -> None:
    streamed = b"".join(encode(iter([PCM]), sample_rate=24_000, target="wav"))
    assert through(streamed) == PCM


@pytest.mark.processes
@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_a_wav_of_another_rate_is_resampled(rate: int) -> None:
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype("<i2")
    received = np.frombuffer(through(wav(tone.tobytes(), rate)), "<i2")
    assert abs(len(received) - 24_000) < 600
    spectrum = np.abs(np.fft.rfft(received[:24_000].astype(float), 24_000))
    assert abs(int(spectrum.argmax()) - 440) <= 1


@pytest.mark.processes
@pytest.mark.parametrize("target", ["mp3", "opus", "aac", "flac"])
@pytest.mark.parametrize("media_type", ["audio/pcm", "application/octet-stream", "audio/mpeg"])
def test_other_containers_are_decoded(target: str, media_type: str) -> None:
    sound = b"".join(encode(iter([PCM]), sample_rate=24_000, target=target))
    received, sent = np.frombuffer(through(sound, media_type), "<i2"), np.frombuffer(PCM, "<i2")
    assert abs(len(received) - len(sent)) < 24_000 * 0.1
    shared = min(len(received), len(sent))
    assert np.corrcoef(received[:shared], sent[:shared])[0, 1] > 0.9, "the same sound at the same time"


@pytest.mark.processes
@pytest.mark.parametrize("magic", [b"ID3", b"fLaC", b"OggS"])
def test_what_only_begins_like_a_container_is_nonsense(magic: bytes) -> None:
    with pytest.raises(ProviderNonsense):
        through(magic + bytes(5000))


@pytest.mark.parametrize(
    ("sound", "media_type"),
    [
        (PCM, "text/html; charset=utf-8"),
        (PCM, "application/json"),
        (b'{"error": {"message": "The model is being loaded, please try again in a while"}}', "audio/pcm"),
        (b"<!doctype html>\n<html><head><title>Bad gateway</title></head><body></body></html>", "audio/pcm"),
        (wav(PCM, rate=1), "audio/wav"),
        (wav(PCM, channels=2), "audio/wav"),
        (b"RIFF" + bytes(5000), "audio/wav"),
    ],
)
def test_what_is_no_speech(sound: bytes, media_type: str) -> None:
    with pytest.raises(ProviderNonsense):
        through(sound, media_type)
