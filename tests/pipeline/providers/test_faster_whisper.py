"""Whisper on this machine, with models made from nothing: what comes out is known, how it comes out is CTranslate2's."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.settings import Settings
from pipeline.catalog.toml_file import load_catalog
from pipeline.engines.engine_placement import Engines
from pipeline.errors import CatalogBroken, ProviderError, ProviderRefused, UnsupportedValue
from pipeline.options import TranscriptionOptions
from pipeline.oracle.speech import say
from pipeline.provider_protocol import Provider, Transcriber, is_aligner
from pipeline.providers.faster_whisper import check, open_provider, trouble
from pipeline.transcript import SAMPLE_RATE, Heard
from pipeline.whisper.config import INSTALL
from pipeline.whisper.ear import Ear
from pipeline.whisper.languages import LanguageChoice
from pipeline.whisper.task import Task
from tests.support.tiny_whisper import HEARD, TRANSLATED, build

pytestmark = pytest.mark.processes

SPEECH = say(["brown", "river", "fox"], edge_s=0.3)
SENTENCE = "".join(HEARD).strip()
Hear = Callable[..., Heard]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("models")
    return {
        "good": build(home / "tiny-whisper"),
        "loop": build(home / "loop", says="loop"),
        "mute": build(home / "mute", certainty=0.6, silence=9.0),
        "unsure": build(home / "unsure", certainty=0.6),
        "nothing": build(home / "nothing", says="nothing"),
        "english": build(home / "english", multilingual=False),
    }


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """One engine process for all models: without `model` the name that the route says counts."""
    opened = open_provider({"device": "cpu", "cpu_threads": 1, "local_files_only": True}, Engines())
    yield opened
    opened.close()


@pytest.fixture
def hear(provider: Provider, folders: dict[str, Path]) -> Hear:
    transcriber = provider.transcriber
    assert transcriber

    def ask(model: str = "good", pcm: bytes = SPEECH, **options: Any) -> Heard:
        return transcriber.hear(pcm, TranscriptionOptions(model="m", **options), str(folders[model]))

    return ask


def text(heard: Heard) -> str:
    return " ".join(segment.text for segment in heard.segments)


def test_sentences_words_language_and_the_models_own_figures(hear: Hear) -> None:
    heard = hear()
    assert text(heard) == SENTENCE
    assert [word.text for segment in heard.segments for word in segment.words] == SENTENCE.split()
    assert heard.segments[0].text.endswith(".")
    assert heard.language == "de" and heard.model_used == "tiny-whisper" and heard.timed
    for segment in heard.segments:
        assert segment.avg_logprob is not None and -0.1 < segment.avg_logprob <= 0
        assert segment.compression_ratio is not None and segment.no_speech_prob is not None
        assert segment.temperature == 0.0
    tokens = [token for segment in heard.segments for token in segment.tokens]
    assert [len(segment.tokens) for segment in heard.segments] == [len(segment.words) for segment in heard.segments]
    assert tokens == sorted(set(tokens))  # the model's sentence has one token a word, numbered in order


def test_translation_is_english(hear: Hear) -> None:
    heard = hear(task="translation")
    assert text(heard) == "".join(TRANSLATED).strip()
    assert heard.language == "en"


def test_the_language_that_is_told_is_not_detected(hear: Hear) -> None:
    assert hear(language="fr").language == "fr"
    assert hear(language="jv").language == "jv"
    assert hear(languages=("fr", "it")).language in ("fr", "it")
    assert hear(languages=("fr", "de")).language == "de"


def test_a_language_it_does_not_hear_is_refused_with_those_it_does(hear: Hear) -> None:
    with pytest.raises(UnsupportedValue, match="af, am") as refused:
        hear(language="tlh")
    assert refused.value.param == "language"
    with pytest.raises(UnsupportedValue, match=r": en$"):
        hear("english", language="de")
    assert hear("english").language == "en"


def test_prompt_keywords_and_temperature_are_taken(hear: Hear) -> None:
    assert text(hear(prompt="Talk about nature.", keywords=("fox", "river"))) == SENTENCE
    warm = hear(temperature=0.3)
    assert text(warm) == SENTENCE and warm.segments[0].temperature == pytest.approx(0.3)
    assert hear(temperature=0.3) == warm


def test_a_prompt_and_keywords_without_end_leave_room_for_the_text(hear: Hear) -> None:
    heard = hear(prompt="Something was said before. " * 300, keywords=tuple(f"keyword{n}" for n in range(400)))
    assert text(heard) == SENTENCE


@pytest.mark.parametrize(("model", "language"), [("good", "de"), ("good", None), ("good", "tlh"), ("english", "de")])
def test_a_text_is_laid_over_its_sound(
    provider: Provider, folders: dict[str, Path], model: str, language: str | None
) -> None:
    transcriber = provider.transcriber
    assert transcriber and is_aligner(transcriber)
    said = "Brown river, fóxes 漢字!"
    pieces = transcriber.align(SPEECH, said, language, str(folders[model]))
    assert "".join(piece.text for piece in pieces) == f" {said}"
    edges = [edge for piece in pieces for edge in (piece.start, piece.end)]
    assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= 1000 * len(SPEECH) / 2 / SAMPLE_RATE + 20
    assert transcriber.align(SPEECH, "river " * 400, language, str(folders[model])) == [], "more than a window holds"
    assert transcriber.align(bytes(2 * 31 * SAMPLE_RATE), said, language, str(folders[model])) == []


def test_a_long_chunk_is_heard_in_windows_that_follow_each_other(hear: Hear) -> None:
    pcm = SPEECH * 45
    heard = hear(pcm=pcm)
    seconds = len(pcm) / 2 / SAMPLE_RATE
    windows = text(heard).count("Seven foxes")
    assert seconds / 30 <= windows <= seconds / 10 + 1
    ends = 0
    for segment in heard.segments:
        assert ends <= segment.start <= segment.end <= 1000 * seconds + 1
        ends = segment.end
    assert heard.segments[-1].start > 1000 * (seconds - 30)
    assert heard == hear(pcm=pcm)


def test_a_long_pause_is_not_heard(hear: Hear) -> None:
    pause = bytes(2 * SAMPLE_RATE * 100)
    heard = hear(pcm=SPEECH * 8 + pause + SPEECH * 8)
    spoken = len(SPEECH) * 8 // 32
    assert not any(spoken + 31_000 < segment.start < spoken + 69_000 for segment in heard.segments)
    assert heard.segments[-1].end > spoken + 100_000


def test_a_guess_at_silence_is_kept_and_marked(hear: Hear) -> None:
    segments = hear("mute").segments
    assert segments and all("no_speech" in segment.suspect for segment in segments)
    assert not any("no_speech" in segment.suspect for segment in hear().segments)


def test_a_guess_at_speech_is_kept_and_its_doubt_told(hear: Hear) -> None:
    figures = [segment.avg_logprob for segment in hear("unsure").segments]
    assert figures and all(figure is not None and figure < -1 for figure in figures)


def test_a_loop_is_tried_again_and_told(hear: Hear) -> None:
    heard = hear("loop")
    assert set(text(heard).split()) == {"na"}
    assert all((segment.compression_ratio or 0) > 2.4 for segment in heard.segments)


def test_no_text_is_no_segment(hear: Hear) -> None:
    assert hear("nothing") == Heard(language="de", model_used="nothing")


@pytest.mark.parametrize("samples", [0, 1, 1599, 1600, 16_000, 30 * 16_000, 30 * 16_000 + 1])
def test_noise_of_any_length(hear: Hear, samples: int) -> None:
    noise = np.random.default_rng(1).normal(0, 3000, samples).astype("<i2").tobytes()
    for segment in hear(pcm=noise).segments:
        assert 0 <= segment.start <= segment.end <= samples // 16 + 1


def test_the_model_of_the_settings_goes_before_the_routes(folders: dict[str, Path]) -> None:
    opened = open_provider({"model": str(folders["good"]), "local_files_only": True}, Engines(4))
    assert opened.transcriber
    assert opened.transcriber.hear(SPEECH, TranscriptionOptions(model="m"), "large-v3").model_used == "tiny-whisper"
    opened.close()


@pytest.mark.parametrize("wanted", ["large-v3", "no-such-name", "somebody/something", ""])
def test_a_model_that_is_not_there_says_what_to_do(provider: Provider, wanted: str) -> None:
    assert provider.transcriber
    with pytest.raises(ProviderRefused, match="model") as refused:
        provider.transcriber.hear(SPEECH, TranscriptionOptions(model="m"), wanted)
    assert "download" in refused.value.message or "check `model`" in refused.value.message


def test_a_broken_model_and_an_impossible_device_say_what_to_do(tmp_path: Path, folders: dict[str, Path]) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.bin").write_bytes(b"not a model")
    for settings in ({"model": str(broken)}, {"model": str(folders["good"]), "compute_type": "int7"}):
        with pytest.raises(ProviderRefused, match="cannot be loaded") as refused:
            once(settings)
        assert str(tmp_path) not in str(refused.value.as_dict())


def once(settings: dict[str, Any]) -> Heard:
    opened = open_provider({"local_files_only": True, **settings}, Engines())
    try:
        assert opened.transcriber
        return opened.transcriber.hear(SPEECH, TranscriptionOptions(model="m"), "x")
    finally:
        opened.close()


def test_what_stands_in_the_way_shows_without_loading(
    tmp_path: Path, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trouble({"model": "large-v3"}) == trouble({"model": str(folders["good"])}) == ""
    assert "model.bin" in trouble({"model": str(tmp_path)})
    assert "does not exist" in trouble({"model": str(tmp_path / "none")})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert trouble({"model": "large-v3"}) == INSTALL


@pytest.mark.parametrize("broken", [{"device": "tpu"}, {"batch_size": -1}, {"nonsense": 1}])
def test_settings_that_make_no_sense_are_found_at_once(broken: dict[str, object]) -> None:
    with pytest.raises(CatalogBroken):
        open_provider(broken, Engines())


def test_a_graphics_card_is_shared_by_the_threads_of_the_io_workers() -> None:
    def transcriber(**settings: object) -> Transcriber:
        found = open_provider(settings, Engines()).transcriber
        assert found
        return found

    assert transcriber().local and transcriber(device="cpu").local
    assert not transcriber(device="cuda").local and not transcriber(remote=True).local
    assert transcriber(device="cuda", remote=False).local
    assert transcriber(batch_size=1).profile.max_s == 30 and transcriber(batch_size=64).profile.max_s == 240


def test_a_closed_one_says_so(folders: dict[str, Path]) -> None:
    opened = open_provider({"model": str(folders["good"])}, Engines())
    opened.close()
    assert opened.transcriber
    with pytest.raises(ProviderError):
        opened.transcriber.hear(SPEECH, TranscriptionOptions(model="m"), "x")


def test_neither_api_nor_workers_load_the_library() -> None:
    code = (
        "import sys, api.main, workers.main, cli.main\n"
        "from pipeline import providers\n"
        "providers.load('faster_whisper', {'model': 'large-v3'})\n"
        "assert not {'faster_whisper', 'ctranslate2', 'onnxruntime', 'tokenizers'} & set(sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr


def test_its_routes_count_only_with_a_model() -> None:
    given = load_catalog(None, embedded_engines="off", stock={"faster-whisper": {"model": "small"}})
    for model in ("whisper-1", "whisper-large-v3", "whisper-large-v3-turbo"):
        assert [route.provider for route in given.routes(model, "transcription")] == ["faster-whisper"]
    assert not load_catalog(None, embedded_engines="off").available("whisper-1")


def test_offline_nothing_is_downloaded_by_name() -> None:
    given = Settings(faster_whisper_model="large-v3", offline=True).stock_providers["faster-whisper"]
    assert check(given).local_files_only
    assert not check(Settings(faster_whisper_model="large-v3").stock_providers["faster-whisper"]).local_files_only


def test_prompt_and_keywords_together_are_no_longer_than_the_model_sees(folders: dict[str, Path]) -> None:
    config = check({"device": "cpu", "local_files_only": True})
    model = Ear(config.model_dump())._model(str(folders["good"]))
    options = TranscriptionOptions(model="m", prompt="said before. " * 99, keywords=("keyword",) * 99)
    given = Task(model, config, options, LanguageChoice(options, multilingual=True))._common
    assert options.prompt and options.prompt.endswith(given["initial_prompt"])
    assert given["hotwords"].startswith("keyword, keyword")
    lengths = [
        len(model.hf_tokenizer.encode(f"{lead}{given[name]}").ids)
        for lead, name in ((" ", "hotwords"), ("", "initial_prompt"))
    ]
    assert 200 < sum(lengths) <= 223


def test_what_cannot_be_loaded_is_not_tried_again_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def loaded(self: Ear, wanted: str) -> None:
        tries.append(wanted)
        raise ProviderRefused("The model cannot be loaded", provider="w")

    monkeypatch.setattr(Ear, "_loaded", loaded)
    ear = Ear({"local_files_only": True})
    for _ in range(3):
        with pytest.raises(ProviderRefused, match="cannot be loaded"):
            ear.hear([SPEECH], "broken", {})
    assert tries == ["broken"]
