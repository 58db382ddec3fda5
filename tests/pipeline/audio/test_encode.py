"""Speech going out: every format valid and on time, streaming, with no thread or process left, whatever happens."""

import hashlib
import struct
import threading
import wave
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipeline.audio import encode as encoding
from pipeline.audio.decode import AudioFacts, decode
from pipeline.audio.encode import MEDIA_TYPES, encode
from pipeline.audio.ffmpeg.process import Child
from pipeline.audio.ffmpeg.sandbox import Level
from pipeline.errors import SandboxFailed, StenopoolError, UnsupportedValue
from pipeline.options import SPEECH_FORMATS
from tests.pipeline.audio.sounds import ONSETS, SECONDS, heard, tones
from tests.support.waiting import pause

RATE = 24_000
FACTS = {
    "mp3": AudioFacts("mp3", "mp3", 1, RATE),
    "opus": AudioFacts("ogg", "opus", 1, 48_000),
    "aac": AudioFacts("aac", "aac", 1, RATE),
    "flac": AudioFacts("flac", "flac", 1, RATE),
    "wav": AudioFacts("wav", "pcm_s16le", 1, RATE),
}


def blocks(pcm: bytes, size: int = 4801) -> Iterator[bytes]:
    """Cut anywhere, also inside a sample."""
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


def feeders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name in ("encode-feeder", "read-ahead")]


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    yield
    for thread in feeders():
        thread.join(60)
    assert not feeders()


def test_there_is_a_media_type_for_each_format() -> None:
    assert set(MEDIA_TYPES) == set(SPEECH_FORMATS)


@pytest.mark.processes
@pytest.mark.parametrize("target", FACTS)
def test_what_goes_out_can_be_heard(target: str, level: Level, nothing_left: None) -> None:
    data = b"".join(encode(blocks(tones(RATE).tobytes()), sample_rate=RATE, target=target, level=level))
    with decode(data) as sound:
        pcm = b"".join(sound)
        assert sound.facts == FACTS[target]
    assert heard(pcm) == pytest.approx(ONSETS, abs=0.003)
    assert len(pcm) / 32_000 == pytest.approx(SECONDS, abs=0.05)


@pytest.mark.processes
@pytest.mark.parametrize("sample_rate", [8000, 16_000, 22_050, 24_000, 48_000])
def test_pcm_is_always_24_khz(sample_rate: int) -> None:
    data = b"".join(encode(blocks(tones(sample_rate).tobytes()), sample_rate=sample_rate, target="pcm"))
    assert len(data) == SECONDS * RATE * 2
    assert heard(data, RATE) == pytest.approx(ONSETS, abs=0.003)


def test_pcm_at_24_khz_is_not_touched() -> None:
    pcm = tones(RATE).tobytes()
    assert b"".join(encode([pcm], sample_rate=RATE, target="pcm")) == pcm


@pytest.mark.processes
@pytest.mark.parametrize("sample_rate", [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("target", FACTS)
def test_any_voice_fits_into_any_format(target: str, sample_rate: int) -> None:
    data = b"".join(encode([tones(sample_rate).tobytes()], sample_rate=sample_rate, target=target))
    with decode(data) as sound:
        assert heard(b"".join(sound)) == pytest.approx(ONSETS, abs=0.004)


def test_a_streamed_wav_can_be_read_by_python() -> None:
    """Its header says 0xFFFFFFFF, for unknown; a reader gets what is there."""
    pcm = tones(RATE).tobytes()
    with wave.open(BytesIO(b"".join(encode(blocks(pcm), sample_rate=RATE, target="wav")))) as file:
        assert file.getparams()[:3] == (1, 2, RATE)
        assert file.readframes(file.getnframes()) == pcm


PCM = tones(RATE).tobytes()
ODD = PCM + b"\1"  # half a sample too many
LENGTH_TELLERS = ("wav", "flac")


def slowly(pcm: bytes, after: threading.Event) -> Iterator[bytes]:
    """The last half not before `after`."""
    yield pcm[: len(pcm) // 2]
    assert after.wait(60)
    yield pcm[len(pcm) // 2 :]


def strictly_read(data: bytes, target: str) -> bytes:
    """The samples, by readers that believe the header; it must be true to the byte."""
    if target == "wav":
        assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8
        assert struct.unpack_from("<I", data, 40)[0] == len(data) - 44
        with wave.open(BytesIO(data)) as file:
            assert file.getnframes() == (len(data) - 44) // 2
            return file.readframes(file.getnframes())
    samples, rate = soundfile.read(BytesIO(data), dtype="int16")
    found = soundfile.info(BytesIO(data))
    assert (found.frames, rate, found.channels) == (len(samples), RATE, 1)
    assert int.from_bytes(data[18:26], "big") & (1 << 36) - 1 == len(samples)
    return bytes(samples.astype("<i2").tobytes())


def decoded(data: bytes) -> bytes:
    """By a reader that believes no header."""
    with decode(data, sample_rate=RATE) as sound:
        return b"".join(sound)


@pytest.mark.processes
@pytest.mark.parametrize("size", [100, 4801, 1_000_000])
@pytest.mark.parametrize("pcm", [PCM, ODD], ids=["whole", "odd"])
@pytest.mark.parametrize("target", LENGTH_TELLERS)
def test_headers_tell_the_length_of_what_is_made_at_once(target: str, pcm: bytes, size: int) -> None:
    data = b"".join(encode(blocks(pcm, size), sample_rate=RATE, target=target, patience=60.0))
    assert strictly_read(data, target) == PCM
    if target == "flac":
        assert data[26:42] == (hashlib.md5(PCM).digest() if pcm is PCM else bytes(16))


@pytest.mark.processes
@pytest.mark.parametrize("target", LENGTH_TELLERS)
def test_and_of_what_is_known_to_come(target: str) -> None:
    data = b"".join(encode(blocks(PCM), sample_rate=RATE, target=target, samples=len(PCM) // 2))
    assert strictly_read(data, target) == PCM


@pytest.mark.processes
@pytest.mark.parametrize("target", MEDIA_TYPES)
def test_patience_ends(target: str, nothing_left: None) -> None:
    """The voice waits for the listener, who gets the stream's beginning before."""
    received = threading.Event()
    output = encode(slowly(PCM, received), sample_rate=RATE, target=target, patience=0.2)
    first = next(output)
    assert first
    received.set()
    data = first + b"".join(output)
    if target == "wav":
        assert data[4:8] == data[40:44] == b"\xff" * 4 and data[44:] == PCM
    elif target == "flac":
        assert int.from_bytes(data[18:26], "big") & (1 << 36) - 1 == 0 and data[26:42] == bytes(16)
        assert decoded(data) == PCM


@pytest.mark.processes
@pytest.mark.parametrize("target", LENGTH_TELLERS)
def test_a_long_voice_of_many_blocks_loses_none(target: str) -> None:
    """More blocks than are read ahead, slower than patience lasts."""
    pcm = (np.arange(400_000) % 3001).astype("<i2").tobytes()

    def voice() -> Iterator[bytes]:
        for number, block in enumerate(blocks(pcm, 20_000)):
            pause(0.02 if number < 10 else 0)
            yield block

    data = b"".join(encode(voice(), sample_rate=RATE, target=target, patience=0.05))
    assert (data[44:] if target == "wav" else decoded(data)) == pcm


@pytest.mark.processes
@pytest.mark.parametrize("target", LENGTH_TELLERS)
def test_what_a_voice_raises_is_raised_to_the_patient_too(target: str, nothing_left: None) -> None:
    def voice() -> Iterator[bytes]:
        yield PCM
        raise LookupError("the voice broke")

    with pytest.raises(LookupError, match="the voice broke"):
        list(encode(voice(), sample_rate=RATE, target=target, patience=60.0))

    def mute() -> Iterator[bytes]:
        raise LookupError("no voice")
        yield b""

    with pytest.raises(LookupError, match="no voice"):
        list(encode(mute(), sample_rate=RATE, target=target, patience=60.0))


@pytest.mark.processes
@pytest.mark.parametrize("target", LENGTH_TELLERS)
def test_a_listener_who_leaves_the_patient_ends_it_all(target: str, nothing_left: None) -> None:
    closed = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield PCM
                pause(0.01)
        finally:
            closed.set()

    output = encode(endless(), sample_rate=RATE, target=target, patience=0.1)
    next(output)
    output.close()
    assert closed.wait(60)


@pytest.mark.processes
def test_equal_sound_gives_equal_bytes() -> None:
    pcm = tones(RATE).tobytes()
    for target in MEDIA_TYPES:
        first, second = (b"".join(encode(blocks(pcm), sample_rate=RATE, target=target)) for _ in range(2))
        assert first == second


@pytest.mark.processes
@pytest.mark.parametrize("target", MEDIA_TYPES)
def test_the_first_bytes_come_before_the_last_are_spoken(target: str) -> None:
    """The voice waits for the listener: with all but the first second still unsaid there is something to send."""
    received = threading.Event()

    def voice() -> Iterator[bytes]:
        yield tones(RATE, seconds=1, onsets=(0.1,)).tobytes()
        assert received.wait(60)
        yield tones(RATE, seconds=1, onsets=(0.1,)).tobytes()

    output = encode(voice(), sample_rate=RATE, target=target)
    first = next(output)
    assert first
    received.set()
    assert b"".join(output)


@pytest.mark.processes
@pytest.mark.parametrize("target", MEDIA_TYPES)
def test_no_sound_at_all_is_no_error(target: str) -> None:
    assert len(b"".join(encode([], sample_rate=RATE, target=target))) < 10_000


@pytest.mark.processes
def test_what_the_voice_raises_reaches_the_listener(nothing_left: None, level: Level) -> None:
    def voice() -> Iterator[bytes]:
        yield tones(RATE).tobytes()
        raise LookupError("the voice broke")

    with pytest.raises(LookupError, match="the voice broke"):
        list(encode(voice(), sample_rate=RATE, target="mp3", level=level))


def test_a_broken_pipe_of_the_voice_is_its_error_not_ours() -> None:
    def voice() -> Iterator[bytes]:
        yield bytes(4800)
        raise BrokenPipeError("the provider hung up")

    with pytest.raises(BrokenPipeError, match="the provider hung up"):
        list(encode(voice(), sample_rate=RATE, target="wav"))


@pytest.mark.processes
def test_a_listener_who_leaves_ends_it_all(nothing_left: None, level: Level) -> None:
    closed = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield tones(RATE).tobytes()
        finally:
            closed.set()

    output = encode(endless(), sample_rate=RATE, target="mp3", level=level)
    next(output)
    output.close()
    assert closed.wait(60)
    for thread in feeders():
        thread.join(60)


def test_a_listener_who_leaves_while_the_voice_is_thinking(nothing_left: None) -> None:
    thought = threading.Event()

    def slow() -> Iterator[bytes]:
        yield tones(RATE).tobytes()
        thought.wait(60)
        yield tones(RATE).tobytes()

    output = encode(slow(), sample_rate=RATE, target="wav")
    next(output)
    output.close()  # does not wait for the voice
    assert not thought.is_set()
    thought.set()
    for thread in feeders():
        thread.join(60)


@pytest.mark.processes
def test_a_voice_that_thinks_is_not_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    excused = threading.Event()

    class Excused(Child):
        """One that is found to be silent again and again, and that nobody blames for it: the machine may be slow."""

        def __init__(self, *given: Any, excused: Callable[[], bool], **more: Any) -> None:
            super().__init__(*given, excused=partial(self._seen, excused), **more)

        def _seen(self, waits: Callable[[], bool]) -> bool:
            if waits():
                excused.set()
            return True

    def slow() -> Iterator[bytes]:
        yield bytes(4800)
        assert excused.wait(60), "while the voice thinks ffmpeg is excused"
        yield bytes(4800)

    monkeypatch.setattr(encoding, "Child", Excused)
    assert list(encode(slow(), sample_rate=RATE, target="mp3", stall_seconds=0.1))


def test_a_listener_who_is_slow_loses_nothing() -> None:
    """Far more than the pipes hold, read in small steps, while the voice waits for its turn."""
    pcm = (np.arange(3_000_000) % 30_011).astype("<i2").tobytes()
    output = encode(blocks(pcm, 65_537), sample_rate=RATE, target="pcm")
    assert b"".join(output) == pcm


def test_nothing_starts_before_somebody_listens(nothing_left: None) -> None:
    def voice() -> Iterator[bytes]:
        raise AssertionError("nobody listens")
        yield b""

    encode(voice(), sample_rate=RATE, target="mp3")


def test_an_unknown_format_is_refused_at_once() -> None:
    with pytest.raises(UnsupportedValue, match="mp3, opus, aac, flac, wav, pcm") as caught:
        encode([], sample_rate=RATE, target="ogg")
    assert caught.value.param == "response_format"


@pytest.mark.processes
def test_an_impossible_rate_is_an_error_not_a_hang(nothing_left: None) -> None:
    with pytest.raises(SandboxFailed) as caught:
        list(encode(blocks(bytes(1_000_000)), sample_rate=0, target="mp3"))
    assert isinstance(caught.value, StenopoolError)
    for thread in feeders():
        thread.join(60)


@pytest.mark.processes
def test_many_at_once(nothing_left: None, tmp_path: Path) -> None:
    expected = b"".join(encode([tones(RATE).tobytes()], sample_rate=RATE, target="mp3"))
    found: list[bytes] = []

    def one() -> None:
        found.append(b"".join(encode([tones(RATE).tobytes()], sample_rate=RATE, target="mp3")))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8
