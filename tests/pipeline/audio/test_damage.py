"""Damage of all kinds in all containers: what can be decoded stands at its time, what is missing is told, nothing breaks."""

import random
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.decode import decode
from pipeline.audio.findings import Findings
from pipeline.errors import DamagedMedia, EmptyMedia, NoAudioTrack, StenopoolError
from tests.pipeline.audio.sounds import ffmpeg, heard, tones, wav

pytestmark = pytest.mark.processes

SECONDS = 8
ONSETS = [number + 0.5 for number in range(SECONDS)]
SURE = ("-c:a", "aac", "-ar", "44100")
TALKATIVE: dict[str, Sequence[str]] = {  # their demuxers, their frames or their own length tell what is missing
    "a.flac": (),
    "a.wv": (),
    "a.mp3": ("-c:a", "libmp3lame"),
    "a.webm": ("-c:a", "libopus"),
    "a.mka": ("-c:a", "libvorbis"),
    "a.mkv": SURE,
    "front.m4a": (*SURE, "-movflags", "faststart"),
    "a.oga": ("-c:a", "libvorbis", "-page_duration", "200000"),
    "a.ogg": ("-c:a", "libopus", "-page_duration", "200000"),
    "flac.oga": ("-c:a", "flac", "-page_duration", "200000"),
    "a.flv": SURE,
    "a.wma": ("-c:a", "wmav2", "-ar", "44100"),
    "a.avi": ("-c:a", "libmp3lame"),
    "pcm.avi": ("-c:a", "pcm_s16le"),
    "a.ac3": ("-ar", "48000"),
}


def made(folder: Path, name: str, options: Sequence[str]) -> bytes:
    noise = np.random.default_rng(1).normal(0, 500, 16_000 * SECONDS)  # else all bytes would be those of the tones
    (folder / "source.wav").write_bytes(wav((tones(16_000, SECONDS, ONSETS) + noise).astype("<i2").tobytes()))
    ffmpeg("-i", folder / "source.wav", *options, folder / name)
    return (folder / name).read_bytes()


def overwritten(data: bytes, begin: float, share: float, seed: int) -> bytes:
    at, length = int(len(data) * begin), int(len(data) * share)
    return data[:at] + random.Random(seed).randbytes(length) + data[at + length :]


def listened(data: bytes) -> tuple[list[float], Findings, float]:
    """The onsets on the clock, what was found out, and what the clock has without samples and without gaps."""
    clock = bytearray()
    with decode(data, max_seconds=3600) as sound:
        for at, pcm in sound.pieces():
            clock += bytes(max(0, 2 * at - len(clock))) + pcm
        gaps = sum(gap.end - gap.start for gap in sound.findings.gaps) * 16
        return heard(bytes(clock)), sound.findings, (sound.end - sound.samples - gaps) / 16_000


@pytest.mark.parametrize("name", TALKATIVE)
def test_of_a_whole_one_nothing_is_told(tmp_path: Path, name: str) -> None:
    onsets, findings, unexplained = listened(made(tmp_path, name, TALKATIVE[name]))
    assert len(onsets) == len(ONSETS)
    assert (findings.gaps, findings.warnings, unexplained) == ([], [], 0)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "mpeg4"), ("a.mp4", "mpeg4"), ("a.ts", "mpeg2video"), ("a.flv", "flv")]
)
def test_the_sound_of_a_film_may_end_before_its_picture(tmp_path: Path, name: str, codec: str) -> None:
    made(tmp_path, "a.wav", ())
    picture = ("-f", "lavfi", "-i", f"testsrc=s=64x64:r=5:d={4 * SECONDS}")
    ffmpeg(*picture, "-i", tmp_path / "a.wav", "-c:v", codec, *SURE, tmp_path / name)
    _, findings, _ = listened((tmp_path / name).read_bytes())
    assert (findings.gaps, findings.warnings) == ([], [])


@pytest.mark.parametrize("name", ["a.ogg", "a.oga", "a.wma", "a.flv", "a.webm"])
def test_of_one_that_begins_late_nothing_is_missing_at_the_end(tmp_path: Path, name: str) -> None:
    made(tmp_path, "a.wav", ())
    ffmpeg("-itsoffset", 61, "-i", tmp_path / "a.wav", *TALKATIVE[name], tmp_path / name)
    _, findings, _ = listened((tmp_path / name).read_bytes())
    assert {gap.code for gap in findings.gaps} <= {"hole"} and not findings.warnings


@pytest.mark.parametrize("begin", [0.4, 0.7])
@pytest.mark.parametrize("name", TALKATIVE)
def test_a_fifth_of_it_overwritten(tmp_path: Path, name: str, begin: float) -> None:
    data = overwritten(made(tmp_path, name, TALKATIVE[name]), begin, 0.2, len(name))
    onsets, findings, unexplained = listened(data)
    assert onsets[:2] == pytest.approx(ONSETS[:2], abs=0.08)
    lost = any(gap.lost for gap in findings.gaps) or any(caution.lost for caution in findings.warnings)
    assert lost
    assert abs(unexplained) < 0.002, "the clock is its samples and its gaps"


PIECES = (*SURE, "-movflags", "empty_moov", "-frag_duration", "250000")
PHONE = ("-c:a", "libopencore_amrnb", "-ar", "8000", "-movflags", "faststart")
STAMPED: dict[str, Sequence[str]] = {
    **{name: options for name, options in TALKATIVE.items() if name not in ("a.mp3", "a.ac3")},
    "pieces.mp4": PIECES,
    "phone.3gp": PHONE,
}


@pytest.mark.parametrize("byte", [None, 0], ids=["noise", "zeros"])
@pytest.mark.parametrize("name", STAMPED)
def test_what_follows_the_damage_is_heard_at_its_time(tmp_path: Path, name: str, byte: int | None) -> None:
    """Whatever a demuxer passes over there, and whatever a decoder makes of it."""
    data = made(tmp_path, name, STAMPED[name])
    at, length = len(data) * 2 // 5, len(data) // 5
    damaged = overwritten(data, 0.4, 0.2, 1) if byte is None else data[:at] + bytes(length) + data[at + length :]
    onsets, findings, unexplained = listened(damaged)
    assert onsets[:2] == pytest.approx(ONSETS[:2], abs=0.08)
    assert onsets[-2:] == pytest.approx(ONSETS[-2:], abs=0.08)
    assert any(gap.lost for gap in findings.gaps) or any(caution.lost for caution in findings.warnings)
    assert abs(unexplained) < 0.002


CUT_OUT: dict[str, Sequence[str]] = {
    **STAMPED,
    "a.m4a": SURE,
    "lossless.caf": ("-c:a", "alac", "-ar", "44100"),
    "opus.mp4": ("-c:a", "libopus"),
    "a.mpg": ("-c:a", "mp2"),
    "ac3.mpg": ("-c:a", "ac3", "-ar", "48000"),
    "a.vob": ("-c:a", "ac3", "-ar", "48000"),
    "a.ts": SURE,
}


@pytest.mark.parametrize("name", [name for name in CUT_OUT if not name.endswith((".mka", ".mkv", ".webm"))])
def test_bytes_cut_out_of_it_do_not_move_what_follows(tmp_path: Path, name: str) -> None:
    """Matroska's clusters last too long for so short a recording: of those around the cut everything is lost, and told."""
    data = made(tmp_path, name, CUT_OUT[name])
    onsets, findings, unexplained = listened(data[: len(data) // 2] + data[len(data) * 7 // 10 + 1 :])
    assert onsets[:2] == pytest.approx(ONSETS[:2], abs=0.08)
    assert onsets[-1:] == pytest.approx(ONSETS[-1:], abs=0.08)
    assert any(gap.lost for gap in findings.gaps) or any(caution.lost for caution in findings.warnings)
    assert abs(unexplained) < 0.002


@pytest.mark.parametrize("index", [(), ("-movflags", "faststart")], ids=["index last", "index first"])
def test_what_is_cut_out_of_a_film_with_linear_sound_is_found_by_its_pictures(
    tmp_path: Path, index: Sequence[str]
) -> None:
    """No sample shows whether it is whole: silence is played in their place, and told."""
    made(tmp_path, "a.wav", ())
    picture = ("-f", "lavfi", "-i", f"testsrc=s=64x64:r=25:d={SECONDS}", "-c:v", "mpeg4")
    ffmpeg("-i", tmp_path / "a.wav", *picture, "-c:a", "pcm_s16le", *index, tmp_path / "a.mov")
    data = (tmp_path / "a.mov").read_bytes()
    onsets, findings, _ = listened(data[: len(data) // 2] + data[len(data) * 13 // 20 + 1 :])
    assert onsets[:3] == pytest.approx(ONSETS[:3], abs=0.03) and onsets[-2:] == pytest.approx(ONSETS[-2:], abs=0.03)
    (caution,) = findings.warnings
    assert (caution.code, caution.lost) == ("damaged", True)
    assert (caution.start, caution.end) == pytest.approx((500 * SECONDS, 650 * SECONDS), abs=300)


@pytest.mark.parametrize("name", ["a.dts", "a.ac3"])
def test_half_a_frame_between_others_is_told(tmp_path: Path, name: str) -> None:
    """A decoder passes over it without a word, and nothing says how many were lost with it."""
    data = made(tmp_path, name, ("-strict", "-2", "-ar", "48000"))
    frame = len(data) // (SECONDS * 48_000 // (512 if name == "a.dts" else 1536))
    at = len(data) // 2 // frame * frame
    _, findings, _ = listened(data[:at] + data[at + 20 * frame + frame // 2 :])
    assert [caution.code for caution in findings.warnings] == ["damaged"]


def test_zeros_in_amr_are_told(tmp_path: Path) -> None:
    """Each is a frame of the shortest kind; behind the sound they are padding."""
    data = made(tmp_path, "a.amr", ("-c:a", "libopencore_amrnb", "-ar", "8000"))
    half, zeros = len(data) // 2, bytes(len(data) // 10)
    for recording, codes in ((data[:half] + zeros + data[half + len(zeros) :], ["damaged"]), (data + zeros, [])):
        with decode(recording) as sound:
            list(sound)
        assert [warning.code for warning in sound.findings.warnings] == codes


def test_of_amr_that_is_read_on_nothing_is_called_unread(tmp_path: Path) -> None:
    data = made(tmp_path, "a.amr", ("-c:a", "libopencore_amrnb", "-ar", "8000"))
    onsets, findings, _ = listened(data[: len(data) // 2] + data[len(data) * 7 // 10 + 7 :])
    assert len(onsets) >= SECONDS - 3
    assert {caution.code for caution in findings.warnings} == {"damaged"}


@pytest.mark.parametrize("name", ["a.ogg", "a.oga"])
def test_damage_in_front_of_an_ogg_does_not_move_what_follows(tmp_path: Path, name: str) -> None:
    onsets, findings, _ = listened(overwritten(made(tmp_path, name, TALKATIVE[name]), 0.35, 0.2, 1))
    assert onsets[-1] == pytest.approx(ONSETS[-1], abs=0.02)
    assert findings.gaps[0].code == "undecodable"


@pytest.mark.parametrize("missing", [16, 200, 4000])
def test_bytes_cut_out_of_the_first_frames_of_a_flac_do_not_move_what_follows(tmp_path: Path, missing: int) -> None:
    """Its frames are numbered, and as short as a dozen bytes where nothing is heard."""
    (tmp_path / "source.wav").write_bytes(wav(tones(16_000, SECONDS, ONSETS[2:]).tobytes()))
    ffmpeg("-i", tmp_path / "source.wav", tmp_path / "a.flac")
    data = (tmp_path / "a.flac").read_bytes()
    begin = data.index(b"\xff\xf8") + 6
    onsets, findings, _ = listened(data[:begin] + data[begin + missing :])
    assert onsets == pytest.approx(ONSETS[-len(onsets) :], abs=0.02)
    assert findings.gaps or findings.warnings or missing < 50  # bytes, of less than a tenth of a second


@pytest.mark.parametrize("damage", ["zeros", "cut out"])
def test_an_ogg_damaged_in_front_and_at_its_end_counts_from_zero(tmp_path: Path, damage: str) -> None:
    """It is not taken for one that was recorded on the air, whose clock begins with its first sound."""
    data = made(tmp_path, "a.ogg", ("-c:a", "libopus"))  # pages of a second
    front, lost = len(data) // 20, len(data) // 4
    instead = bytes(lost) if damage == "zeros" else b""
    onsets, findings, _ = listened(data[:front] + instead + data[front + lost : len(data) * 9 // 10])
    assert onsets[-1] == pytest.approx(ONSETS[-2], abs=0.02)
    assert (findings.gaps[0].start, findings.gaps[0].code) == (0, "undecodable")


@pytest.mark.parametrize(("last", "end"), [(None, ("truncated", True)), (-1, ("unended", False))])
def test_an_ogg_that_lacks_far_more_than_is_damaged_in_front_tells_that_it_may_be_early(
    tmp_path: Path, last: int | None, end: tuple[str, bool]
) -> None:
    """It may have been recorded on the air, from the middle of a page to the middle or the end of another one; or it may not."""
    data = made(tmp_path, "a.ogg", TALKATIVE["a.ogg"])
    starts = [found.start() for found in re.finditer(b"OggS\0", data)]
    stop = len(data) - 300 if last is None else starts[last]
    onsets, findings, _ = listened(data[: starts[2] + 60] + data[starts[len(starts) * 3 // 4] : stop])
    assert onsets[0] == pytest.approx(0.5, abs=0.02) and not findings.gaps
    assert [(caution.code, caution.lost) for caution in findings.warnings] == [("damaged", True), end]


@pytest.mark.parametrize("begin", [0.1, 0.5])
@pytest.mark.parametrize("name", ["a.ogg", "a.oga", "flac.oga"])
def test_an_ogg_is_heard_behind_more_damage_than_a_page_has_bytes(tmp_path: Path, name: str, begin: float) -> None:
    """In front of its first sound, too."""
    data = made(tmp_path, name, TALKATIVE[name])
    at, lost = int(len(data) * begin), len(data) // 5
    onsets, findings, unexplained = listened(data[:at] + b"\xff" * 100_000 + data[at + lost :])
    assert onsets[-2:] == pytest.approx(ONSETS[-2:], abs=0.02)
    gaps = [(gap.code, gap.start <= 1000 * SECONDS * begin <= gap.end) for gap in findings.gaps]
    assert gaps == [("undecodable", True)]
    assert not findings.warnings and abs(unexplained) < 0.002


@pytest.mark.parametrize("lost", [2, 12])
@pytest.mark.parametrize("name", ["a.ogg", "a.oga", "flac.oga"])
def test_an_ogg_behind_another_that_has_lost_its_first_pages(tmp_path: Path, name: str, lost: int) -> None:
    """Heard by the headers of the one before, but of Vorbis, which are of one file alone; what is not heard is told."""
    first, second = made(tmp_path, name, TALKATIVE[name]), made(tmp_path, name, TALKATIVE[name])
    starts = [found.start() for found in re.finditer(b"OggS\0", second)]
    onsets, findings, unexplained = listened(first + second[starts[lost] :])
    joint = SECONDS + 3  # behind all that is lost
    heard_behind = [] if name == "a.oga" else [SECONDS + at for at in ONSETS[3:]]
    assert [at for at in onsets if at > joint] == pytest.approx(heard_behind, abs=0.02)
    missing = sum(gap.end - gap.start for gap in findings.gaps if gap.lost) / 1000
    assert missing == pytest.approx(SECONDS if name == "a.oga" else 0.23 * (lost - 2), abs=0.35)
    assert not findings.warnings and abs(unexplained) < 0.002


@pytest.mark.parametrize("name", ["a.ogg", "flac.oga"])
def test_an_ogg_whose_last_pages_are_zeros_is_cut_off(tmp_path: Path, name: str) -> None:
    """As a download leaves it that reserves its place before."""
    data = made(tmp_path, name, TALKATIVE[name])
    _, findings, _ = listened(data[: len(data) // 2] + bytes(300_000))
    assert [(caution.code, caution.lost) for caution in findings.warnings] == [("truncated", True)]


@pytest.mark.parametrize("byte", [0, 0xFF, None], ids=["zeros", "0xFF", "noise"])
@pytest.mark.parametrize("box", [b"trak", b"mdia", b"hdlr", b"stbl", b"mp4a"])
def test_of_a_damaged_index_it_is_said_and_not_that_its_codec_is_strange(
    tmp_path: Path, box: bytes, byte: int | None
) -> None:
    data = made(tmp_path, "front.m4a", TALKATIVE["front.m4a"])
    at = data.index(box) - 4
    broken = overwritten(data, at / len(data), 16 / len(data), 1) if byte is None else data[:at] + bytes([byte]) * 16
    with pytest.raises(DamagedMedia):
        listened(broken + data[len(broken) :])


def test_a_film_without_sound_has_no_damaged_index(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:r=5:d=1", "-c:v", "mpeg4", tmp_path / "a.mp4")
    with pytest.raises(NoAudioTrack):
        listened((tmp_path / "a.mp4").read_bytes())


@pytest.mark.parametrize("tenth", range(4, 10))
def test_a_recording_in_pieces_is_heard_up_to_where_it_was_cut(tmp_path: Path, tenth: int) -> None:
    """Also in the index of a piece."""
    data = made(tmp_path, "pieces.mp4", (*SURE, "-movflags", "empty_moov", "-frag_duration", "50000"))
    onsets, findings, _ = listened(data[: len(data) * tenth // 10])
    assert onsets[0] == pytest.approx(ONSETS[0], abs=0.03)
    assert {caution.code for caution in findings.warnings} & {"truncated", "damaged"}


@pytest.mark.parametrize("name", TALKATIVE)
def test_bytes_that_lost_their_sense(tmp_path: Path, name: str) -> None:
    """One in a hundred is another: the recording is refused as damaged, or what is missing is told."""
    data = bytearray(made(tmp_path, name, TALKATIVE[name]))
    chance = random.Random(name)
    for at in chance.sample(range(len(data) // 10, len(data)), len(data) // 100):
        data[at] = chance.randrange(256)
    try:
        _, findings, unexplained = listened(bytes(data))
    except StenopoolError as error:
        assert type(error) in (DamagedMedia, EmptyMedia)
    else:
        assert findings.gaps or findings.warnings
        assert abs(unexplained) < 0.002
