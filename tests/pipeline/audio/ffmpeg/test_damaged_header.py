"""A file of a kind that is taken whose header is damaged is called damaged, and not unsupported or without sound."""

from collections.abc import Mapping

import pytest

from pipeline.audio.containers.table import MATROSKA, Found
from pipeline.audio.decode import decode
from pipeline.audio.ffmpeg.damaged_header import damaged_header
from pipeline.errors import DamagedMedia
from tests.pipeline.audio.clock.test_random_damage import FRONT, recorded

pytestmark = pytest.mark.processes

MP3 = ("a.mkv", ("-c:a", "libmp3lame"))
DAMAGED: Mapping[str, tuple[tuple[str, tuple[str, ...]], bytes, int, bytes]] = {  # behind which bytes, how far, others
    "name of a codec, in caf": (("a.caf", ("-c:a", "alac")), b"alac", 1, b"\xff\xff\xff"),
    "name of a codec, in caf, by a bit": (("a.caf", ("-c:a", "alac")), b"alac", 3, b"b"),
    "name of a codec, in mov, by a bit": (("a.mov", ("-c:a", "pcm_s16le", *FRONT)), b"sowt", 3, b"u"),
    "description of samples, in mov": (("a.mov", ("-c:a", "pcm_s16le", *FRONT)), b"stsd", 12, b"\xff" * 40),
    "name of a codec, in mkv": (MP3, b"A_MPEG/L3", 8, b"7"),
    "length of a codec's name, in mkv": (MP3, b"A_MPEG/L3", -1, b"\x80"),
    "kind of a track, in mkv": (MP3, b"\x83\x81\x02", 2, b"\x06"),
    "what tells the rate of samples, in mka": (("a.mka", ("-c:a", "pcm_s16le")), b"\x9f\x81\x01\xb5", 0, b"\x1f"),
    "what tells of all others, in flv": (("a.flv", ("-c:a", "aac")), b"\xaf\x00\x11", -11, bytes(20)),
    "a codec's own, in webm": (("a.webm", ("-c:a", "libvorbis")), b"\x63\xa2", 3, b"\xff" * 40),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_header_is_called_damaged(case: str) -> None:
    made, behind, far, instead = DAMAGED[case]
    data = recorded(0, *made)
    at = data.index(behind) + far
    with (
        pytest.raises(DamagedMedia) as refused,
        decode(data[:at] + instead + data[at + len(instead) :]) as sound,
    ):
        next(iter(sound))
    assert type(refused.value) is DamagedMedia and "damaged" in refused.value.message


@pytest.mark.parametrize("codec", ["libmp3lame", "aac", "ac3", "flac", "libopus", "libvorbis", "pcm_s16le"])
def test_the_header_of_a_whole_file_is_not_damaged(codec: str) -> None:
    data = recorded(0, "a.mkv", ("-c:a", codec))
    assert damaged_header(lambda at, length: data[at : at + length], Found(MATROSKA), len(data)) is None
