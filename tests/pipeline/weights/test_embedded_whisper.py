"""Whisper stands in where it is installed, PocketSphinx where it is not or cannot be loaded; which one it was is told."""

import io
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from infra.settings import Settings
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.toml_file import load_catalog
from pipeline.errors import UnsupportedLanguage
from pipeline.options import TranscriptionOptions
from pipeline.oracle.speech import say
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import hear, transcribe
from pipeline.transcript import Heard, Segment
from pipeline.weights.description import Weights
from tests.support import tiny_whisper
from tests.support.weights import described

pytestmark = pytest.mark.processes

SPEECH = say(["brown", "river", "fox"], edge_s=0.3)
NAME = "whisper-base"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models in which a Whisper of half a megabyte goes by the name of the real one."""
    folder = tiny_whisper.build(tmp_path / "models" / NAME)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    told = {"name": NAME, "description": "tiny", "licence": "MIT", "serves": ("transcription", "translation")}
    source = {"kind": "hub", "repository": "a/b", "revision": "0" * 40, "files": described(files)}
    weights = Weights.model_validate({**told, "sources": [source]})
    monkeypatch.setattr("infra.settings.shipped_weights", lambda: {NAME: weights})
    return tmp_path / "models"


def catalog(models: Path, embedded: str = "auto") -> Catalog:
    settings = Settings(models=models)
    return load_catalog(None, embedded_engines=embedded, stock=settings.stock_providers)


def heard(models: Path, **asked: object) -> Heard:
    options = TranscriptionOptions.model_validate({"model": "whisper-1", **asked})
    with ProviderRegistry(catalog(models), engine_processes=1) as registry:
        return hear(SPEECH, options, registry)


def test_it_hears_and_translates_for_every_model_without_a_route(models: Path) -> None:
    found = heard(models)
    assert (found.model_used, found.language) == (NAME, "de")
    assert " ".join(segment.text for segment in found.segments) == "".join(tiny_whisper.HEARD).strip()
    translated = heard(models, task="translation", model="whisper-large-v3")
    assert (translated.model_used, translated.language) == (NAME, "en")
    assert heard(models, model="gpt-4o-transcribe").model_used == NAME


def test_languages_are_whispers_where_it_stands_in_and_english_where_it_does_not(models: Path, tmp_path: Path) -> None:
    for model in ("whisper-1", "gpt-4o-transcribe", NAME):
        assert set(catalog(models).languages(model)) == set(catalog(models).model("whisper-1").languages)
    here = catalog(models).routes_for(TranscriptionOptions(model="gpt-4o-transcribe", language="de"))
    assert [route.provider for route in here] == [NAME], "PocketSphinx hears no German"
    with pytest.raises(UnsupportedLanguage):
        catalog(tmp_path / "none").routes_for(TranscriptionOptions(model="whisper-1", language="de"))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def replaced(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def gone(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("damage", [cut, replaced, gone])
def test_a_damaged_model_means_pocketsphinx_and_says_so(models: Path, damage: Callable[[Path], None]) -> None:
    damage(models / NAME / "model.bin")
    assert heard(models).model_used == "pocketsphinx-en-us"
    still = catalog(models).routes("whisper-1", "transcription")[0].provider
    assert still == (NAME if damage is replaced else "pocketsphinx")


def test_what_is_loaded_beforehand_needs_no_loading_later_and_what_cannot_be_is_told(models: Path) -> None:
    with ProviderRegistry(catalog(models), engine_processes=1) as registry:
        registry.warm()
        assert registry.troubles == {}
    replaced(models / NAME / "model.bin")
    with ProviderRegistry(catalog(models), engine_processes=1) as registry:
        registry.warm()
        assert list(registry.troubles) == [NAME] and "cannot be loaded" in registry.troubles[NAME]
        assert hear(SPEECH, TranscriptionOptions(model="whisper-1"), registry).model_used == "pocketsphinx-en-us"


def test_a_reader_gets_each_sentence_as_soon_as_its_window_is_decoded(models: Path) -> None:
    """53 s of speech; the first window is 10 s at most, and a chunk otherwise as long as the model hears at once."""
    sound = raw_wave(SPEECH * round(53 * 32_000 / len(SPEECH)))
    moments: list[Sequence[Segment]] = []
    with ProviderRegistry(catalog(models), engine_processes=1) as registry:
        told = transcribe(
            sound,
            TranscriptionOptions(model="whisper-1"),
            registry,
            on_segments=lambda fresh, _: moments.append(fresh),
        )
    assert len(moments) >= 3 and sum(map(len, moments)) >= 5
    assert [segment.text for fresh in moments for segment in fresh] == [segment.text for segment in told.segments]
    assert moments[0][-1].end <= 10_000 < moments[1][-1].end <= 30_000


def raw_wave(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(16_000)
        written.writeframes(pcm)
    return file.getvalue()


def test_without_weights_and_without_stand_ins(models: Path, tmp_path: Path) -> None:
    assert catalog(tmp_path / "none").served(NAME, "transcription")[0].provider == "pocketsphinx"
    assert not catalog(tmp_path / "none", "off").available(NAME)
    assert catalog(models, "off").available(NAME) and not catalog(models, "off").available("whisper-1")
