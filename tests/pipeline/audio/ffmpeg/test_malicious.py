"""Files made to reach other files, the network, or all of the machine. Both defences are tried: the look at the first
bytes, and, as if it had been fooled, the ffmpeg that is started all the same."""

import contextlib
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipeline.audio.containers.table import Container, Found
from pipeline.audio.decode import Decoding
from pipeline.audio.ffmpeg.arguments import Picked, decode_arguments
from pipeline.audio.ffmpeg.binary import Ffmpeg, find_ffmpeg
from pipeline.audio.ffmpeg.process import Child
from pipeline.audio.ffmpeg.sandbox import Level
from pipeline.errors import DamagedMedia, InvalidRequest, MediaTooLong, StenopoolError, UnsupportedMedia
from tests.pipeline.audio.sounds import CONTAINERS, SECONDS, ffmpeg, id3_tag, tones, wav

ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
W64 = bytes.fromhex("2e91cf11a5d628db04c10000")
OLD = Ffmpeg(find_ffmpeg().path, "5.1", (59, 27, 100))  # the same program, told to open its input by a path


class Listener:
    """A port on loopback that counts who knocks."""

    def __init__(self) -> None:
        self.hits = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            self.hits += 1
            caller.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.close()


def attacks(secret: Path, port: int) -> dict[str, tuple[str, bytes]]:
    """Name: the demuxer that would fall for it, and the text. They name a neighbour's recording or our listener."""
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n"
    texts = {
        "hls, a neighbour": ("hls", hls.format(secret.name)),
        "hls, a path": ("hls", hls.format(secret)),
        "hls, a file url": ("hls", hls.format(secret.as_uri())),
        "hls, http": ("hls", hls.format(f"http://127.0.0.1:{port}/a.mp3")),
        "hls, concat": ("hls", hls.format(f"concat:{secret}|{secret}")),
        "hls, a part of a file": ("hls", hls.format(f"subfile,,start,0,end,0,,:{secret}")),
        "hls, a part of what is open": ("hls", hls.format("subfile,,start,1,end,0,,:fd:")),
        "hls, a master list": ("hls", f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://127.0.0.1:{port}/a.m3u8\n"),
        "ffconcat, a neighbour": ("concat", f"ffconcat version 1.0\nfile {secret.name}\n"),
        "ffconcat, a path": ("concat", f"ffconcat version 1.0\nfile {secret}\n"),
        "ffconcat, http": ("concat", f"ffconcat version 1.0\nfile http://127.0.0.1:{port}/a.mp3\n"),
        "asx": ("asf", f'<asx version="3.0"><entry><ref href="http://127.0.0.1:{port}/a.wma"/></entry></asx>'),
        "asf redirector": ("asf", f"[Reference]\r\nRef1=http://127.0.0.1:{port}/a.asf\r\nRef2={secret}\r\n"),
        "ffconcat, as avi": ("avi", f"ffconcat version 1.0\nfile {secret}\n"),
        "sdp": (
            "sdp",
            f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n",
        ),
    }
    return {name: (demuxer, text.encode()) for name, (demuxer, text) in texts.items()}


ATTACKS = list(attacks(Path("/x"), 0))


@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".m4a"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_playlists_are_refused_by_any_name(
    tmp_path: Path, recordings: Path, listener: Listener, attack: str, suffix: str
) -> None:
    path = tmp_path / f"talk{suffix}"
    path.write_bytes(attacks(recordings / "lame.mp3", listener.port)[attack][1])
    with pytest.raises(UnsupportedMedia):
        Decoding(path).__enter__()
    assert listener.hits == 0


@pytest.mark.parametrize("tool", [find_ffmpeg(), OLD], ids=["fd", "file"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_fooled_look_is_not_enough(  # noqa: PLR0917
    tmp_path: Path, recordings: Path, listener: Listener, attack: str, tool: Ffmpeg, level: Level
) -> None:
    """The playlist reaches ffmpeg as an mp3."""
    text = attacks(recordings / "lame.mp3", listener.port)[attack][1]
    assert run(text, Container("mp3", "mp3"), tmp_path, tool, level) == b""
    assert listener.hits == 0


@pytest.mark.parametrize("attack", ATTACKS)
def test_even_the_playlist_s_own_demuxer_gets_nowhere(
    tmp_path: Path, recordings: Path, listener: Listener, attack: str, level: Level
) -> None:
    """The demuxer that follows playlists is the one that is asked for; only descriptor 0 may be opened."""
    demuxer, text = attacks(recordings / "lame.mp3", listener.port)[attack]
    container = Container(demuxer, f"{demuxer},mp3")
    assert run(text, container, tmp_path, find_ffmpeg(), level) == b""
    assert run(b"tag" + text, container, tmp_path, find_ffmpeg(), level, start=3) == b"", "through the way past a tag"
    assert listener.hits == 0


def run(data: bytes, container: Container, folder: Path, tool: Ffmpeg, level: Level, *, start: int = 0) -> bytes:
    """All that ffmpeg gives out for these bytes, without our look at them."""
    (folder / "in").write_bytes(data)
    with (folder / "in").open("rb") as file:
        arguments = decode_arguments(tool, Found(container, start), Picked())
        with Child(tool, arguments, level=level, cpu_seconds=10, stdin=file.fileno(), stall_seconds=60) as child:
            output = b"".join(iter(child.read, b""))
            assert child.returncode
            return output


def test_a_name_is_never_an_option(
    tmp_path: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch, level: Level
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-i", "-version.mp3", "file:x.mp3", "|x.mp3", "%03d.mp3", "a\nb.mp3"):
        Path(name).write_bytes((recordings / "lame.mp3").read_bytes())
        with Decoding(Path(name), level=level) as sound:
            assert sum(len(block) for block in sound) == SECONDS * 32_000


@pytest.mark.processes
def test_a_title_cannot_speak_for_ffmpeg(tmp_path: Path) -> None:
    """A text inside the file that looks like ffmpeg's own list of streams, with the rate of a harmless file."""
    (tmp_path / "slow.wav").write_bytes(wav(tones(16_000).tobytes()))
    lie = "x\n  Duration: 00:00:01.00, start: 0.000000, bitrate: 1 kb/s\n  Stream #0:0: Audio: mp3, 8000 Hz, stereo, s16\n"
    ffmpeg("-i", tmp_path / "slow.wav", "-metadata", f"title={lie}", tmp_path / "slow.mkv")
    with Decoding(tmp_path / "slow.mkv") as sound:
        assert (sound.facts.sample_rate, sound.facts.channels) == (16_000, 1)


APART = """
import resource, sys
from pathlib import Path
from pipeline.audio.containers.table import Container, Found
from pipeline.audio.decode import Decoding
from pipeline.errors import StenopoolError
try:
    with Decoding(Path(sys.argv[1]), level=sys.argv[2]) as sound:
        for _ in sound:
            pass
    outcome = "decoded"
except StenopoolError as error:
    outcome = "retry" if error.retryable else error.code
print(outcome, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def decoded_apart(path: Path, level: Level) -> tuple[str, int]:
    """(how it ended, ffmpeg's peak of memory in bytes): in a process of its own, whose only children are ffmpeg's."""
    command = [sys.executable, "-c", APART, str(path), level]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    outcome, peak = done.stdout.split()
    return outcome, int(peak)


def transport(packets: Sequence[tuple[int, bytes]]) -> bytes:
    """(identity, table or piece) of each packet."""
    heads = (struct.pack(">BHB", 0x47, 0x4000 | identity, 0x10 | at % 16) for at, (identity, _) in enumerate(packets))
    return b"".join(head + content.ljust(184, b"\xff") for head, (_, content) in zip(heads, packets, strict=False))


def programs(first: int) -> bytes:
    """A table that lists 40 programs, each with a table of its own."""
    listed = b"".join(struct.pack(">HH", number + 1, 0xE000 | (0x20 + number)) for number in range(first, first + 40))
    return (
        b"\0\0" + struct.pack(">HHBBB", 0xB000 | (len(listed) + 9), 1, 0xC1 | first % 16 << 1, 0, 0) + listed + bytes(4)
    )


def avi(*chunks: tuple[bytes, bytes]) -> bytes:
    """An AVI of 8,000 samples of 8 bits a second with these chunks behind its header."""
    track = struct.pack("<4s4sIHHIIIIIIII8x", b"auds", b"\0" * 4, 0, 0, 0, 0, 1, 8000, 0, 2**31, 0, 0, 1)
    layout = struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8)
    lists = (
        _chunk(b"strh", track) + _chunk(b"strf", layout) + b"".join(_chunk(*one) for one in chunks if one[0] == b"indx")
    )
    header = (
        b"hdrl"
        + _chunk(b"avih", struct.pack("<14I", 0, 0, 0, 0x10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0))
        + _chunk(b"LIST", b"strl" + lists)
    )
    rest = b"".join(_chunk(*one) for one in chunks if one[0] != b"indx")
    return b"RIFF" + struct.pack("<I", 2**31) + b"AVI " + _chunk(b"LIST", header) + rest


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


INDEX = struct.pack("<HBBI4sQI", 4, 1, 1, 0x7FFFFFFF, b"00wb", 2**62, 0) + struct.pack("<QII", 2**61, 2**31, 1) * 500

NEW = [
    name
    for name in CONTAINERS
    if name.rpartition(".")[2]
    in ("wma", "caf", "au", "w64", "ts", "m2ts", "avi", "flv", "wv", "voc", "ac3", "eac3", "dts")
]
BOMBS = {
    "4,000 programs": transport([(0, programs(40 * at)) for at in range(100)]),
    "one program list for ever": transport([(0, programs(0))] * 20_000),
    "avi whose index leads out of the file": avi((b"indx", INDEX), (b"LIST", b"movi")),
    "avi whose index leads to itself": avi(
        (b"LIST", b"movi" + _chunk(b"ix00", INDEX)), (b"idx1", struct.pack("<4sIII", b"00wb", 16, 4, 2**31) * 20_000)
    ),
    "asf of 2^63 bytes of header": ASF + struct.pack("<QIBB", 2**63 - 1, 2**31, 1, 2) + bytes(5000),
    "asf of objects of no size": ASF + struct.pack("<QIBB", 10**6, 2**31, 1, 2) + (ASF + bytes(8)) * 1000,
    "flv of tags of no size": b"FLV\x01\x04\0\0\0\x09\0\0\0\0" + (b"\x08" + bytes(14)) * 50_000,
    "flv that is described in 4 GB": b"FLV\x01\x04\0\0\0\x09\0\0\0\0\x12\xff\xff\xff"
    + bytes(7)
    + b"\x02\0\x0aonMetaData\x08\xff\xff\xff\xff",
    "caf with 2^62 packets": b"caff\0\x01\0\0desc"
    + struct.pack(">qd4s5I", 32, 8000.0, b"ima4", 0, 0, 0, 1, 0)
    + b"pakt"
    + struct.pack(">qqqii", 24, 2**62, 2**62, 0, 0)
    + b"data"
    + struct.pack(">qI", -1, 0),
    "au at 1 Hz": b".snd" + struct.pack(">5I", 24, 0xFFFFFFFF, 3, 1, 1) + bytes(32_000),
    "au of 65535 channels": b".snd" + struct.pack(">5I", 24, 0xFFFFFFFF, 3, 8000, 65_535) + bytes(320_000),
    "w64 of 2^63 bytes": b"riff"
    + W64
    + struct.pack("<Q", 2**63)
    + b"wave\xf3\xac\xd3\x11\x8c\xd1\0\xc0O\x8e\xdb\x8a"
    + b"fmt \xf3\xac\xd3\x11\x8c\xd1\0\xc0O\x8e\xdb\x8a"
    + struct.pack("<Q", 2**63),
    "voc of blocks of no size": b"Creative Voice File\x1a\x1a\0\x0a\x01\x29\x11" + b"\x03\0\0\0" * 50_000,
    "wavpack of 2^32 samples in a block": b"wvpk"
    + struct.pack("<IHBBIIIII", 1000, 0x410, 0, 0, 2**32 - 1, 0, 2**32 - 1, 0x1800, 0)
    + bytes(1000),
    "1 Hz": wav(bytes(32_000), sample_rate=1),
    "1 Hz, long": wav(bytes(3_200_000), sample_rate=1),
    "65535 channels": wav(bytes(320_000), channels=65_535),
    "4 GB promised": wav(b"", data_size=0xFFFFFFF0),
    "a box of 2^63 bytes": b"\0\0\0\x10ftypM4A \0\0\0\0" + struct.pack(">I4sQ", 1, b"mdat", 2**63) + bytes(100),
    "10,000 boxes": b"\0\0\0\x10ftypM4A \0\0\0\0" + b"\0\0\0\x08free" * 10_000,
    "boxes of no size": b"\0\0\0\x10ftypM4A \0\0\0\0" + b"\0\0\0\x01free" + bytes(8),
}


@pytest.mark.processes
@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_bombs_do_not_go_off(data: bytes, level: Level, tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(data)
    outcome, peak = decoded_apart(tmp_path / "bomb", level)
    assert outcome not in ("decoded", "retry")
    assert peak < 512 * 2**20


@pytest.mark.processes
@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_bombs_leave_nothing(data: bytes, level: Level, nothing_left: None) -> None:
    with pytest.raises(StenopoolError), Decoding(data, level=level) as sound:
        list(sound)


@pytest.mark.processes
def test_hours_in_a_small_file_stop_at_the_limit(tmp_path: Path, level: Level) -> None:
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", 3600, "-c:a", "flac", tmp_path / "bomb.flac")
    assert (tmp_path / "bomb.flac").stat().st_size < 500_000
    with Decoding(tmp_path / "bomb.flac", level=level, max_seconds=10) as sound, pytest.raises(MediaTooLong):
        list(sound)
    assert sound.samples <= 11 * 16_000


def test_a_year_that_only_the_header_claims(recordings: Path) -> None:
    """The last page of an Ogg gets the stamp of a year. What counts is what is heard."""
    data = bytearray((recordings / "voice.ogg").read_bytes())
    last = data.rindex(b"OggS")
    data[last + 6 : last + 14] = struct.pack("<q", 48_000 * 365 * 86_400)
    data[last + 22 : last + 26] = bytes(4)
    data[last + 22 : last + 26] = struct.pack("<I", ogg_crc(data[last:]))
    with Decoding(bytes(data), max_seconds=60) as sound:
        assert sum(len(block) for block in sound) == pytest.approx(SECONDS * 32_000, rel=0.02)


def ogg_crc(page: bytes | bytearray) -> int:
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value


@pytest.mark.processes
@pytest.mark.parametrize("tracks", [40, 100])
def test_a_multitude_of_tracks(tmp_path: Path, tracks: int, level: Level) -> None:
    (tmp_path / "one.wav").write_bytes(wav(tones(8000, seconds=1, onsets=()).tobytes(), sample_rate=8000))
    ffmpeg("-i", tmp_path / "one.wav", *["-map", "0"] * tracks, "-c:a", "pcm_s16le", tmp_path / "many.mkv")
    with contextlib.ExitStack() as stack:
        if tracks > 64:
            stack.enter_context(pytest.raises(UnsupportedMedia, match="tracks"))
        with Decoding(tmp_path / "many.mkv", level=level) as sound:
            assert sum(len(block) for block in sound) == 32_000
    assert decoded_apart(tmp_path / "many.mkv", level)[1] < 512 * 2**20


def test_a_log_without_end_does_not_fill_the_memory(recordings: Path, level: Level) -> None:
    """Every second frame is noise, so ffmpeg complains without pause."""
    data = bytearray((recordings / "tagless.mp3").read_bytes() * 30)
    noise = np.random.default_rng(1).integers(0, 256, 400, dtype=np.uint8).tobytes()
    for start in range(5000, len(data) - 1000, 1000):
        data[start : start + 400] = noise
    with Decoding(bytes(data), level=level) as sound:
        with contextlib.suppress(DamagedMedia):
            list(sound)
        assert sound._link
        assert sum(map(len, sound._link._child.log.last)) < 50_000


def test_no_path_of_ours_is_told(recordings: Path, level: Level, tmp_path: Path) -> None:
    """Bare frames are one recording; nobody takes its sound, which is more than a pipe holds: so its decoder is there still."""
    path = tmp_path / "long.mp3"
    path.write_bytes((recordings / "tagless.mp3").read_bytes() * 100)
    with Decoding(path, level=level) as sound:
        assert sound._link
        command = " ".join(psutil.Process(sound._link._child.pid).cmdline())
        assert command and str(tmp_path) not in command


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize("size", [100, 3000, 0.6])
def test_any_container_cut_anywhere_ends(
    recordings: Path, name: str, size: float, level: Level, nothing_left: None
) -> None:
    data = (recordings / name).read_bytes()
    kept = data[: int(size * len(data) if size < 1 else size)]
    with contextlib.suppress(InvalidRequest), Decoding(kept, level=level) as sound:
        list(sound)


@pytest.mark.parametrize("name", NEW)
def test_any_container_with_noise_in_it_ends(recordings: Path, name: str, level: Level, nothing_left: None) -> None:
    data, random = bytearray((recordings / name).read_bytes()), np.random.default_rng(7)
    for at in random.integers(200, len(data), 300):
        data[at] = random.integers(0, 256)
    with contextlib.suppress(InvalidRequest), Decoding(bytes(data), level=level, max_seconds=600) as sound:
        list(sound)


@pytest.mark.parametrize("tool", [find_ffmpeg(), OLD], ids=["fd", "file"])
@pytest.mark.parametrize("name", ["music.m4a", "first.m4a", "windows.wma", "plain.avi", "camera.m2ts", "pcm.wav"])
def test_a_container_behind_a_tag_is_read_from_its_own_beginning(
    recordings: Path, name: str, tool: Ffmpeg, level: Level
) -> None:
    """An index counts bytes from there: what precedes the container is not in the file that ffmpeg sees."""
    data = (recordings / name).read_bytes()
    heard = []
    for whole in (data, id3_tag(70_000) + data):
        with Decoding(whole, level=level, tool=tool) as sound:
            heard.append(b"".join(sound))
    assert heard[0] == heard[1]
