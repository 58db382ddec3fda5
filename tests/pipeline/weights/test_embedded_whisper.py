"""Whisper stands in where it is installed, PocketSphinx where it is not or cannot be loaded; which one it was is told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.settings import Settings
from pipeline.catalog.catalog import Catalog
from pipeline.catalog.toml_file import load_catalog
from pipeline.errors import UnsupportedLanguage
from pipeline.options import TranscriptionOptions
from pipeline.oracle.speech import say
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import hear
from pipeline.transcript import Heard
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


def test_without_weights_and_without_stand_ins(models: Path, tmp_path: Path) -> None:
    assert catalog(tmp_path / "none").served(NAME, "transcription")[0].provider == "pocketsphinx"
    assert not catalog(tmp_path / "none", "off").available(NAME)
    assert catalog(models, "off").available(NAME) and not catalog(models, "off").available("whisper-1")
