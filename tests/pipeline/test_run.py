"""From sound to text and back: routes with fallback, silence that nobody is asked about, order, progress, an orderly end."""

import contextlib
import itertools
import threading
import wave
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipeline.catalog.model import Route
from pipeline.catalog.toml_file import load_catalog
from pipeline.errors import (
    EngineLost,
    InvalidRequest,
    ModelNotFound,
    ModelUnavailable,
    ProviderNonsense,
    ProviderRefused,
    RoutesExhausted,
    UnsupportedLanguage,
    UnsupportedValue,
)
from pipeline.options import SPEECH_FORMATS, SpeechOptions, TranscriptionOptions
from pipeline.oracle.speech import generate as speech
from pipeline.oracle.speech import say, write_wav
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import cut_profile, hear, is_local, speak, transcribe
from pipeline.transcript import Segment
from tests.support.holed_sound import DAMAGE, HOLE, HoledSound
from tests.support.sound_files import with_tracks

CATALOG = """
[providers.oracle]
scripted = true
log = "{folder}/calls"
max_s = 6
min_s = 2

[providers.steady]
kind = "oracle"
remote = true

[models.backed-up]
tasks = ["transcription", "speech"]
routes = [{{ provider = "oracle", model = "first" }}, {{ provider = "steady", model = "second" }}]

[models.twice-scripted]
tasks = ["transcription", "speech"]
routes = [{{ provider = "oracle", model = "first" }}, {{ provider = "oracle", model = "second" }}]

[models.remote]
tasks = ["transcription", "speech"]
routes = [{{ provider = "steady", model = "x" }}]

[models.misrouted]
tasks = ["transcription", "speech"]
routes = [{{ provider = "espeak", model = "x" }}, {{ provider = "pocketsphinx", model = "x" }}]

[models.polyglot]
tasks = ["transcription", "translation"]
routes = [
    {{ provider = "oracle", model = "first", languages = ["en"] }},
    {{ provider = "steady", model = "second", languages = ["de", "fr"] }},
]
"""
WORDS = ["river", "garden", "seven"]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ProviderRegistry]:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(CATALOG.format(folder=tmp_path))
    with ProviderRegistry(load_catalog(catalog, embedded_engines="auto"), engine_processes=1) as registry:
        yield registry


def asked(**values: object) -> TranscriptionOptions:
    return TranscriptionOptions.model_validate({"model": "oracle", **values})


def to_say(**values: object) -> SpeechOptions:
    return SpeechOptions.model_validate({"model": "oracle", "input": "River garden. Seven.", **values})


def texts(heard: object) -> list[str]:
    return [word.text for segment in getattr(heard, "segments", heard) for word in segment.words]


def calls(folder: Path) -> int:
    log = folder / "calls"
    return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.mark.processes
def test_the_whole_way_in_order_with_progress(registry: ProviderRegistry, tmp_path: Path) -> None:
    recording = tmp_path / "speech.wav"
    truth = write_wav(recording, speech(seconds=60, style="natural", seed=1))
    progress: list[tuple[int, int]] = []
    transcript = transcribe(recording, asked(), registry, workers=3, on_progress=lambda *done: progress.append(done))
    assert [word.text for word in transcript.words] == [word.text for word in truth]
    assert transcript.duration == 60_000
    assert (transcript.language, transcript.task, transcript.model_used) == ("en", "transcribe", "oracle")
    assert len(progress) >= 10
    assert all(before < after for (before, _), (after, _) in itertools.pairwise(progress))
    assert all(done <= decoded for done, decoded in progress)
    assert progress[-1][0] == 60_000


@pytest.mark.processes
def test_a_hole_stands_on_the_clock_and_is_not_counted(
    registry: ProviderRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.run.Sound", HoledSound)
    truth = write_wav(tmp_path / "speech.wav", speech(seconds=20, style="natural", seed=1))
    lengths, progress = list[int](), list[tuple[int, int]]()
    transcript = transcribe(
        tmp_path / "speech.wav",
        asked(),
        registry,
        on_length=lengths.append,
        on_progress=lambda *done: progress.append(done),
    )
    assert (transcript.duration, transcript.audio_ms) == (round(1000 * (HOLE + 20 + DAMAGE)), 20_000)
    assert transcript.duration - transcript.audio_ms == sum(gap.end - gap.start for gap in transcript.gaps)
    assert (lengths[-1], progress[-1]) == (20_000, (20_000, 20_000)), "what is paid for is sound"
    assert lengths == sorted(lengths)
    assert [word.text for word in transcript.words] == [word.text for word in truth]
    for word, said in zip(transcript.words, truth, strict=True):
        assert abs(word.start - 1000 * HOLE - said.start / 16) <= 20
    assert (transcript.partial, transcript.incomplete) == (False, True)


@pytest.mark.processes
def test_all_tracks_are_told_by_time(registry: ProviderRegistry, tmp_path: Path) -> None:
    for seed in (1, 2):
        write_wav(tmp_path / f"{seed}.wav", speech(seconds=8, style="natural", seed=seed))
    film = with_tracks(tmp_path, *((tmp_path / f"{seed}.wav").read_bytes() for seed in (1, 2)))
    told: list[Segment] = []
    transcript = transcribe(film, asked(audio_track="all"), registry, on_segments=lambda fresh, _: told.extend(fresh))
    assert transcript.segments == tuple(told)
    assert {(segment.track, segment.channel) for segment in transcript.segments} == {(1, None), (2, None)}
    for track, seed in ((1, 1), (2, 2)):
        truth = [word.text for _, words in speech(seconds=8, style="natural", seed=seed) for word in words]
        assert texts([one for one in transcript.segments if one.track == track]) == truth
    assert (transcript.duration, transcript.audio_ms) == (8000, 16_000), "each track that is heard is paid for"


@pytest.mark.processes
@pytest.mark.parametrize(("style", "detail"), [("natural", "word"), ("dense", "word"), ("dense", "text")])
def test_segments_are_handed_out_while_it_works_each_once(
    style: str, detail: str, registry: ProviderRegistry, tmp_path: Path
) -> None:
    recording = tmp_path / "speech.wav"
    write_wav(recording, speech(seconds=45, style=style, seed=4))
    told: list[str] = []
    progress: list[tuple[int, int]] = []  # chunks done, segments told by then

    def on_progress(*_: int) -> None:
        progress.append((len(progress) + 1, len(told)))

    transcript = transcribe(
        recording,
        asked(prompt=f"oracle: detail={detail}"),
        registry,
        workers=2,
        on_progress=on_progress,
        on_segments=lambda fresh, _: told.extend(segment.text for segment in fresh),
    )
    assert told == [segment.text for segment in transcript.segments]
    assert len({count for _, count in progress}) > len(progress) // 2, "most chunks add to what is known"


@pytest.mark.processes
def test_bytes_are_a_source_too_and_answers_that_come_late_stay_in_order(
    registry: ProviderRegistry, tmp_path: Path
) -> None:
    recording = tmp_path / "speech.wav"
    truth = write_wav(recording, speech(seconds=20, style="dense", seed=2))
    slow_middle = asked(prompt=f"oracle: hang=0.3 at={truth[len(truth) // 4].text}")
    transcript = transcribe(recording.read_bytes(), slow_middle, registry, workers=4)
    assert [word.text for word in transcript.words] == [word.text for word in truth]


@pytest.mark.processes
def test_nobody_is_asked_about_silence(registry: ProviderRegistry, tmp_path: Path) -> None:
    recording = tmp_path / "speech.wav"
    truth = write_wav(recording, speech(seconds=120, style="sparse", seed=3))
    transcript = transcribe(recording, asked(), registry)
    assert [word.text for word in transcript.words] == [word.text for word in truth]
    assert 0 < calls(tmp_path) <= len(transcript.segments)


@pytest.mark.processes
@pytest.mark.parametrize("every_s", [0.6, 0.8, 1.0])
def test_every_word_that_a_machine_repeats_is_heard(registry: ProviderRegistry, tmp_path: Path, every_s: float) -> None:
    word = np.frombuffer(say(["seven"], edge_s=0.0), "<i2")
    beat = np.zeros(round(16_000 * every_s), dtype="<i2")
    beat[: len(word)] = word
    with wave.open(str(tmp_path / "machine.wav"), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(np.tile(beat, 49).tobytes())
    transcript = transcribe(tmp_path / "machine.wav", asked(), registry)
    assert [spoken.text for spoken in transcript.words] == ["seven"] * 49
    assert transcript.not_sent == ()


@pytest.mark.processes
@pytest.mark.parametrize("level", [0, 12])
def test_a_recording_without_speech_costs_no_call(level: int, registry: ProviderRegistry, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 1, 16_000 * 20) * level
    with wave.open(str(tmp_path / "quiet.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(noise.astype("<i2").tobytes())
    transcript = transcribe(tmp_path / "quiet.wav", asked(language="de"), registry)
    assert (transcript.text, transcript.duration, transcript.language) == ("", 20_000, "de")
    assert calls(tmp_path) == 0


@pytest.mark.processes
def test_a_chunk_that_fails_fails_the_recording_and_leaves_no_thread(
    registry: ProviderRegistry, tmp_path: Path
) -> None:
    recording = tmp_path / "speech.wav"
    truth = write_wav(recording, speech(seconds=30, style="natural", seed=4))
    before = set(threading.enumerate())
    with pytest.raises(ProviderRefused):
        transcribe(recording, asked(prompt=f"oracle: fail=9 error=refused at={truth[20].text}"), registry, workers=2)
    assert set(threading.enumerate()) <= before


def test_the_next_route_hears_when_the_first_cannot(registry: ProviderRegistry) -> None:
    heard = hear(say(WORDS), asked(model="backed-up", prompt="oracle: fail=9 error=refused"), registry)
    assert texts(heard) == WORDS


def test_one_failure_is_told_as_it_is_and_several_with_their_names(registry: ProviderRegistry) -> None:
    with pytest.raises(ProviderRefused) as one:
        hear(say(WORDS), asked(prompt="oracle: fail=9 error=refused"), registry)
    assert one.value.details == {"provider": "oracle"}
    with pytest.raises(RoutesExhausted) as all_of_them:
        hear(say(WORDS[:2]), asked(model="twice-scripted", prompt="oracle: fail=9 error=busy"), registry)
    assert all_of_them.value.details["tried"] == [
        {"provider": "oracle", "model": "first", "code": "provider_busy"},
        {"provider": "oracle", "model": "second", "code": "provider_busy"},
    ]


def test_a_second_try_may_succeed(registry: ProviderRegistry) -> None:
    options = asked(prompt="oracle: fail=1 error=nonsense")
    with pytest.raises(ProviderNonsense):
        hear(say(WORDS), options, registry)
    assert texts(hear(say(WORDS), options, registry)) == WORDS


@pytest.mark.parametrize("orders", ["oracle: latency=long", "oracle: error=explosive", "oracle: detail=everything"])
def test_orders_that_make_no_sense_are_refused(orders: str, registry: ProviderRegistry) -> None:
    with pytest.raises(ProviderRefused):
        hear(say(WORDS), asked(prompt=orders), registry)


def test_without_leave_the_oracle_takes_no_orders(registry: ProviderRegistry) -> None:
    assert texts(hear(say(WORDS), asked(model="remote", prompt="oracle: die=1 fail=9"), registry)) == WORDS


@pytest.mark.parametrize(("detail", "segments", "words"), [("word", 1, 3), ("segment", 1, 0), ("text", 1, 0)])
def test_the_oracle_tells_as_much_as_ordered(
    detail: str, segments: int, words: int, registry: ProviderRegistry
) -> None:
    heard = hear(say(WORDS), asked(prompt=f"oracle: detail={detail}"), registry)
    assert (len(heard.segments), len(texts(heard))) == (segments, words)
    assert heard.segments[0].text == " ".join(WORDS)


def test_unknown_models_and_providers_that_cannot(registry: ProviderRegistry) -> None:
    with pytest.raises(ModelNotFound):
        hear(say(WORDS), asked(model="nobody"), registry)
    with pytest.raises(ModelUnavailable):
        hear(say(WORDS), asked(model="misrouted"), registry)
    with pytest.raises(ModelUnavailable):
        registry.speaker(Route(provider="pocketsphinx", model="x"))


def test_where_it_runs_and_how_it_is_cut(registry: ProviderRegistry) -> None:
    assert is_local(asked(), registry)
    assert is_local(to_say(model="tts-1"), registry)
    assert not is_local(asked(model="remote"), registry)
    assert not is_local(to_say(model="remote"), registry)
    assert cut_profile(asked(model="remote"), registry).max_s == 30
    assert cut_profile(asked(model="backed-up"), registry).max_s == 6


@pytest.mark.processes
@pytest.mark.parametrize("target", SPEECH_FORMATS)
def test_what_is_spoken_can_be_heard_in_every_format(target: str, registry: ProviderRegistry) -> None:
    stream = speak(to_say(response_format=target), registry)
    assert stream.model_used == "oracle"
    sound = b"".join(stream)
    if target == "pcm":
        sound = as_wav(sound, 24_000)
    assert transcribe(sound, asked(), registry).text == "river garden seven"


def as_wav(pcm: bytes, rate: int) -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(pcm)
    return file.getvalue()


@pytest.mark.processes
def test_long_texts_are_spoken_whole(registry: ProviderRegistry) -> None:
    sentence = "River garden seven ocean castle. "
    sound = b"".join(speak(to_say(input=sentence * 140, response_format="pcm", speed=4), registry))
    text = transcribe(as_wav(sound, 24_000), asked(), registry, workers=2).text
    assert text == " ".join(["river garden seven ocean castle"] * 140)


def test_speech_falls_back_before_its_first_sound(registry: ProviderRegistry) -> None:
    stream = speak(to_say(model="backed-up", instructions="oracle: fail=9", response_format="wav"), registry)
    assert stream.model_used == "second"
    assert len(b"".join(stream)) > 10_000


@pytest.mark.processes
@pytest.mark.parametrize(
    ("options", "error", "param"),
    [
        ({"voice": "nobody"}, UnsupportedValue, "voice"),
        ({"voice": "nobody", "model": "backed-up"}, UnsupportedValue, "voice"),
        ({"input": " \n "}, InvalidRequest, "input"),
        ({"input": "你好"}, UnsupportedValue, "input"),
        ({"instructions": "oracle: fail=9 error=refused"}, ProviderRefused, None),
    ],
)
def test_speech_that_cannot_begin_fails_at_once(
    options: dict[str, str], error: type[Exception], param: str | None, registry: ProviderRegistry
) -> None:
    with pytest.raises(error) as failure:
        speak(to_say(**options), registry)
    assert getattr(failure.value, "param", None) == param


@pytest.mark.processes
def test_speech_that_is_not_listened_to_leaves_nothing_behind(registry: ProviderRegistry) -> None:
    before = set(psutil.Process().children(recursive=True))
    stream = speak(to_say(input="River garden. " * 300, response_format="mp3"), registry)
    assert next(stream)
    stream.close()
    stream.close()
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.mark.processes
def test_the_embedded_engines_stand_in_and_say_so(registry: ProviderRegistry) -> None:
    stream = speak(to_say(model="tts-1", input="One two three four five six seven.", response_format="flac"), registry)
    assert stream.model_used == "espeak-ng"
    transcript = transcribe(b"".join(stream), asked(model="whisper-1", task="translation"), registry)
    assert (transcript.task, transcript.language, transcript.model_used) == ("translate", "en", "pocketsphinx-en-us")
    assert len(set(transcript.text.split()) & {"one", "two", "three", "four", "five", "six", "seven"}) >= 3
    assert all(0 <= word.start < word.end <= transcript.duration for word in transcript.words)


USES: dict[str, Callable[[ProviderRegistry], object]] = {
    "hear": lambda registry: hear(say(WORDS), asked(model="whisper-1"), registry),
    "speak": lambda registry: speak(to_say(model="tts-1"), registry),
}


def engines() -> set[int]:
    """The engines that are children of this process and alive."""
    found = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # one that has just ended is none
            if "child_process" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


@pytest.mark.processes
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("warm", [True, False])
def test_a_closed_registry_has_no_processes_and_starts_none(warm: bool, use: str, registry: ProviderRegistry) -> None:
    others = engines()  # of tests whose fixtures live longer
    if warm:
        USES[use](registry)
        assert engines() - others
    registry.close()
    assert not engines() - others
    with pytest.raises(EngineLost):
        USES[use](registry)


@pytest.mark.processes
@pytest.mark.parametrize("task", ["transcription", "translation"])
def test_a_route_that_does_not_hear_the_language_is_not_asked(
    task: str, registry: ProviderRegistry, tmp_path: Path
) -> None:
    sound = tmp_path / "a.wav"
    write_wav(sound, [(say(WORDS, edge_s=0.2), [])])
    german = asked(model="polyglot", language="de", task=task)
    transcript = transcribe(sound, german, registry)
    assert [word.text for word in transcript.words] == WORDS
    assert calls(tmp_path) == 0
    with pytest.raises(UnsupportedLanguage, match="only en, de, fr"):
        transcribe(sound, german.model_copy(update={"language": "ja"}), registry)
    assert transcribe(sound, german.model_copy(update={"language": "en"}), registry).words
    assert calls(tmp_path) == 1
