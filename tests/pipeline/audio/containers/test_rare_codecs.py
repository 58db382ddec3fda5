"""Codecs that ffmpeg cannot make: files written here from first principles, whose silence is as long as they say."""

import struct

import pytest

from pipeline.audio.decode import AudioFacts, decode
from tests.pipeline.audio.ffmpeg.test_malicious import ogg_crc

pytestmark = pytest.mark.processes


def amr_wb(frames: int) -> bytes:
    """20 ms each, of the kind that says nothing was sent (RFC 4867)."""
    return b"#!AMR-WB\n" + b"\x7c" * frames


def gsm_wav(blocks: int) -> bytes:
    """65 bytes are two frames of 20 ms (ETSI GSM 06.10 as Microsoft packs it)."""
    layout = struct.pack("<HHIIHHHH", 0x31, 1, 8000, 1625, 65, 0, 2, 320)
    sound = bytes(65) * blocks
    chunks = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def speex_ogg(frames: int) -> bytes:
    """Narrow band, 20 ms in a packet, of the mode without any transmission."""
    head = struct.pack("<8s20s13i", b"Speex   ", b"1.2", 1, 80, 8000, 0, 4, 1, -1, 160, 0, 1, 0, 0, 0)
    comment = struct.pack("<II", 0, 0)
    sound = [b"\x07\xc0"] * frames  # five bits for the mode, five that end the packet
    pages = [(2, 0, [head]), (0, 0, [comment])]
    pages += [
        (4 if at + 50 >= frames else 0, (at + len(sound[at : at + 50])) * 160, sound[at : at + 50])
        for at in range(0, frames, 50)
    ]
    return b"".join(_page(kind, granule, number, packets) for number, (kind, granule, packets) in enumerate(pages))


def _page(kind: int, granule: int, number: int, packets: list[bytes]) -> bytes:
    table = bytes(len(packet) for packet in packets)
    page = bytearray(
        struct.pack("<4sBBqIIIB", b"OggS", 0, kind, granule, 7, number, 0, len(table)) + table + b"".join(packets)
    )
    page[22:26] = struct.pack("<I", ogg_crc(page))
    return bytes(page)


@pytest.mark.parametrize(
    ("data", "facts", "seconds"),
    [
        (amr_wb(150), AudioFacts("amr", "amr_wb", 1, 16_000), 3.0),
        (gsm_wav(75), AudioFacts("wav", "gsm_ms", 1, 8_000), 3.0),
        (speex_ogg(150), AudioFacts("ogg", "speex", 1, 8_000), 3.0),
    ],
    ids=["amr-wb", "gsm in wav", "speex in ogg"],
)
def test_it_is_taken_and_as_long_as_it_says(data: bytes, facts: AudioFacts, seconds: float) -> None:
    with decode(data) as sound:
        length = sum(len(block) for block in sound) / 32_000
    assert sound.facts == facts
    assert length == pytest.approx(seconds, abs=0.021)
