"""How long a recording lasts, guessed from its two ends: near enough to hold money for, and never believed beyond reason."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.decode import decode
from pipeline.audio.duration.estimate import GUESSED_RATE, HEAD_BYTES, TAIL_BYTES, Ends, Estimate, estimate
from pipeline.transcript import samples_to_ms
from tests.pipeline.audio.sounds import ffmpeg, id3_tag, wav

SECONDS = 4  # of every recording
GUESSED = {
    "film.mpeg",
    "late-film.mpeg",
    "stream.mpeg",
    "pieces.mp4",
    "bare.tta",
    "mp3.wav",
}  # say nothing that we read
INEXACT = {"television.ts", "g722.wav"}  # clocks far apart; a rate that ffmpeg writes twice as high
SURE = {"original.wav", "pcm.wav", "float.wav"}


def of(data: bytes) -> Estimate:
    return estimate(data[:HEAD_BYTES], data[-TAIL_BYTES:], len(data))


def test_every_container_tells(recordings: Path) -> None:
    files = [path for path in sorted(recordings.iterdir()) if path.name not in GUESSED | INEXACT]
    found = {path.name: of(path.read_bytes()) for path in files}
    assert len(found) > 20
    off = {name: guess.ms for name, guess in found.items() if not -50 <= guess.ms - 1000 * SECONDS <= 800}
    assert not off
    assert {name for name, guess in found.items() if guess.sure} == SURE
    for name in INEXACT:
        assert 1900 <= of((recordings / name).read_bytes()).ms <= 4100


@pytest.mark.parametrize("name", ["windows.wma", "apple.caf", "camera.m2ts", "bare.ac3", "sun.au", "first.m4a"])
def test_a_tag_in_front_does_not_count(recordings: Path, name: str) -> None:
    data = (recordings / name).read_bytes()
    assert of(id3_tag(70_000) + data) == of(data)


def test_a_wav_of_packets_is_never_sure(recordings: Path) -> None:
    """Its rate is a claim, of which the number of bytes proves nothing."""
    assert not of((recordings / "microsoft.wav").read_bytes()).sure


def test_who_says_nothing_is_guessed_at(recordings: Path) -> None:
    for name in GUESSED & {path.name for path in recordings.iterdir()}:
        data = (recordings / name).read_bytes()
        assert of(data) == Estimate(len(data) * 1000 // GUESSED_RATE, guessed=True), name
    assert of(b"no sound at all") == Estimate(1, guessed=True)
    assert of(b"") == Estimate(0, guessed=True)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("ending", "codec"), [("ogg", "libopus"), ("mp3", "libmp3lame"), ("m4a", "aac"), ("aac", "aac")]
)
def test_minutes_are_known_from_both_ends_of_what_streams_by(tmp_path: Path, ending: str, codec: str) -> None:
    """More than the two ends hold, in blocks of any size."""
    path = tmp_path / f"long.{ending}"
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=150:c=pink:r=48000:a=0.5", "-c:a", codec, "-b:a", "128k", path)
    data, ends = path.read_bytes(), Ends()
    assert len(data) > HEAD_BYTES + TAIL_BYTES
    for start in range(0, len(data), 70_001):
        ends.add(data[start : start + 70_001])
    assert ends.estimate().ms == pytest.approx(150_000, rel=0.03)


@pytest.mark.parametrize("options", [("-c:a", "libopus"), ("-c:a", "aac"), ("-c:a", "pcm_s16le")])
@pytest.mark.parametrize("minutes", [0.1, 1.5])
@pytest.mark.processes
def test_a_recording_that_a_browser_made_lasts_to_its_last_block(
    tmp_path: Path, options: tuple[str, ...], minutes: float
) -> None:
    path = tmp_path / "live.mkv"
    sound = f"anoisesrc=d={60 * minutes}:c=pink:r=48000:a=0.5"
    ffmpeg("-f", "lavfi", "-i", sound, *options, "-b:a", "200k", "-live", "1", "-f", "matroska", path)
    assert of(path.read_bytes()).ms == pytest.approx(60_000 * minutes, rel=0.01)


def test_a_picture_in_front_does_not_count(recordings: Path) -> None:
    data, ends = (recordings / "lame.mp3").read_bytes(), Ends()
    whole = id3_tag(2 * HEAD_BYTES) + data
    for start in range(0, len(whole), 70_001):
        ends.add(whole[start : start + 70_001])
    assert ends.estimate() == of(data)


@pytest.mark.parametrize("name", ["lame.mp3", "voice.ogg", "music.flac", "pcm.wav"])
def test_recordings_that_were_joined_are_as_long_as_all_of_them(recordings: Path, name: str) -> None:
    data = (recordings / name).read_bytes()
    with decode(data + data) as sound:
        for _ in sound:
            pass
    assert of(data + data).ms == pytest.approx(samples_to_ms(sound.samples), rel=0.01)


@pytest.mark.processes
def test_flac_in_ogg_counts_its_samples(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=3:r=22050", "-c:a", "flac", path)
    assert of(path.read_bytes()) == Estimate(3_000)


@pytest.mark.parametrize("claimed", [0, 36_000, 0xFFFFFFFF])
def test_a_wav_counts_as_many_bytes_as_there_are(claimed: int) -> None:
    assert of(wav(bytes(32_000), data_size=claimed)) == Estimate(1000, sure=claimed > 0)


def test_wavs_that_were_joined_are_as_long_as_all_of_them() -> None:
    one = wav(bytes(32_000 * 30))
    guess = of(one * 3)
    assert abs(guess.ms - 90_000) < 10 and not guess.sure
    assert of(one + b"LIST\x10\0\0\0" + bytes(16)) == Estimate(30_000, sure=True)


def test_a_wav_of_one_sample_a_second_is_not_believed() -> None:
    guess = of(wav(bytes(32_000), sample_rate=1))
    assert guess.ms <= 32_044 * 1000 // 400
    assert not guess.sure


def test_no_header_is_believed_beyond_what_its_bytes_can_hold(recordings: Path) -> None:
    data = bytearray((recordings / "voice.ogg").read_bytes())
    last = data.rindex(b"OggS")
    data[last + 6 : last + 14] = struct.pack("<q", 48_000 * 365 * 86_400)
    assert of(bytes(data)).ms <= len(data) * 1000 // 400
    film = bytearray((recordings / "music.m4a").read_bytes())
    header = film.index(b"mvhd")
    film[header + 20 : header + 24] = b"\xff" * 4
    assert of(bytes(film)).ms <= len(film) * 1000 // 400


@given(data=st.binary(max_size=4000))
def test_nothing_breaks_it(recordings: Path, data: bytes) -> None:
    for name in (
        "original.wav",
        "apple.aiff",
        "music.flac",
        "lame.mp3",
        "voice.ogg",
        "music.m4a",
        "film.webm",
        "raw.aac",
        "windows.wma",
        "apple.caf",
        "sun.au",
        "studio.w64",
        "camera.m2ts",
        "plain.avi",
        "flash.flv",
        "lossless.wv",
        "creative.voc",
        "bare.ac3",
        "bare.dts",
    ):
        head = (recordings / name).read_bytes()[: 10 + len(data) % 200]
        guess = of(head + data)
        assert guess.ms >= 0
        assert guess.sure or guess.ms <= max(1, len(head + data)) * 1000


@pytest.mark.parametrize("name", ["lame.mp3", "voice.ogg", "music.flac", "music.m4a", "raw.aac"])
def test_a_short_recording_holds_what_it_will_cost(recordings: Path, name: str) -> None:
    """To the millisecond: of money for ten recordings of this length, ten must be accepted."""
    path = recordings / name
    with decode(path) as sound:
        for _ in sound:
            pass
    assert of(path.read_bytes()).ms == samples_to_ms(sound.samples)


@pytest.mark.parametrize(("rate", "samples", "ms"), [(22_050, 113_600, 5_152), (16_000, 16_007, 1_000), (8_000, 4, 1)])
def test_milliseconds_are_rounded_as_those_that_are_billed(rate: int, samples: int, ms: int) -> None:
    assert of(wav(bytes(2 * samples), sample_rate=rate)) == Estimate(ms, sure=True)
