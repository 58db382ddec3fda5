"""What a file is by its bytes; and that nothing else is taken for sound."""

import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.sniff import Container, sniff, sniff_file, tag_length
from pipeline.errors import EmptyMedia, StenopoolError, UnsupportedMedia
from tests.pipeline.audio.sounds import CONTAINERS, FILMS, id3_tag

HLS = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.mp4\n#EXT-X-ENDLIST\n"


def zipped() -> bytes:
    whole = BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("talk.mp3", b"\xff\xfb\x90\x64" * 4000)
    return whole.getvalue()


TEXTS: dict[str, bytes] = {
    "hls": HLS,
    "hls with a byte order mark": b"\xef\xbb\xbf" + HLS,
    "hls after blank lines": b"\n\n " + HLS,
    "hls behind a tag": id3_tag(512) + HLS,
    "ffconcat": b"ffconcat version 1.0\nfile other.mp4\n",
    "sdp": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n",
    "html": b"<!DOCTYPE html><html><body>Not found</body></html>",
    "dash": b'<?xml version="1.0"?><MPD></MPD>',
    "prose": b"Once upon a time there was a file that was called a recording. " * 100,
    "zip": zipped(),
    "zip behind a tag": id3_tag(512) + zipped(),
    "wav behind a tag": id3_tag(512) + b"RIFF\0\0\0\0WAVEfmt ",
    "avi": b"RIFF\0\0\0\0AVI LIST" + bytes(5000),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(5000),
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(5000),
    "zeros": bytes(10_000),
    "one byte": b"R",
    "a lonely sync": b"\xff\xfb\x90\x64" + b"nothing like a frame follows" * 300,
}


@pytest.mark.parametrize("name", [*CONTAINERS, *FILMS])
def test_each_container_is_known_by_its_first_4_kib(recordings: Path, name: str) -> None:
    expected = (CONTAINERS | FILMS)[name][0].split()[0]
    with (recordings / name).open("rb") as file:
        assert sniff(file.read(4096)).name == expected


@pytest.mark.parametrize("data", TEXTS.values(), ids=TEXTS)
def test_everything_else_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedMedia, match="Supported: mp3, mp4"):
        sniff(data)


@pytest.mark.parametrize("name", ["hls", "hls after blank lines", "ffconcat", "sdp", "html", "zip"])
def test_real_frames_behind_a_text_do_not_make_it_sound(recordings: Path, name: str) -> None:
    with pytest.raises(UnsupportedMedia):
        sniff(TEXTS[name] + (recordings / "tagless.mp3").read_bytes())


def test_a_container_that_is_not_on_the_list(recordings: Path) -> None:
    with pytest.raises(UnsupportedMedia):
        sniff((recordings / "bare.wv").read_bytes())


def test_nothing_is_empty() -> None:
    with pytest.raises(EmptyMedia):
        sniff(b"")


def test_behind_tags_of_any_length(recordings: Path) -> None:
    tags = id3_tag(300_000) + id3_tag(100)
    assert tag_length(id3_tag(300_000)) == len(id3_tag(300_000))
    for name in ("lame.mp3", "music.flac", "raw.aac"):
        data = tags + (recordings / name).read_bytes()
        assert sniff(data[:4096]).name == "mp3"  # the best guess of a short look
        found = sniff_file(lambda offset, data=data: data[offset : offset + 4096])
        assert found.name == CONTAINERS[name][0].split()[0]


@given(st.binary(max_size=6000) | st.binary(max_size=200).map(lambda data: b"ID3\x04\0\0\0\0\0\x10" + data))
def test_any_bytes_give_a_container_or_a_typed_error(data: bytes) -> None:
    try:
        assert isinstance(sniff(data), Container)
    except StenopoolError as error:
        assert isinstance(error, UnsupportedMedia | EmptyMedia)


@given(st.text(min_size=1, max_size=3000))
def test_no_text_is_sound(text: str) -> None:
    data = text.encode()
    if data[4:8] in {b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}:
        return
    with pytest.raises(UnsupportedMedia):
        sniff(data)
