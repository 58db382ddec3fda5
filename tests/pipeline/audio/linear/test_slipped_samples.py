"""Where bytes are missing among linear samples, so that those behind are read from the middle of one to the middle of the next."""

import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.audio.decode import decode
from pipeline.audio.linear.slipped_samples import slipped_samples
from pipeline.audio.sniff import sniff_file
from pipeline.oracle.speech import VOCABULARY, say
from tests.pipeline.audio.sounds import ffmpeg, wav

RATE = 16_000
WORDS = random.Random(1).sample(VOCABULARY, 16)
SPEECH = np.frombuffer(say(WORDS, gap_s=0.05, edge_s=0.1), "<i2").astype(float)
NOISE = np.random.default_rng(1).normal(0, 12, len(SPEECH))  # of a room; in silence no place can be told from another
FRONT, BACK = SPEECH[: len(SPEECH) // 2], SPEECH[len(SPEECH) // 2 :]
NEAR, PAUSE = 64, 800  # frames; between words the bytes of a float look alike
FORMS: dict[str, tuple[str, ...]] = {
    "a.wav": ("-c:a", "pcm_s16le"),
    "24.wav": ("-c:a", "pcm_s24le"),
    "stereo.wav": ("-c:a", "pcm_s16le", "-ac", "2"),
    "stereo24.wav": ("-c:a", "pcm_s24le", "-ac", "2"),
    "32.wav": ("-c:a", "pcm_s32le"),
    "float.wav": ("-c:a", "pcm_f32le"),
    "double.wav": ("-c:a", "pcm_f64le"),
    "long.wav": ("-c:a", "pcm_s16le", "-rf64", "always"),
    "padded.wav": ("-af", "aformat=s16", "-c:a", "pcm_s24le"),
    "a.w64": ("-c:a", "pcm_s24le"),
    "a.aiff": (),
    "24.aiff": ("-c:a", "pcm_s24be"),
    "little.aifc": ("-c:a", "pcm_s16le", "-f", "aiff"),
    "a.caf": ("-c:a", "pcm_s24le"),
    "a.au": (),
    "float.au": ("-c:a", "pcm_f32be"),
}


def all_found(data: bytes) -> tuple[tuple[int, int], ...]:
    kind = sniff_file(lambda offset: data[offset : offset + 8192])
    return slipped_samples(lambda at, length: data[at : at + length], kind, len(data))


def found(data: bytes) -> tuple[int, int] | None:
    """The only place."""
    places = all_found(data)
    assert len(places) <= 1
    return places[0] if places else None


def made(folder: Path, name: str) -> bytes:
    (folder / "source.raw").write_bytes(((SPEECH + NOISE) / 32_768).astype("<f4").tobytes())
    ffmpeg("-f", "f32le", "-ar", RATE, "-ac", 1, "-i", folder / "source.raw", *FORMS[name], folder / name)
    return (folder / name).read_bytes()


@pytest.mark.processes
@pytest.mark.parametrize("name", FORMS)
def test_the_place_is_found_in_every_container_and_width(tmp_path: Path, name: str) -> None:
    data = made(tmp_path, name)
    frame = len(data) // len(SPEECH)
    for share, missing in ((0.2, 1), (0.45, 24_001), (0.7, 5)):
        at = int(len(data) * share)
        place, count = found(data[:at] + data[at + missing :]) or (0, 0)
        near = PAUSE if name.startswith(("float", "double")) else NEAR
        assert count == missing and abs(place - at) <= near * frame


@pytest.mark.processes
@pytest.mark.parametrize("name", FORMS)
def test_what_is_whole_or_was_cut_off_stays_as_it_is(tmp_path: Path, name: str) -> None:
    data = made(tmp_path, name)
    cuts = [random.Random(name).randrange(200, len(data)) for _ in range(20)]
    assert [found(data[:cut]) for cut in (len(data), *cuts)] == [None] * 21


def loud(signal: NDArray[np.float64], decibels: float) -> NDArray[np.float64]:
    return signal * 10 ** (decibels / 20)


ODD: dict[str, NDArray[np.float64]] = {
    "silence": np.zeros(len(SPEECH)),
    "the loudest noise": np.random.default_rng(2).uniform(-32_768, 32_767, len(SPEECH)),
    "a room alone": NOISE / 4,
    "overdriven": np.sign(SPEECH + NOISE) * 32_000,
    "8 bits, then 16": np.concatenate([np.round(FRONT / 256) * 256, BACK]),
    "16 bits, then 8": np.concatenate([FRONT, np.round(BACK / 256) * 256]),
    "loud, then soft": np.concatenate([FRONT, loud(BACK, -50)]),
    "soft, then loud": np.concatenate([loud(FRONT, -50), BACK]),
    "a low tone, then a high one": 20_000 * np.sin(np.cumsum(np.linspace(0.02, 3.1, len(SPEECH)))),
    "speech, then noise": np.concatenate([FRONT, np.random.default_rng(3).uniform(-32_768, 32_767, len(BACK))]),
}


@pytest.mark.parametrize("name", ODD)
def test_no_sound_looks_as_if_it_had_slipped(name: str) -> None:
    """However it changes, where nothing but its end is missing."""
    samples = ODD[name].clip(-32_768, 32_767).astype("<i2")
    turns = np.arange(len(samples)) < len(samples) // 2
    for data in (
        wav(samples.tobytes()),
        wav(np.stack([samples * turns, samples * ~turns], axis=1).tobytes(), channels=2),
    ):
        cuts = [random.Random(number).randrange(200, len(data)) for number in range(20)]
        assert [found(data[:cut]) for cut in cuts] == [None] * 20


@pytest.mark.parametrize("decibels", [0, -20, -40])
def test_soft_speech_tells_it_too(decibels: int) -> None:
    data = wav((loud(SPEECH, decibels) + NOISE / 4).clip(-32_768, 32_767).astype("<i2").tobytes())
    place, missing = found(data[:100_000] + data[120_001:]) or (0, 0)
    assert missing == 20_001 and abs(place - 100_000) <= 2 * NEAR


@pytest.mark.processes
def test_tags_behind_the_sound_do_not_hide_it() -> None:
    """What they are moved by is told by the length of all."""
    whole = bytearray(wav((SPEECH + NOISE).clip(-32_768, 32_767).astype("<i2").tobytes()))
    whole += b"LIST" + (4_000).to_bytes(4, "little") + bytes(4_000)
    whole[4:8] = (len(whole) - 8).to_bytes(4, "little")
    data = bytes(whole[:100_000] + whole[100_001:])
    place, missing = found(data) or (0, 0)
    assert missing == 1 and abs(place - 100_000) <= 2 * NEAR
    with decode(data) as sound:
        assert sum(map(len, sound)) // 2 == len(SPEECH), "no tag is heard"
        assert [warning.code for warning in sound.findings.warnings] == ["damaged"]


@pytest.mark.processes
@pytest.mark.parametrize(("name", "missing"), [("24.wav", 4096), ("stereo24.wav", 512), ("a.wav", 3)])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_as_much_at_several_places(tmp_path: Path, name: str, missing: int, count: int) -> None:
    """Blocks of a disk that could not be read."""
    data = made(tmp_path, name)
    frame, places = len(data) // len(SPEECH), [len(data) * (number + 1) // (count + 1) for number in range(count)]
    left = data
    for at in reversed(places):
        left = left[:at] + left[at + missing :]
    told = all_found(left)
    if name == "a.wav" and count % 2 == 0:
        assert told == (), "so many missing bytes are whole samples"
        return
    assert [many for _, many in told] == [missing] * count
    for number, ((place, _), at) in enumerate(zip(told, places, strict=True)):
        assert abs(place + number * missing - at) <= NEAR * frame
    with decode(left) as sound:
        ends = [at + len(pcm) // 2 for at, pcm in sound.pieces()]
    assert abs(ends[-1] - len(SPEECH)) <= 2, "as long as it was"
    assert [warning.code for warning in sound.findings.warnings] == ["damaged"]


@pytest.mark.processes
def test_of_as_many_bytes_as_nobody_knows_the_sound_is_heard_at_least(tmp_path: Path) -> None:
    data = made(tmp_path, "24.wav")
    one, other = len(data) // 3, len(data) * 2 // 3
    left = data[:one] + data[one + 1_000 : other] + data[other + 5_000 :]
    assert [many for _, many in all_found(left)] == [1_000 % 3, 5_000 % 3]
    with decode(left) as sound:
        assert abs(sum(map(len, sound)) // 2 - (len(SPEECH) - 6_000 // 3)) <= 2
    assert {warning.code for warning in sound.findings.warnings} == {"damaged", "truncated"}


def test_whole_samples_leave_no_trace() -> None:
    data = wav((SPEECH + NOISE).clip(-32_768, 32_767).astype("<i2").tobytes())
    assert found(data[:100_000] + data[120_000:]) is None


def test_of_a_long_file_little_is_read() -> None:
    once = np.tile(SPEECH + NOISE, 40).clip(-32_768, 32_767).astype("<i2").tobytes()
    data, reads = wav(once), list[int]()
    data = data[: len(data) // 3] + data[len(data) // 3 + 1_001 :]

    def read(at: int, length: int) -> bytes:
        reads.append(length)
        return data[at : at + length]

    kind = sniff_file(lambda offset: data[offset : offset + 8192])
    ((place, _),) = slipped_samples(read, kind, len(data))
    assert abs(place - len(data) // 3) < 1_100
    assert sum(reads) < len(data) // 4 and len(reads) < 300
