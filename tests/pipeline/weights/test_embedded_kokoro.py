"""Kokoro stands in where it is installed, eSpeak NG where it is not, cannot be loaded, or for what it does not speak."""

from pathlib import Path

import pytest

from infra.settings import Settings
from pipeline.kokoro.folder import MODEL
from pipeline.options import SpeechOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import speak
from pipeline.tts.passage import recite
from pipeline.weights.description import Weights
from tests.support import tiny_kokoro
from tests.support.weights import described

pytestmark = pytest.mark.processes

NAME = "kokoro"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models in which a voice of a kilobyte goes by the name of the real one."""
    folder = tiny_kokoro.build(tmp_path / "models" / NAME)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    told = {"name": NAME, "description": "tiny", "licence": "Apache-2.0", "serves": ("speech",)}
    source = {"kind": "hub", "repository": "a/b", "revision": "0" * 40, "files": described(files)}
    weights = Weights.model_validate({**told, "sources": [source]})
    monkeypatch.setattr("infra.settings.shipped_weights", lambda: {NAME: weights})
    return tmp_path / "models"


def spoken_by(settings: Settings, **asked: object) -> str:
    options = SpeechOptions.model_validate({"model": "tts-1", "input": "A river.", "response_format": "pcm", **asked})
    with ProviderRegistry(settings.load_catalog(), engine_processes=1) as registry:
        speech = speak(options, registry)
        assert sum(map(len, speech))
        recited = recite(options, registry).model_used
        assert recited == speech.model_used
        return speech.model_used


@pytest.mark.parametrize("model", ["tts-1", "gpt-4o-mini-tts", NAME])
def test_it_speaks_for_every_model_without_a_route(models: Path, model: str) -> None:
    assert spoken_by(Settings(models=models), model=model) == NAME
    assert spoken_by(Settings(models=models), model="espeak-ng") == "espeak-ng"


@pytest.mark.parametrize("asked", [{"voice": "de"}, {"voice": "fr+m3"}, {"input": "Добрый день."}])
def test_what_it_does_not_speak_goes_to_espeak_and_is_told(models: Path, asked: dict[str, str]) -> None:
    assert spoken_by(Settings(models=models), **asked) == "espeak-ng"
    assert spoken_by(Settings(models=models), model=NAME, **asked) == "espeak-ng"


def test_who_wants_the_quick_voice_has_it_and_the_other_by_name(models: Path) -> None:
    quick = Settings.from_env({"STENOPOOL_SPEECH": "espeak", "STENOPOOL_MODELS": str(models)})
    assert spoken_by(quick) == "espeak-ng"
    assert spoken_by(quick, model=NAME) == NAME


@pytest.mark.parametrize("damage", ["cut", "replaced", "gone"])
def test_a_damaged_model_means_espeak_and_says_so(models: Path, damage: str) -> None:
    file = models / NAME / MODEL
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(bytes(file.stat().st_size) if damage == "replaced" else file.read_bytes()[:-1])
    assert spoken_by(Settings(models=models)) == "espeak-ng"


def test_without_weights_espeak_speaks(models: Path, tmp_path: Path) -> None:
    without = Settings(models=tmp_path / "none")
    assert spoken_by(without) == spoken_by(without, model=NAME) == "espeak-ng"
    catalog = Settings(models=models).load_catalog()
    assert catalog.voices("tts-1") == catalog.model(NAME).voices
    assert set(catalog.languages("tts-1")) == set(catalog.model("espeak-ng").languages)
