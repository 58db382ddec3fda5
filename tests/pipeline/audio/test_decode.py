"""Every container, at every sandbox level: the right facts, the right times, and clear words for what is not sound."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.decode import AudioFacts, Decoding, decode
from pipeline.audio.ffmpeg.binary import Ffmpeg, find_ffmpeg
from pipeline.audio.ffmpeg.sandbox import Level
from pipeline.audio.mpeg_frames import mpeg_audio_frame
from pipeline.errors import (
    DamagedMedia,
    EmptyMedia,
    InputMissing,
    MediaTooLong,
    NoAudioTrack,
    SandboxFailed,
    StenopoolError,
    UnsupportedMedia,
)
from tests.pipeline.audio.sounds import CONTAINERS, FILMS, LATE, ONSETS, SECONDS, ffmpeg, heard, id3_tag, tones, wav

TOLERANCE = 0.003  # seconds
DELAYS = {  # seconds; codecs whose delay no container states
    "aac_latm": 0.024,
    "ac3": 0.006,
    "adpcm_ima_qt": 0.003,
    "amr_nb": 0.006,
    "dts": 0.011,
    "eac3": 0.006,
    "mp2": 0.012,
    "wmav1": 0.047,
    "wmav2": 0.047,
}
UNSTATED = {"flash.flv": 0.024, "mp3.avi": 0.026}  # the same, where others state it
LOSSLESS = (
    "pcm.wav",
    "float.wav",
    "pcm.mkv",
    "music.flac",
    "lossless.m4a",
    "apple.aiff",
    "apple.caf",
    "lossless.caf",
    "sun.au",
    "studio.w64",
    "plain.avi",
    "lossless.wv",
    "creative.voc",
    "little.aifc",
    "lame.mp3",
    "voice.ogg",
    "browser.webm",
)


def whole(source: Path | bytes, level: Level | None = None, **options: object) -> tuple[AudioFacts, bytes]:
    with Decoding(source, level=level, **options) as sound:
        pcm = b"".join(sound)
        assert sound.samples * 2 == len(pcm)
        return sound.facts, pcm


def played(source: Path | bytes) -> bytes:
    """As a player plays it: silence in the holes."""
    pcm = bytearray()
    with decode(source) as sound:
        for at, samples in sound.pieces():
            pcm += bytes(2 * at - len(pcm)) + samples
    return bytes(pcm)


def facts(text: str) -> AudioFacts:
    container, codec, channels, rate = text.split()
    return AudioFacts(container, codec, int(channels), int(rate))


@pytest.mark.parametrize("name", CONTAINERS)
def test_facts_and_times_of_each_container(recordings: Path, name: str, level: Level) -> None:
    found, pcm = whole(recordings / name, level)
    assert found == facts(CONTAINERS[name][0])
    assert heard(pcm) == pytest.approx(ONSETS, abs=UNSTATED.get(name, DELAYS.get(found.codec, TOLERANCE)))
    assert len(pcm) / 32_000 == pytest.approx(SECONDS, abs=0.09)


@pytest.mark.parametrize("name", LOSSLESS)
def test_sample_counts_are_exact(recordings: Path, name: str) -> None:
    assert len(whole(recordings / name)[1]) == SECONDS * 32_000


@pytest.mark.parametrize("name", FILMS)
def test_the_sound_of_a_film(recordings: Path, name: str, level: Level) -> None:
    found, pcm = whole(recordings / name, level)
    assert found == facts(FILMS[name][0])
    assert heard(pcm) == pytest.approx(ONSETS, abs=DELAYS.get(found.codec, TOLERANCE))


@pytest.mark.parametrize(
    "name", ["film.mp4", "film.webm", "film.mkv"]
)  # an MPEG program stream has no zero to count from
def test_sound_that_begins_late_keeps_the_time_of_the_film(recordings: Path, name: str) -> None:
    found, pcm = whole(recordings / f"late-{name}")
    late = [onset + LATE for onset in ONSETS]
    assert heard(pcm) == pytest.approx(late, abs=DELAYS.get(found.codec, TOLERANCE))


@pytest.mark.parametrize("name", ["lame.mp3", "music.m4a", "browser.webm", "late-film.mp4"])
def test_an_ffmpeg_without_the_fd_protocol_hears_the_same(recordings: Path, name: str, level: Level) -> None:
    today = find_ffmpeg()
    old = Ffmpeg(today.path, "5.1", (59, 27, 100))
    assert not old.reads_descriptors
    assert whole(recordings / name, level, tool=old) == whole(recordings / name, level, tool=today)


@pytest.mark.parametrize("name", ["pcm.wav", "music.m4a", "voice.ogg"])
def test_bytes_are_a_recording_too(recordings: Path, name: str, level: Level) -> None:
    assert whole((recordings / name).read_bytes(), level) == whole(recordings / name, level)


def test_blocks_are_small_and_hold_whole_samples(recordings: Path) -> None:
    with decode(recordings / "pcm.wav") as sound:
        sizes = [len(block) for block in sound]
    assert max(sizes) <= 64 * 1024
    assert not any(size % 2 for size in sizes)


@pytest.mark.processes
@pytest.mark.parametrize("channels", range(1, 9))
def test_every_number_of_channels_becomes_one(channels: int) -> None:
    found, pcm = whole(wav(np.repeat(tones(16_000), channels).tobytes(), channels=channels))
    assert found.channels == channels
    assert len(pcm) == SECONDS * 32_000
    assert heard(pcm) == pytest.approx(ONSETS, abs=TOLERANCE)


@pytest.mark.processes
@pytest.mark.parametrize("channel", range(3))
def test_one_channel_alone(channel: int) -> None:
    """Each of three channels has a tone of its own at another time; the others are silent."""
    onsets = [(0.5,), (1.5, 3.5), (2.5,)]
    together = np.stack([tones(16_000, onsets=mine) for mine in onsets], axis=1)
    _, pcm = whole(wav(together.tobytes(), channels=3), channel=channel)
    assert len(pcm) == SECONDS * 32_000
    assert heard(pcm) == pytest.approx(onsets[channel], abs=TOLERANCE)
    assert pcm == together[:, channel].tobytes()


@pytest.mark.processes
@pytest.mark.parametrize("sample_rate", [8000, 11_025, 22_050, 24_000, 32_000, 48_000, 96_000])
def test_every_sample_rate_becomes_16_khz(sample_rate: int) -> None:
    found, pcm = whole(wav(tones(sample_rate).tobytes(), sample_rate=sample_rate))
    assert found.sample_rate == sample_rate
    assert len(pcm) == SECONDS * 32_000
    assert heard(pcm) == pytest.approx(ONSETS, abs=TOLERANCE)


@pytest.mark.parametrize("name", ["lame.mp3", "tagless.mp3", "music.flac", "raw.aac"])
def test_a_large_picture_in_front_changes_nothing(recordings: Path, name: str) -> None:
    data = (recordings / name).read_bytes()
    assert whole(id3_tag(6_000_000) + data) == whole(data)


def test_an_mp3_recorded_from_the_middle_of_a_stream(recordings: Path) -> None:
    data = (recordings / "tagless.mp3").read_bytes()
    found, pcm = whole(data[1000:])
    assert found.codec == "mp3"
    assert len(pcm) > 3.8 * 32_000


@pytest.mark.processes
@pytest.mark.parametrize(
    ("data_size", "riff_size"),
    [(0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (0xFFFFFFF0, None), (0x7FFFF000, None)],
    ids=["unknown", "never written", "4 GB", "2 GB"],
)
def test_a_wav_whose_header_was_never_finished(data_size: int, riff_size: int | None, level: Level) -> None:
    pcm = tones(16_000).tobytes()
    assert whole(wav(pcm, data_size=data_size, riff_size=riff_size), level)[1] == pcm


@pytest.mark.parametrize(
    "name",
    ["pcm.wav", "lame.mp3", "raw.aac", "voice.ogg", "browser.webm", "music.flac", "pieces.mp4", "first.m4a"],
)
def test_what_is_there_of_a_stream_cut_short(recordings: Path, name: str) -> None:
    data = (recordings / name).read_bytes()
    pcm = whole(data[: len(data) * 3 // 4])[1]
    assert 0.3 * SECONDS < len(pcm) / 32_000 < 0.9 * SECONDS
    assert heard(pcm)[:1] == pytest.approx(ONSETS[:1], abs=0.03)


@pytest.mark.parametrize("name", ["music.m4a", "film.mp4"])
@pytest.mark.parametrize("part", [0.3, 0.7])
def test_an_mp4_without_its_index_is_damaged_and_says_so_at_once(recordings: Path, name: str, part: float) -> None:
    data = (recordings / name).read_bytes()
    with pytest.raises(DamagedMedia, match="cut off"):
        decode(data[: int(len(data) * part)]).__enter__()


def restamped(recordings: Path, folder: Path, name: str, bitstream_filter: str) -> Path:
    """The same packets, with some left out or with other times."""
    ffmpeg("-i", recordings / name, "-c", "copy", "-bsf:a", bitstream_filter, folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["browser.webm", "voice.ogg", "aac.mkv"])
def test_a_gap_becomes_silence(recordings: Path, tmp_path: Path, name: str) -> None:
    """Half a second around the second tone was lost on its way to the recorder."""
    path = restamped(recordings, tmp_path, name, "noise=drop='between(pts*tb,1.3,1.8)'")
    pcm = whole(path)[1]
    assert heard(pcm) == pytest.approx([ONSETS[0], *ONSETS[2:]], abs=TOLERANCE)
    assert len(pcm) / 32_000 == pytest.approx(SECONDS, abs=0.05)


@pytest.mark.parametrize("shift", ["+3600", "-1.5"])
def test_no_stamp_costs_sound_or_makes_hours_of_silence(recordings: Path, tmp_path: Path, shift: str) -> None:
    path = restamped(recordings, tmp_path, "browser.webm", f"setts=ts='if(gt(PTS*TB,1.8),PTS{shift}/TB,PTS)'")
    pcm = whole(path)[1]
    assert heard(pcm) == pytest.approx(ONSETS, abs=TOLERANCE)
    assert len(pcm) == SECONDS * 32_000


@pytest.mark.parametrize("name", ["voice.ogg", "vorbis.ogg", "tagless.mp3", "raw.aac"])
def test_joined_streams_are_heard_whole(recordings: Path, name: str) -> None:
    data = (recordings / name).read_bytes()
    onsets = heard(whole(data * 2)[1])
    assert onsets == pytest.approx([*ONSETS, *(onset + SECONDS for onset in ONSETS)], abs=0.2)


@pytest.mark.parametrize("name", ["voice.ogg", "music.flac", "music.m4a"])
def test_damage_in_the_middle_does_not_move_what_follows(recordings: Path, name: str) -> None:
    data = bytearray((recordings / name).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = np.random.default_rng(1).integers(0, 256, 200, dtype=np.uint8).tobytes()
    pcm = played(bytes(data))
    assert len(pcm) / 32_000 == pytest.approx(SECONDS, abs=0.05)
    assert heard(pcm)[-1] == pytest.approx(ONSETS[-1], abs=TOLERANCE)


WRONG: list[tuple[str, bytes, type[StenopoolError], str]] = [
    ("no bytes", b"", EmptyMedia, "empty"),
    ("a header alone", wav(b""), EmptyMedia, "zero samples"),
    ("a tag alone", id3_tag(1000), EmptyMedia, "empty"),
    ("half a header", wav(b"")[:30], DamagedMedia, "damaged"),
    ("1 Hz", wav(bytes(32_000), sample_rate=1), UnsupportedMedia, "rate is 1 Hz"),
    ("0 Hz", wav(bytes(32_000), sample_rate=0), DamagedMedia, "damaged"),
    ("400 kHz", wav(bytes(32_000), sample_rate=400_000), UnsupportedMedia, "rate is 400000 Hz"),
    ("9 channels", wav(bytes(36_000), channels=9), UnsupportedMedia, "9 channels"),
    ("65535 channels", wav(bytes(32_000), channels=65_535), UnsupportedMedia, "65535 channels"),
    ("no channels", wav(bytes(32_000), channels=0), DamagedMedia, "0 channels"),
    ("noise called flac", b"fLaC" + bytes(range(1, 256)) * 100, DamagedMedia, "damaged"),
    ("noise called ogg", b"OggS" + bytes(range(1, 256)) * 100, DamagedMedia, "damaged"),
    ("noise called webm", b"\x1a\x45\xdf\xa3" + bytes(range(1, 256)) * 100, DamagedMedia, "damaged"),
    ("noise called mp4", b"\0\0\0\x18ftypM4A " + bytes(range(1, 256)) * 100, DamagedMedia, "cut off"),
]


@pytest.mark.processes
@pytest.mark.parametrize(("data", "error", "words"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_wrong_is_said(data: bytes, error: type[StenopoolError], words: str, level: Level) -> None:
    with pytest.raises(error, match=words) as caught:
        whole(data, level)
    assert type(caught.value) is error


@pytest.mark.parametrize("name", ["silent.mp4", "silent.webm"])
def test_a_film_without_sound(recordings: Path, name: str, level: Level) -> None:
    with pytest.raises(NoAudioTrack, match="no audio track"):
        whole(recordings / name, level)


def test_a_codec_that_is_not_on_the_list(recordings: Path, level: Level) -> None:
    with pytest.raises(UnsupportedMedia, match="tta"):
        whole(recordings / "tta.mkv", level)


def test_places_that_are_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    with pytest.raises(InputMissing):
        whole(tmp_path / "nowhere.mp3")
    with pytest.raises(UnsupportedMedia):
        whole(tmp_path)
    with pytest.raises(UnsupportedMedia):
        whole(tmp_path / "pipe.mp3")


def test_the_limit_of_length_is_exact(recordings: Path) -> None:
    assert len(whole(recordings / "pcm.wav", max_seconds=SECONDS)[1]) == SECONDS * 32_000
    with pytest.raises(MediaTooLong) as caught:
        whole(recordings / "pcm.wav", max_seconds=SECONDS - 1 / 16_000)
    assert caught.value.details == {"max_seconds": SECONDS - 1 / 16_000}


def long_sound(minutes: int = 30) -> bytes:
    """Its header was never finished: else it would be read without ffmpeg."""
    return wav(tones(16_000, seconds=60).tobytes() * minutes, data_size=0xFFFFFFFF)


@pytest.mark.processes
def test_a_long_recording_is_stopped_at_its_limit(nothing_left: None, level: Level) -> None:
    with Decoding(long_sound(), level=level, max_seconds=60) as sound, pytest.raises(MediaTooLong):
        for _ in sound:
            assert sound.samples <= 60 * 16_000


@pytest.mark.processes
def test_tags_between_the_frames_of_an_mp3_cost_no_frame(recordings: Path) -> None:
    """As in the segments of a stream, each with a tag in front."""
    data = (recordings / "tagless.mp3").read_bytes()
    frames = list(_frames(data))
    segments = [data[frames[at] : frames[min(at + 10, len(frames) - 1)]] for at in range(0, len(frames) - 1, 10)]
    with decode(b"".join(segments)) as plain, decode(b"".join(id3_tag(300) + one for one in segments)) as tagged:
        assert b"".join(plain) == b"".join(tagged)
        assert not tagged.findings.warnings


def _frames(data: bytes) -> Iterator[int]:
    at = 0
    while frame := mpeg_audio_frame(data, at):
        yield at
        at += frame[0]
    yield at


@pytest.mark.processes
def test_the_last_frame_of_a_caf_without_loss_is_heard_whole(tmp_path: Path) -> None:
    source = tmp_path / "a.wav"
    source.write_bytes(wav(tones(16_000, 3, ONSETS[:2]).tobytes()))
    ffmpeg("-i", source, "-c:a", "alac", tmp_path / "a.caf")
    with decode(tmp_path / "a.caf") as sound:
        assert sum(map(len, sound)) == 2 * 3 * 16_000


@pytest.mark.processes
def test_leaving_early_leaves_nothing(nothing_left: None, level: Level) -> None:
    with Decoding(long_sound(), level=level) as sound:
        next(iter(sound))
    with pytest.raises(KeyboardInterrupt), Decoding(long_sound(), level=level) as sound:
        raise KeyboardInterrupt
    with pytest.raises(UnsupportedMedia):
        whole(wav(bytes(320_000), sample_rate=1), level)


def test_iterating_again_goes_on_where_it_stopped(recordings: Path) -> None:
    _, pcm = whole(recordings / "pcm.wav")
    with decode(recordings / "pcm.wav") as sound:
        first = next(iter(sound))
        assert first + b"".join(sound) == pcm
        assert list(sound) == []


@pytest.mark.processes
def test_it_may_outlive_the_thread_that_began_it(nothing_left: None, level: Level) -> None:
    sound = Decoding(long_sound(), level=level)
    beginner = threading.Thread(target=sound.__enter__)
    beginner.start()
    beginner.join()
    assert sum(len(block) for block in sound) == 30 * 60 * 32_000
    sound.__exit__(None, None, None)


@pytest.mark.processes
def test_an_ffmpeg_that_stands_still_is_given_up(nothing_left: None, level: Level) -> None:
    with Decoding(long_sound(), level=level) as sound:
        assert sound._link
        sound._link._child._stall_seconds = 0.5  # it has begun
        os.killpg(sound._link._child.pid, signal.SIGSTOP)
        with pytest.raises(SandboxFailed, match="no progress"):
            list(sound)


@pytest.mark.processes
def test_an_ffmpeg_that_is_killed_is_not_a_short_recording(nothing_left: None, level: Level) -> None:
    with Decoding(long_sound(), level=level) as sound:
        assert sound._link
        os.killpg(sound._link._child.pid, signal.SIGKILL)
        with pytest.raises(SandboxFailed):
            list(sound)
