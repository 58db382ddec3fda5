"""AU and AIFF of which the header says that their sound begins in the middle of a sample: heard as it is, and told."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.containers.table import AIFF, AU, CAF, W64, WAV, Container, Found
from pipeline.audio.decode import decode
from pipeline.audio.linear.misplaced_start import misplaced_start
from tests.pipeline.audio.linear.test_slipped_samples import NOISE, RATE, SPEECH
from tests.pipeline.audio.sounds import ffmpeg, wav

FORMS: dict[str, tuple[Container, int, tuple[str, ...]]] = {  # bytes of a sample, ffmpeg's options
    "a.au": (AU, 2, ()),
    "24.au": (AU, 3, ("-c:a", "pcm_s24be")),
    "32.au": (AU, 4, ("-c:a", "pcm_s32be")),
    "a.aiff": (AIFF, 2, ()),
    "streamed.au": (AU, 2, ()),
    "streamed24.au": (AU, 3, ("-c:a", "pcm_s24be")),
    "24.aiff": (AIFF, 3, ("-c:a", "pcm_s24be")),
}
STREAMED = (
    "streamed.au",
    "streamed24.au",
)  # of which nobody knows how long it is: a whole sample later nobody can tell
LATE, NEAR = 8, 8  # samples that may be passed over; by how much any may differ


def made(folder: Path, name: str, options: tuple[str, ...]) -> bytearray:
    (folder / "source.raw").write_bytes(((SPEECH + NOISE) / 32_768).astype("<f4").tobytes())
    ffmpeg("-f", "f32le", "-ar", RATE, "-ac", 1, "-i", folder / "source.raw", *options, folder / name)
    data = bytearray((folder / name).read_bytes())
    if name in STREAMED:
        data[8:12] = b"\xff" * 4
    return data


def start_place(data: bytes, container: Container) -> int:
    return 4 if container is AU else data.index(b"SSND") + 8


@pytest.mark.processes
@pytest.mark.parametrize("by", [1, 3, 5])
@pytest.mark.parametrize("name", FORMS)
def test_sound_is_heard_from_where_a_sample_begins(tmp_path: Path, name: str, by: int) -> None:
    container, width, options = FORMS[name]
    data = made(tmp_path, name, options)
    data[start_place(data, container) + 3] += by
    with decode(bytes(data)) as sound:
        samples = np.frombuffer(b"".join(sound), "<i2").astype(float)
    warned = [(caution.code, caution.lost) for caution in sound.findings.warnings if not caution.lost]
    assert warned == ([] if name in STREAMED and by % width == 0 else [("damaged", False)])
    shared = len(SPEECH) - 2 * LATE
    whole = SPEECH + NOISE
    assert len(samples) == pytest.approx(len(SPEECH), abs=LATE)
    assert (
        min(np.abs(whole[late : late + shared - LATE] - samples[: shared - LATE]).max() for late in range(LATE)) < NEAR
    )


HEADERS: dict[
    str, tuple[Container, tuple[str, ...], bytes, range]
] = {  # where the length of the sound is told: behind which bytes
    "a.wav": (WAV, (), b"data", range(4)),
    "24.wav": (WAV, ("-c:a", "pcm_s24le"), b"data", range(4)),
    "stereo.wav": (WAV, ("-ac", "2"), b"data", range(4)),
    "a.w64": (W64, (), bytes.fromhex("f3acd3118cd100c04f8edb8a"), range(8)),
    "little.caf": (CAF, ("-c:a", "pcm_s16le"), b"data", range(12)),
    "a.caf": (CAF, ("-c:a", "pcm_s16be"), b"data", range(12)),
}


@pytest.mark.processes
@pytest.mark.parametrize("name", HEADERS)
def test_a_byte_that_is_missing_in_front_of_the_sound_makes_no_noise_of_it(tmp_path: Path, name: str) -> None:
    _, options, before, places = HEADERS[name]
    data = made(tmp_path, name, options)
    begin = data.rindex(before, 0, 1000) + len(before)
    for place in places:
        with decode(bytes(data[: begin + place] + data[begin + place + 1 :])) as sound:
            samples = np.frombuffer(b"".join(sound), "<i2").astype(float)
        assert ("damaged", False) in [(caution.code, caution.lost) for caution in sound.findings.warnings], place
        shared = min(len(SPEECH), len(samples)) - 2 * LATE
        alike = [np.corrcoef((SPEECH + NOISE)[late : late + shared], samples[:shared])[0, 1] for late in range(LATE)]
        assert max(alike) > 0.9, place  # of two channels the first may be the other's


@pytest.mark.processes
@pytest.mark.parametrize("name", FORMS)
def test_a_whole_one_is_left_as_it_is(tmp_path: Path, name: str) -> None:
    container, _, options = FORMS[name]
    data = bytes(made(tmp_path, name, options))
    assert misplaced_start(lambda at, length: data[at : at + length], Found(container), len(data)) is None


SOUNDS = {
    "8 bits, clipped": (np.random.default_rng(1).normal(0, 50, 60_000).astype(int) << 8).clip(-32_768, 32_767),
    "noise": np.random.default_rng(2).integers(-32_768, 32_768, 60_000),
    "high": (20_000 * np.sin(np.pi * 0.99 * np.arange(60_000))).astype(int),
    "soft": np.random.default_rng(3).integers(-3, 4, 60_000),
    "square": np.where(np.arange(60_000) // 20 % 2, 30_000, -30_000),
}


@pytest.mark.processes
@pytest.mark.parametrize("options", [("-c:a", "pcm_s16be"), ("-c:a", "pcm_s24be"), ("-c:a", "pcm_s8")])
@pytest.mark.parametrize("name", SOUNDS)
def test_nor_is_one_of_few_bits_or_of_a_sound_that_looks_like_it(
    tmp_path: Path, name: str, options: tuple[str, str]
) -> None:
    (tmp_path / "source.wav").write_bytes(wav(SOUNDS[name].astype("<i2").tobytes()))
    ffmpeg("-i", tmp_path / "source.wav", *options, tmp_path / "a.aiff")
    data = (tmp_path / "a.aiff").read_bytes()
    assert misplaced_start(lambda at, length: data[at : at + length], Found(AIFF), len(data)) is None


@pytest.mark.processes
@pytest.mark.parametrize("name", ["a.aiff", "a.au"])
def test_where_the_samples_are_counted_no_more_are_passed_over(tmp_path: Path, name: str) -> None:
    data = made(tmp_path, name, ())
    place = start_place(data, FORMS[name][0])
    data[place + 2] = 0x40  # 16 KiB behind where they begin
    with decode(bytes(data)) as sound:
        assert len(b"".join(sound)) == pytest.approx(2 * len(SPEECH), abs=2)
