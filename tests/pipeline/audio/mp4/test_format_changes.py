"""Tracks whose samples are described in several ways: each part is heard at its time, or it is told that it is not."""

from collections.abc import Sequence

import pytest

from pipeline.audio.decode import decode
from pipeline.audio.duration.exact import measured_ms
from pipeline.errors import UnsupportedMedia
from tests.pipeline.audio.clock.test_random_recordings import (
    NEAR,
    Piece,
    Words,
    assert_same,
    hear,
    made,
    placed,
    starts_of,
)
from tests.support.edit_lists import EMPTY, edited
from tests.support.sample_descriptions import in_pieces, one_track, seconds

pytestmark = pytest.mark.processes

Form = tuple[str, int, int, str]  # the file, Hz, channels, the codec
LITTLE, BIG = ("mov", 44_100, 2, "pcm_s16le"), ("mov", 44_100, 2, "pcm_s16be")
LESS, WIDE, PHONE = ("mov", 22_050, 1, "pcm_s16le"), ("mov", 22_050, 1, "pcm_s24le"), ("mov", 8_000, 1, "pcm_mulaw")
LOSSLESS, LOSSLESS_MONO = ("mov", 44_100, 2, "alac"), ("mov", 22_050, 1, "alac")
AAC, LOW_AAC, MP3, OPUS = (
    ("m4a", 44_100, 2, "aac"),
    ("m4a", 22_050, 1, "aac"),
    ("mp4", 22_050, 1, "libmp3lame"),
    ("mp4", 48_000, 2, "libopus"),
)
FLAC = ("mp4", 44_100, 1, "flac")
DELAYED = {"aac": 1024 / 22_050, "libmp3lame": 1681 / 22_050, "libopus": 312 / 48_000}  # s that nothing leaves out


def parts_of(forms: Sequence[Form]) -> tuple[list[Piece], list[bytes]]:
    """Words of their own, and the file of each."""
    pieces = [Piece(3 + number, rate, channels) for number, (_, rate, channels, _) in enumerate(forms)]
    return pieces, [made(piece, form[0], "-c:a", form[3]) for piece, form in zip(pieces, forms, strict=True)]


def said(pieces: Sequence[Piece], files: Sequence[bytes]) -> Words:
    return placed(pieces, starts_of([seconds(file) for file in files]))


@pytest.mark.parametrize(
    "forms",
    [
        (LITTLE, LESS), (LESS, LITTLE), (LITTLE, BIG), (LITTLE, WIDE, PHONE), (LITTLE, LOSSLESS), (LOSSLESS, LOSSLESS_MONO),
        (AAC, LOW_AAC), (LOW_AAC, AAC), (AAC, MP3), (MP3, AAC), (AAC, LESS), (OPUS, AAC), (OPUS, FLAC), (LITTLE, AAC, LITTLE),
    ],
    ids=lambda forms: ", ".join(f"{codec} {rate}" for _, rate, _, codec in forms),
)  # fmt: skip
def test_every_part_is_heard_at_its_time(forms: Sequence[Form]) -> None:
    pieces, files = parts_of(forms)
    data = one_track(*files)
    found = hear(data)
    assert_same(found.words, said(pieces, files), max(DELAYED.get(codec, 0.0) for *_, codec in forms))
    assert not found.sound.findings.gaps and not found.sound.findings.warnings
    assert found.seconds == pytest.approx(found.end, abs=0.001)
    assert found.end == pytest.approx(sum(map(seconds, files)), abs=NEAR * len(files))
    assert measured_ms(data) is None  # nobody is handed it undecoded


def test_each_channel_of_what_becomes_mono() -> None:
    pieces, files = parts_of((LITTLE, LOSSLESS_MONO, BIG))
    found = hear(one_track(*files), separate=True)
    words = said(pieces, files)
    assert_same(found.words, [*words, *(one for one in words if one[0] not in pieces[1].spoken)])


def test_what_an_edit_list_plays_of_each_part() -> None:
    """Two parts from the middle of the first on, with a pause inside each."""
    pieces, files = parts_of((LITTLE, LESS))
    first, (one, other) = seconds(files[0]), pieces
    cut, pause = one.words[1][1] - 0.05, 1.5
    later = first + other.words[1][1] - 0.05
    rest = sum(map(seconds, files)) - later
    found = hear(edited(one_track(*files), [(pause, EMPTY), (later - cut, cut), (pause, EMPTY), (rest, later)]))
    moved = [(word, at - cut + pause + pause * (at > later)) for word, at in said(pieces, files)[1:]]
    assert_same(found.words, moved)
    gaps = found.sound.findings.gaps
    assert [(gap.code, gap.lost) for gap in gaps] == [("hole", False)] * 2
    assert found.end - found.seconds == pytest.approx(2 * pause, abs=0.002)


def test_a_part_that_nobody_can_read_is_a_gap() -> None:
    pieces, files = parts_of((LITTLE, LOSSLESS, LESS))
    found = hear(one_track(files[0], files[1].replace(b"alac", b"zzzz"), files[2]))
    begin, end = seconds(files[0]), seconds(files[0]) + seconds(files[1])
    assert_same(found.words, [(word, at) for word, at in said(pieces, files) if not begin < at < end])
    (gap,) = found.sound.findings.gaps
    assert (gap.code, gap.lost) == ("undecodable", True)
    assert (gap.start / 1000, gap.end / 1000) == pytest.approx((begin, end), abs=0.002)


def test_what_changes_too_often_is_refused() -> None:
    _, files = parts_of((LITTLE, BIG))
    with pytest.raises(UnsupportedMedia, match="changes its format"), decode(one_track(*files * 51)):
        pass


@pytest.mark.parametrize("forms", [(AAC, LOW_AAC), (AAC, LOSSLESS), (LITTLE, LESS)])
def test_pieces_of_several_formats_are_refused(forms: Sequence[Form]) -> None:
    with pytest.raises(UnsupportedMedia, match="one piece"), decode(in_pieces(*parts_of(forms)[1])):
        pass


@pytest.mark.parametrize("forms", [(AAC, AAC), (OPUS, ("mp4", 48_000, 1, "libopus"))])
def test_pieces_that_one_decoder_follows_are_heard(forms: Sequence[Form]) -> None:
    pieces, files = parts_of(forms)
    assert_same(hear(in_pieces(*files)).words, said(pieces, files), 1024 / 44_100)
