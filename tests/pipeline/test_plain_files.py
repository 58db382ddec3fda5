"""Which files go to a provider as they came: only those in which everybody finds the same recording."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline import passthrough
from pipeline.catalog.toml_file import load_catalog
from pipeline.options import TranscriptionOptions
from pipeline.oracle.speech import generate
from pipeline.provider_registry import ProviderRegistry
from tests.pipeline.audio.sounds import ffmpeg, id3_tag, piped, wav

pytestmark = pytest.mark.processes

CATALOG = """
[providers.one]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-x"
tries = 1

[models.m]
tasks = ["transcription"]
routes = [{{ provider = "one", model = "up" }}]
"""
SECONDS = 6.4
Make = Callable[[SimpleNamespace], bytes]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A folder, speech as mono samples, and ways to encode it: `a.mono("mp3", ...)`, `a.stereo(...)`."""
    folder = tmp_path_factory.mktemp("plain")
    pcm = b"".join(block for block, _ in generate(seconds=SECONDS, style="natural", seed=5))
    (folder / "speech.wav").write_bytes(wav(pcm))
    made: dict[tuple[str, ...], bytes] = {}

    def file(suffix: str, *options: str) -> bytes:
        """The speech as this kind of file; made once."""
        if (suffix, *options) not in made:
            ffmpeg("-i", folder / "speech.wav", *options, target := folder / f"{len(made)}.{suffix}")
            made[suffix, *options] = target.read_bytes()
        return made[suffix, *options]

    return SimpleNamespace(folder=folder, pcm=pcm, file=file, speech=folder / "speech.wav")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderRegistry]:
    catalog = tmp_path_factory.mktemp("catalog") / "catalog.toml"
    catalog.write_text(CATALOG.format(url="http://127.0.0.1:9"))
    with ProviderRegistry(load_catalog(catalog, embedded_engines="off"), engine_processes=1) as found:
        first = found.transcriber(found.catalog.routes_for(TranscriptionOptions(model="m"))[0])
        first.takes = replace(first.takes, containers=first.takes.containers | {"aac"})  # some servers do
        yield found


def goes(data: bytes, registry: ProviderRegistry) -> bool:
    options = TranscriptionOptions(model="m")
    return passthrough.packed(data, options, registry, registry.catalog.routes_for(options)[0]) is not None


MONO, STEREO = ("-ar", "44100", "-ac", "1"), ("-ar", "44100", "-ac", "2")
OPPOSITE = ("-ar", "48000", "-af", "pan=stereo|c0=c0|c1=-1*c0")
OPUS = ("-c:a", "libopus")
PLAIN: dict[str, Make] = {
    "wav": lambda a: a.file("wav"),
    "wav with tags": lambda a: a.file("wav", "-metadata", "title=Ein Gespräch", "-write_bext", "1"),
    "float wav": lambda a: a.file("wav", "-c:a", "pcm_f32le"),
    "wav of two channels that are one": lambda a: a.file("wav", *STEREO),
    "wav of two voices": lambda a: a.file("wav", "-af", "asplit[l][r];[r]adelay=1300[d];[l][d]amerge"),
    "wav with one silent channel": lambda a: a.file("wav", "-af", "pan=stereo|c0=c0|c1=0*c0"),
    "mp3": lambda a: a.file("mp3", *MONO),
    "mp3 of 16 kHz": lambda a: a.file("mp3", "-b:a", "32k"),
    "mp3 of 8 kHz": lambda a: a.file("mp3", "-ar", "8000"),
    "mp3 of a variable rate": lambda a: a.file("mp3", *MONO, "-q:a", "4"),
    "mp3 of an average rate": lambda a: a.file("mp3", *MONO, "-b:a", "56k", "-abr", "1"),
    "mp3 of a high rate": lambda a: a.file("mp3", "-ar", "48000", "-ac", "1", "-b:a", "320k"),
    "mp3 without a tag": lambda a: a.file("mp3", *MONO, "-write_xing", "0", "-id3v2_version", "0"),
    "mp3 with tags": lambda a: id3_tag(4096) + a.file("mp3", *MONO, "-write_id3v1", "1"),
    "mp3 that was streamed": lambda a: piped(a.speech, "mp3"),
    "aac": lambda a: a.file("aac", *MONO),
    "flac": lambda a: a.file("flac"),
    "flac of 24 bits": lambda a: a.file("flac", "-sample_fmt", "s32", "-ar", "48000"),
    "flac of an odd rate": lambda a: a.file("flac", "-ar", "12345"),
    "flac that was streamed": lambda a: piped(a.speech, "flac"),
    "flac with a picture's tag": lambda a: id3_tag(4096) + a.file("flac"),
    "opus": lambda a: a.file("ogg", *OPUS),
    "opus in long frames": lambda a: a.file("ogg", *OPUS, "-frame_duration", "60", "-b:a", "16k"),
    "webm": lambda a: a.file("webm", *OPUS),
}


def joined(*parts: Make) -> Make:
    return lambda a: b"".join(part(a) for part in parts)


def cut(part: Make) -> Make:
    return lambda a: part(a)[: 6 * len(part(a)) // 10]


def overwritten(part: Make) -> Make:
    """A fifth of the bytes, in stretches of 300, somewhere behind the headers."""

    def damaged(a: SimpleNamespace) -> bytes:
        data, chance = bytearray(part(a)), np.random.default_rng(1)
        for at in chance.integers(2000, len(data) - 400, len(data) // 1500):
            data[at : at + 300] = chance.bytes(300)
        return bytes(data)

    return damaged


def two_tracks(suffix: str, *options: str) -> Make:
    return lambda a: a.file(suffix, "-map", "0:a", "-map", "0:a", *options)


def holed(suffix: str, *options: str) -> Make:
    """Speech that goes on 90 s later, without packets in between."""

    def made(a: SimpleNamespace) -> bytes:
        source, target = a.folder / f"whole.{suffix}", a.folder / f"holed.{suffix}"
        source.write_bytes(a.file(suffix, *options))
        ffmpeg("-i", source, "-c", "copy", "-bsf:a", r"setts=ts=TS+gt(TS*TB\,3)*90/TB", target)
        return target.read_bytes()

    return made


def late(suffix: str, *options: str) -> Make:
    def made(a: SimpleNamespace) -> bytes:
        target = a.folder / f"late.{suffix}"
        ffmpeg("-itsoffset", "61", "-i", a.speech, *options, target)
        return target.read_bytes()

    return made


def wide_wav(a: SimpleNamespace) -> bytes:
    """24 bits in 32."""
    data = bytearray(a.file("wav", "-c:a", "pcm_s32le"))
    return bytes(
        data[:16]
        + b"\x28\0\0\0\xfe\xff"
        + data[22:36]
        + b"\x16\0\x18\0\4\0\0\0"
        + PCM_GUID
        + data[data.index(b"data") :]
    )


def turned_for_a_second(a: SimpleNamespace) -> bytes:
    both = np.repeat(np.frombuffer(a.pcm, "<i2"), 2).reshape(-1, 2)
    both[3 * 16_000 : 4 * 16_000, 1] *= -1
    return wav(both.tobytes(), channels=2)


PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")
OTHERS: dict[str, Make] = {
    "M1 mp3 of one and of two channels": joined(
        lambda a: a.file("mp3", *MONO, "-id3v2_version", "0"), lambda a: a.file("mp3", *STEREO, "-id3v2_version", "0")
    ),
    "M1 mp3 twice": joined(lambda a: a.file("mp3", *MONO), lambda a: a.file("mp3", *MONO, "-id3v2_version", "0")),
    "M1 mp3 twice, with a tag between": joined(lambda a: a.file("mp3", *MONO), lambda a: a.file("mp3", *MONO)),
    "M1 aac of two rates": joined(lambda a: a.file("aac", *MONO), lambda a: a.file("aac", "-ar", "22050")),
    "M1 aac of one and of two channels": joined(lambda a: a.file("aac", *MONO), lambda a: a.file("aac", *STEREO)),
    "M1 flac twice": joined(lambda a: a.file("flac"), lambda a: a.file("flac")),
    "M1 opus twice": joined(lambda a: a.file("ogg", *OPUS), lambda a: a.file("ogg", *OPUS)),
    "M1 webm twice": joined(lambda a: a.file("webm", *OPUS), lambda a: a.file("webm", *OPUS)),
    "M1 m4a twice": joined(lambda a: a.file("m4a"), lambda a: a.file("m4a")),
    "M2 hole in webm": holed("webm", *OPUS),
    "M2 hole in opus": holed("ogg", *OPUS),
    "M2 hole in m4a": holed("m4a"),
    "M2 late webm": late("webm", *OPUS),
    "M2 late opus": late("ogg", *OPUS),
    "M2 late m4a": late("m4a"),
    "M3 two tracks in webm": two_tracks("webm", *OPUS),
    "M3 two tracks in ogg": two_tracks("ogg", *OPUS),
    "M3 two tracks in m4a": two_tracks("m4a"),
    "M4 opposite phase in wav": lambda a: a.file("wav", *OPPOSITE),
    "M4 opposite phase in a float wav": lambda a: a.file("wav", *OPPOSITE, "-c:a", "pcm_f32le"),
    "M4 opposite phase in flac": lambda a: a.file("flac", *OPPOSITE),
    "M4 opposite phase in m4a": lambda a: a.file("m4a", *OPPOSITE),
    "M4 opposite phase in mp3": lambda a: a.file("mp3", *OPPOSITE),
    "M4 opposite phase in aac": lambda a: a.file("aac", *OPPOSITE),
    "M4 opposite phase in opus": lambda a: a.file("ogg", *OPPOSITE, *OPUS),
    "M4 opposite phase in webm": lambda a: a.file("webm", *OPPOSITE, *OPUS),
    "M4 opposite phase for a second": turned_for_a_second,
    "M5 damaged m4a": overwritten(lambda a: a.file("m4a")),
    "M5 damaged mp3": overwritten(lambda a: a.file("mp3", *MONO)),
    "M5 damaged aac": overwritten(lambda a: a.file("aac", *MONO)),
    "M5 damaged flac": overwritten(lambda a: a.file("flac")),
    "M5 damaged opus": overwritten(lambda a: a.file("ogg", *OPUS)),
    "M5 damaged webm": overwritten(lambda a: a.file("webm", *OPUS)),
    "M5b wav cut off": cut(lambda a: a.file("wav")),
    "M5b mp3 cut off": cut(lambda a: a.file("mp3", *MONO)),
    "M5b aac cut off": cut(lambda a: a.file("aac", *MONO)),
    "M5b flac cut off": cut(lambda a: a.file("flac")),
    "M5b opus cut off": cut(lambda a: a.file("ogg", *OPUS)),
    "M5b webm cut off": cut(lambda a: a.file("webm", *OPUS)),
    "M5b m4a cut off": cut(lambda a: a.file("m4a", "-movflags", "faststart")),
    "M6 rubbish before the first frame": lambda a: (
        id3_tag(512) + bytes(9000) + a.file("mp3", *MONO, "-id3v2_version", "0")
    ),
    "M6 a tag before wav": lambda a: id3_tag(512) + a.file("wav"),
    "M7 a program stream": lambda a: a.file("mpg", "-c:a", "mp2", "-f", "mpeg"),
    "M8 windows media": lambda a: a.file("wma"),
    "M9 two wavs": joined(lambda a: a.file("wav"), lambda a: a.file("wav")),
    "M9 a wav and one of another rate": joined(lambda a: a.file("wav"), lambda a: a.file("wav", "-ar", "8000")),
    "M9 24 bits in 32": wide_wav,
    "M9 mp3 in wav": lambda a: a.file("wav", "-c:a", "libmp3lame"),
    "wav that was streamed": lambda a: piped(a.speech, "wav"),
    "wav with rubbish behind it": lambda a: a.file("wav") + bytes(range(200)),
    "mp3 with rubbish behind it": lambda a: a.file("mp3", *MONO) + bytes(400),
    "mp3 of two channels": lambda a: a.file("mp3", *STEREO),
    "mp3 that begins inside another one": lambda a: a.file("mp3", *MONO, "-write_xing", "0", "-id3v2_version", "0")[
        418 * 9 :
    ],
    "m4a": lambda a: a.file("m4a"),
    "film": lambda a: a.file("webm", *OPUS, "-filter_complex", "color=s=64x64:d=2[v]", "-map", "[v]", "-map", "0:a"),
}


@pytest.mark.parametrize("make", PLAIN.values(), ids=PLAIN)
def test_a_plain_file_is_handed_on(place: SimpleNamespace, registry: ProviderRegistry, make: Make) -> None:
    assert goes(make(place), registry)


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_any_other_is_decoded(place: SimpleNamespace, registry: ProviderRegistry, make: Make) -> None:
    assert not goes(make(place), registry)
