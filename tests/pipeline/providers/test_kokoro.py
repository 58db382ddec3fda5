"""Kokoro's phrases, pauses and refusals, with a tiny model that is made here."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline import providers
from pipeline.engines.engine_placement import Engines
from pipeline.engines.process_pool import EnginePool
from pipeline.errors import CatalogBroken, ProviderRefused, UnsupportedValue
from pipeline.kokoro.folder import MODEL, SAMPLE_RATE, STYLES, VOCABULARY
from pipeline.options import SpeechOptions
from pipeline.providers.kokoro import Kokoro, open_provider, phrases, trouble
from tests.support import tiny_kokoro
from tests.support.voice_traits import traits

pytestmark = pytest.mark.processes

CLAUSE = "the brown fox went over the river and into the garden"
LONG = ", ".join([CLAUSE] * 12) + ". A short one."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_kokoro.build(tmp_path_factory.mktemp("models") / "kokoro")


@pytest.fixture(scope="module")
def speaker(folder: Path) -> Iterator[Kokoro]:
    provider = open_provider({"model": str(folder), "cpu_threads": "1"}, Engines())
    assert isinstance(provider.speaker, Kokoro)
    yield provider.speaker
    provider.close()


def blocks(speaker: Kokoro, text: str, **asked: object) -> list[bytes]:
    options = SpeechOptions.model_validate({"model": "kokoro", "input": text, **asked})
    return list(speaker.speak(options, "kokoro"))


def test_no_phrase_is_longer_than_eight_seconds_and_each_is_a_block(speaker: Kokoro) -> None:
    found = blocks(speaker, LONG)
    assert len(found) == 8, "the first clause alone, then two together, which are 8 s, and the last sentence alone"
    assert max(len(block) for block in found) / 2 / SAMPLE_RATE <= 8.5, "with the pause before it"


def test_what_is_long_only_when_it_is_said_is_cut_there(speaker: Kokoro) -> None:
    (sevens,) = blocks(speaker, "7 " * 50)
    assert len(sevens) / 2 / SAMPLE_RATE > 16, "in one call: the engine has cut it"


def test_seams_do_not_click(speaker: Kokoro) -> None:
    samples = np.frombuffer(b"".join(blocks(speaker, LONG, voice="onyx")), "<i2").astype(int)
    steps = np.abs(np.diff(samples))
    steepest = 32767 * 0.12 * 2**0.5 * 2 * np.pi * 96 / SAMPLE_RATE  # of the tone itself
    assert steps.max() <= 1.1 * steepest


def test_where_nothing_sounds_there_is_a_playable_silence_and_no_more(speaker: Kokoro) -> None:
    assert [len(block) for block in blocks(speaker, "...")] == [SAMPLE_RATE // 2]
    assert blocks(speaker, "... Hello. ...") == blocks(speaker, "Hello.")


def test_a_sentence_is_recited_whole_with_all_its_words(speaker: Kokoro) -> None:
    told = list(speaker.recite(SpeechOptions(model="kokoro", input=LONG), "kokoro"))
    assert [one.text for one in told] == [LONG.removesuffix(" A short one."), "A short one."]
    for one in told:
        assert " ".join(word.text for word in one.words) == one.text
        assert all(word.start <= word.end <= one.length for word in one.words)


@pytest.mark.parametrize("speed", [0.25, 0.6, 2.0, 4.0])
def test_speed_changes_the_length_and_not_the_pitch(speaker: Kokoro, speed: float) -> None:
    usual, asked = (b"".join(blocks(speaker, CLAUSE, speed=each)) for each in (1.0, speed))
    assert len(usual) / len(asked) == pytest.approx(speed, rel=0.1)
    assert traits(asked, SAMPLE_RATE).pitch == pytest.approx(traits(usual, SAMPLE_RATE).pitch, rel=0.03)


def test_a_mixture_lies_between_its_styles(speaker: Kokoro) -> None:
    pitch = {
        voice: traits(blocks(speaker, CLAUSE, voice=voice)[0], SAMPLE_RATE).pitch
        for voice in ("onyx", "alloy", "marin")
    }
    assert pitch["onyx"] == pytest.approx(tiny_kokoro.PITCHES["jm_kumo"], rel=0.03)
    assert pitch["onyx"] < pitch["alloy"] < pitch["marin"]


@pytest.mark.parametrize("text", ["Привет, как дела?", "你好,世界。", "مرحبا"])
def test_other_letters_are_for_somebody_else(speaker: Kokoro, text: str) -> None:
    for way in (speaker.speak, speaker.recite):
        with pytest.raises(UnsupportedValue, match="English") as refused:
            list(way(SpeechOptions(model="kokoro", input=text), "kokoro"))
        assert refused.value.param == "input"
    assert blocks(speaker, f"He said: {text[:2]}"), "a word of it is none"


def test_another_language_is_for_somebody_else_as_told_or_as_the_text_proves(speaker: Kokoro) -> None:
    german, name = "Das Wetter ist heute sehr schön.", "Call Anna Müller in München."
    for text, language in ((german, None), (name, "de"), ("Hello.", "ja")):
        with pytest.raises(UnsupportedValue, match=r"English.*`(de|ja)`"):
            blocks(speaker, text, language=language)
    assert blocks(speaker, name)
    assert blocks(speaker, german, language="en")


def test_the_first_phrase_ends_at_a_pause_so_that_it_is_heard_early() -> None:
    assert next(phrases(LONG, soon=True)) == f"{CLAUSE},"
    assert [*phrases(LONG, soon=True)][1:] == [*phrases(LONG.removeprefix(f"{CLAUSE}, "))]
    for text in (
        "A short one, with a pause.",
        "No pause in all of this but words and words and words and words, until here.",
    ):
        assert list(phrases(text, soon=True)) == list(phrases(text))


def test_what_follows_is_spoken_while_the_first_is_heard(speaker: Kokoro, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, spoken_ahead = list[str](), threading.Event()
    pool = speaker._engine

    class Watched:
        def call(self, method: str, phrase: str, *arguments: object, **options: object) -> object:
            asked.append(phrase)
            if len(asked) == 3:
                spoken_ahead.set()
            return pool.call(method, phrase, *arguments, **options)

    monkeypatch.setattr(speaker, "_engine", Watched())
    heard = speaker.speak(SpeechOptions(model="kokoro", input=LONG), "kokoro")
    next(heard)
    assert spoken_ahead.wait(60), "though nobody has asked for more than the first"
    assert sum(1 for _ in heard) + 1 == len(asked)


@pytest.mark.parametrize("voice", ["de", "fr+m3", "nobody"])
def test_other_voices_are_for_somebody_else(speaker: Kokoro, voice: str) -> None:
    with pytest.raises(UnsupportedValue) as refused:
        blocks(speaker, "Hello.", voice=voice)
    assert refused.value.param == "voice"


@pytest.mark.parametrize("name", [MODEL, STYLES, VOCABULARY])
def test_what_cannot_be_loaded_is_refused_and_told(tmp_path: Path, name: str) -> None:
    damaged = tiny_kokoro.build(tmp_path / "kokoro")
    (damaged / name).write_bytes(bytes((damaged / name).stat().st_size))
    provider = open_provider({"model": str(damaged)}, Engines())
    assert provider.speaker
    with pytest.raises(ProviderRefused, match="stenopool models verify"):
        list(provider.speaker.speak(SpeechOptions(model="kokoro", input="Hello."), "kokoro"))
    provider.close()


def test_its_settings_are_checked_and_what_is_missing_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogBroken, match="cpu_threads"):
        providers.check("kokoro", {"cpu_threads": -1})
    assert trouble({"model": str(folder)}) == ""
    assert "stenopool models install kokoro" in trouble({"model": str(tmp_path)})


def test_nothing_is_loaded_before_the_first_call() -> None:
    provider = open_provider({"model": "/nowhere"}, Engines(4))
    assert [type(resource) for resource in provider.resources] == [EnginePool]
    provider.close()
