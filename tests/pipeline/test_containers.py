"""Speech through every container that is decoded here and nowhere else: every word once, in its place."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pipeline.catalog.toml_file import load_catalog
from pipeline.options import TranscriptionOptions
from pipeline.oracle.speech import Spoken, generate
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import transcribe
from tests.pipeline.audio.sounds import id3_tag
from tests.support.sound_files import encoded

pytestmark = pytest.mark.processes

SECONDS = 20.0
DCA = ("-c:a", "dca", "-strict", "-2", "-ar", "48000")
FILES: dict[str, tuple[Sequence[str], int]] = {  # (ffmpeg's options, ms that codec and container come late by)
    "a.wma": (["-ar", "44100"], 47),
    "a.caf": ([], 0),
    "a.au": (["-c:a", "pcm_mulaw"], 0),
    "a.w64": ([], 0),
    "a.ts": (["-c:a", "aac"], 64),
    "a.m2ts": (["-c:a", "ac3", "-ar", "48000"], 6),
    "a.avi": (["-c:a", "libmp3lame"], 0),
    "a.flv": (["-c:a", "aac", "-ar", "44100"], 24),
    "a.wv": ([], 0),
    "a.voc": ([], 0),
    "a.ac3": (["-ar", "48000"], 6),
    "a.eac3": (["-ar", "48000"], 6),
    "a.dts": (DCA, 11),
    "mp3.wav": (["-c:a", "libmp3lame"], 0),
    "ac3.wav": (["-c:a", "ac3", "-ar", "48000"], 6),
    "dts.wav": (DCA, 11),
    "adpcm.wav": (["-c:a", "adpcm_ms"], 0),
    "g722.wav": (["-c:a", "g722"], 2),
    "g726.wav": (["-c:a", "g726", "-ar", "8000"], 0),
    "ima.aifc": (["-c:a", "adpcm_ima_qt", "-f", "aiff"], 0),
}


@pytest.fixture(scope="module")
def registry() -> Iterator[ProviderRegistry]:
    registry = ProviderRegistry(load_catalog(None, embedded_engines="auto"), engine_processes=1)
    yield registry
    registry.close()


@pytest.fixture(scope="module")
def speech() -> tuple[bytes, list[Spoken]]:
    blocks = list(generate(seconds=SECONDS, style="natural", seed=3))
    return b"".join(block for block, _ in blocks), [word for _, words in blocks for word in words]


@pytest.mark.parametrize("name", FILES)
def test_every_word_once_and_in_its_place(
    name: str, speech: tuple[bytes, list[Spoken]], registry: ProviderRegistry, tmp_path: Path
) -> None:
    pcm, spoken = speech
    options, delay = FILES[name]
    data = encoded(pcm, tmp_path / name, options)
    asked = TranscriptionOptions(model="oracle", timestamp_granularities=("word",))
    words = transcribe(data, asked, registry).words
    assert [word.text for word in words] == [word.text for word in spoken]
    late = [word.start - said.start / 16 - delay for word, said in zip(words, spoken, strict=True)]
    assert max(map(abs, late)) <= 20


def test_rubbish_between_tag_and_frames_costs_no_word(
    speech: tuple[bytes, list[Spoken]], registry: ProviderRegistry, tmp_path: Path
) -> None:
    pcm, spoken = speech
    frames = encoded(pcm, tmp_path / "a.mp3", ["-write_xing", "0", "-id3v2_version", "0"])
    data = id3_tag(5000) + bytes(200_000) + frames
    words = transcribe(data, TranscriptionOptions(model="oracle"), registry).words
    assert [word.text for word in words] == [word.text for word in spoken]
    assert max(abs(word.start - said.start / 16) for word, said in zip(words, spoken, strict=True)) <= 20
