"""Files that go to a provider as they came: which do, what comes of it, and everything that leads back to the decoder."""

import io
import json
import subprocess
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import passthrough
from pipeline.audio.clock.plain_samples import PlainSamples
from pipeline.catalog.toml_file import load_catalog
from pipeline.errors import ProviderUnavailable, RoutesExhausted
from pipeline.options import TranscriptionOptions
from pipeline.oracle.speech import generate, say
from pipeline.provider_registry import ProviderRegistry
from pipeline.transcript import Transcript
from tests.pipeline import sounds
from tests.pipeline.audio.sounds import id3_tag
from tests.support.sound_files import encoded
from tests.support.tcp_server import Reply, Scripted, http, scripted

pytestmark = pytest.mark.processes

CATALOG = """
[providers.one]
kind = "openai"
base_url = "{one}/v1"
api_key = "sk-x"
tries = 1
answer_s = 10
text_only = ["plain*"]
{settings}

[providers.two]
kind = "openai"
base_url = "{two}/v1"
api_key = "sk-x"
tries = 1

[providers.oracle]
scripted = true

[models.m]
tasks = ["transcription", "translation"]
formats = ["json", "verbose_json", "text", "srt", "vtt"]
routes = [{{ provider = "one", model = "{model}" }}{more}]
"""
SECONDS = 6.4
FAILS = http(503, body=b"no")
UNREADABLE = http(
    400, body=b'{"error": {"message": "Invalid file format.", "type": "invalid_request_error", "param": "file"}}'
)


def verbose(text: str = "Hello there.", *, start: float = 0.5, end: float = 5.9, duration: float = SECONDS) -> Reply:
    segments = [{"text": text, "start": start, "end": end}]
    body = {"text": text, "language": "english", "duration": duration, "segments": segments}
    return http(body=json.dumps(body).encode())


@pytest.fixture(scope="module")
def pcm() -> bytes:
    return b"".join(block for block, _ in generate(seconds=SECONDS, style="natural", seed=5))


@pytest.fixture(scope="module")
def mp3(pcm: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return encoded(pcm, tmp_path_factory.mktemp("relay") / "a.mp3")


@dataclass
class Scene:
    """Two servers, and the providers that speak to them."""

    one: Scripted
    two: Scripted
    registry: ProviderRegistry
    decoders: list[object]

    def hear(self, data: bytes, **options: Any) -> Transcript:
        asked = TranscriptionOptions(model="m", **options)
        return passthrough.transcribe(data, asked, self.registry, max_seconds=3600)


@pytest.fixture
def decoders(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every decoder that is started from now on, whoever starts it, and every reader of sound that needs none."""
    started: list[object] = []
    original, reads = subprocess.Popen.__init__, PlainSamples.__init__

    def init(self: Any, command: Any, *args: Any, **kwargs: Any) -> None:
        started.append(command)
        original(self, command, *args, **kwargs)

    def read(self: Any, *args: Any) -> None:
        started.append(self)
        reads(self, *args)

    monkeypatch.setattr(subprocess.Popen, "__init__", init)
    monkeypatch.setattr(PlainSamples, "__init__", read)
    return started


@contextmanager
def scene(
    decoders: list[object],
    folder: Path,
    one: Sequence[Reply],
    two: Sequence[Reply] = (FAILS,),
    *,
    more: str = "",
    model: str = "up",
    settings: str = "",
) -> Iterator[Scene]:
    with scripted(*one) as first, scripted(*two) as second:
        catalog = folder / "catalog.toml"
        catalog.write_text(CATALOG.format(one=first.url, two=second.url, more=more, model=model, settings=settings))
        with ProviderRegistry(load_catalog(catalog, embedded_engines="off"), engine_processes=1) as registry:
            decoders.clear()
            yield Scene(first, second, registry, decoders)


def test_the_bytes_arrive_as_they_were_and_nothing_is_decoded(
    decoders: list[object], mp3: bytes, tmp_path: Path
) -> None:
    with scene(decoders, tmp_path, [verbose()]) as place:
        heard: list[str] = []
        lengths: list[int] = []
        transcript = passthrough.transcribe(
            mp3,
            TranscriptionOptions(model="m"),
            place.registry,
            on_segments=lambda segments, _: heard.extend(segment.text for segment in segments),
            on_length=lengths.append,
        )
    (request,) = place.one.requests
    assert mp3 in request.body
    assert b'filename="audio.mp3"' in request.body and b"audio/mpeg" in request.body
    assert not place.decoders
    assert abs(transcript.duration - 1000 * SECONDS) <= 36
    assert lengths == [transcript.duration]
    assert (transcript.text, transcript.language, transcript.model_used) == ("Hello there.", "en", "up")
    assert [(one.start, one.end) for one in transcript.segments] == [(500, 5900)]
    assert heard == ["Hello there."]


def test_translations_say_so(decoders: list[object], mp3: bytes, tmp_path: Path) -> None:
    with scene(decoders, tmp_path, [verbose()]) as place:
        assert place.hear(mp3, task="translation").task == "translate"
        assert place.one.requests[0].line.startswith("POST /v1/audio/translations")


def test_times_outside_the_recording_are_brought_inside(decoders: list[object], mp3: bytes, tmp_path: Path) -> None:
    with scene(decoders, tmp_path, [verbose(start=3.0, end=99.0)]) as place:
        transcript = place.hear(mp3)
    assert transcript.segments[-1].end <= transcript.duration


@pytest.mark.parametrize("sound", ["silence", "noise"])
def test_silence_and_noise_are_sent_to_nobody(decoders: list[object], pcm: bytes, tmp_path: Path, sound: str) -> None:
    noise = np.random.default_rng(1).normal(0, 300, len(pcm) // 2).astype("<i2").tobytes()
    data = encoded(noise if sound == "noise" else bytes(len(pcm)), tmp_path / "quiet.flac")
    with scene(decoders, tmp_path, [verbose()]) as place:
        transcript = place.hear(data)
        assert (transcript.text, place.one.requests) == ("", [])
        assert place.decoders


@pytest.mark.parametrize("settings", ['containers = ["flac"]', "max_bytes = 200000", "max_s = 4"])
def test_what_the_provider_does_not_take_whole_is_decoded(
    decoders: list[object], pcm: bytes, tmp_path: Path, settings: str
) -> None:
    whole = encoded(pcm, tmp_path / "a.wav")  # 204,878 bytes
    with scene(decoders, tmp_path, [verbose(end=2.0)], settings=settings) as place:
        assert "Hello there." in place.hear(whole).text
        assert place.decoders
        assert all(whole not in request.body for request in place.one.requests)


@pytest.mark.parametrize("name", ["a.wma", "a.caf", "a.au", "a.ts", "a.avi", "a.flv", "a.wv", "a.ac3", "a tag.wav"])
def test_containers_that_providers_may_not_know_are_decoded(
    decoders: list[object], pcm: bytes, tmp_path: Path, name: str
) -> None:
    data = (id3_tag(512) if "tag" in name else b"") + encoded(pcm, tmp_path / name, ["-ar", "44100"])
    with scene(decoders, tmp_path, [verbose(end=2.0)]) as place:
        assert "Hello there." in place.hear(data).text
        assert place.decoders
        assert all(data not in request.body for request in place.one.requests)


@pytest.mark.parametrize("kind", ["two wavs", "opposite phase", "damaged m4a"])
def test_what_is_not_plain_is_decoded(decoders: list[object], pcm: bytes, tmp_path: Path, kind: str) -> None:
    """All kinds are in test_plain_files."""
    if kind == "two wavs":
        data = encoded(pcm, tmp_path / "a.wav") * 2
    elif kind == "opposite phase":
        data = encoded(pcm, tmp_path / "a.flac", ["-af", "pan=stereo|c0=c0|c1=-0.9*c0"])
    else:
        whole = encoded(pcm, tmp_path / "a.m4a")
        data = whole[:9000] + bytes(range(256)) * 4 + whole[9000 + 1024 :]
    with scene(decoders, tmp_path, [verbose(end=2.0)]) as place:
        place.hear(data)
        assert place.decoders
        assert all(data not in request.body for request in place.one.requests)


def test_what_is_declared_is_decoded_as_that_whatever_it_looks_like(
    decoders: list[object], pcm: bytes, tmp_path: Path
) -> None:
    data = encoded(pcm, tmp_path / "a.wav")
    with scene(decoders, tmp_path, [verbose(end=2.0)]) as place:
        declared = {"input_format": "s16le", "input_sample_rate": 16_000, "input_channels": 1}
        assert "Hello there." in place.hear(data, **declared).text
        assert place.decoders


@pytest.mark.parametrize("asked", [{"channels": "separate"}, {"audio_track": 1}, {"audio_track": "all"}])
def test_who_asks_for_a_track_or_channel_gets_that_one(
    decoders: list[object], pcm: bytes, tmp_path: Path, asked: dict[str, object]
) -> None:
    """Whom a provider hears in a file that it gets whole, nobody here can know."""
    data = encoded(pcm, tmp_path / "a.wav")
    with scene(decoders, tmp_path, [verbose(end=2.0)]) as place:
        assert "Hello there." in place.hear(data, **asked).text
        assert place.decoders
        assert all(data not in request.body for request in place.one.requests)


def test_a_file_that_is_refused_is_decoded_for_the_same_provider(
    decoders: list[object], mp3: bytes, tmp_path: Path
) -> None:
    with scene(decoders, tmp_path, [UNREADABLE, verbose()]) as place:
        assert place.hear(mp3).text == "Hello there."
        first, second = place.one.requests
        assert mp3 in first.body and mp3 not in second.body
        assert place.decoders


def test_the_next_route_gets_the_file_as_it_is(decoders: list[object], mp3: bytes, tmp_path: Path) -> None:
    more = ', { provider = "two", model = "second" }'
    with scene(decoders, tmp_path, [FAILS], [verbose("From two.")], more=more) as place:
        transcript = place.hear(mp3)
        assert (transcript.text, transcript.model_used) == ("From two.", "second")
        assert mp3 in place.two.requests[0].body
        assert len(place.one.requests) == 1 and not place.decoders


def test_a_next_route_that_takes_no_files_gets_decoded_sound(
    decoders: list[object], mp3: bytes, tmp_path: Path
) -> None:
    more = ', { provider = "oracle", model = "ear" }'
    with scene(decoders, tmp_path, [FAILS], more=more) as place:
        transcript = place.hear(mp3)
        assert transcript.text and transcript.model_used == "oracle"
        assert len(place.one.requests) == 1  # who has failed is not asked again
        assert place.decoders


def test_one_failure_is_raised_as_it_is(decoders: list[object], mp3: bytes, tmp_path: Path) -> None:
    with scene(decoders, tmp_path, [FAILS]) as place, pytest.raises(ProviderUnavailable):
        place.hear(mp3)
    assert not place.decoders


def test_all_failures_are_told(decoders: list[object], mp3: bytes, tmp_path: Path) -> None:
    more = ', { provider = "two", model = "second" }'
    with scene(decoders, tmp_path, [FAILS], [FAILS], more=more) as place, pytest.raises(RoutesExhausted) as failed:
        place.hear(mp3)
    assert [one["provider"] for one in failed.value.details["tried"]] == ["one", "two"]


def test_failures_before_and_after_decoding_are_told_together(
    decoders: list[object], mp3: bytes, tmp_path: Path
) -> None:
    more = ', { provider = "two", model = "second" }, { provider = "oracle", model = "third" }'
    scripts = ([FAILS], [UNREADABLE, FAILS])
    with scene(decoders, tmp_path, *scripts, more=more) as place, pytest.raises(RoutesExhausted) as failed:
        place.hear(mp3, prompt="oracle: fail=99 error=unavailable")
    assert [one["provider"] for one in failed.value.details["tried"]] == ["one", "two", "oracle"]


def test_another_length_than_was_counted_is_measured_by_decoding(
    decoders: list[object], mp3: bytes, tmp_path: Path
) -> None:
    with scene(decoders, tmp_path, [verbose(duration=60.0)]) as place:
        transcript = place.hear(mp3)
        assert abs(transcript.duration - 1000 * SECONDS) <= 36
        assert len(place.decoders) == 1 and len(place.one.requests) == 1
    with scene(decoders, tmp_path, [verbose(duration=7.0)]) as place:  # rounded up to whole seconds
        place.hear(mp3)
        assert not place.decoders


def test_a_text_without_times_is_laid_where_somebody_speaks(decoders: list[object], pcm: bytes, tmp_path: Path) -> None:
    quiet_start = encoded(bytes(2 * 16_000 * 5) + pcm, tmp_path / "late.mp3")
    answer = http(body=b'{"text": "Hello there, all of you."}')
    with scene(decoders, tmp_path, [answer], model="plain-1") as place:
        assert place.hear(quiet_start).text == "Hello there, all of you."
        assert not place.decoders  # json shows no times
        transcript = place.hear(quiet_start, response_format="srt")
        assert transcript.segments[0].start >= 4500
        assert len(place.one.requests) == 2


def test_a_text_that_looks_made_up_is_heard_again_by_the_decoding_way(
    decoders: list[object], mp3: bytes, tmp_path: Path
) -> None:
    loop = "thank you for watching " * 40
    with scene(decoders, tmp_path, [verbose(loop), verbose()]) as place:
        assert place.hear(mp3).text == "Hello there."
        assert mp3 not in place.one.requests[1].body


@pytest.mark.parametrize("second", [verbose(""), FAILS, verbose("seven " * 30)], ids=["nothing", "a failure", "less"])
def test_a_text_that_looks_made_up_stays_where_nothing_better_comes(
    decoders: list[object], mp3: bytes, tmp_path: Path, second: Reply
) -> None:
    """Somebody may have said it: digits read one by one, an announcement that is repeated."""
    said = ("seven " * 49).strip()
    told: list[str] = []
    with scene(decoders, tmp_path, [verbose(said), second]) as place:
        transcript = passthrough.transcribe(
            mp3,
            TranscriptionOptions(model="m"),
            place.registry,
            on_segments=lambda segments, _: told.extend(segment.text for segment in segments),
        )
    assert len(place.one.requests) >= 2
    assert transcript.text == said == " ".join(told)
    assert any("repetition" in segment.suspect for segment in transcript.segments)


def test_what_is_told_of_a_second_hearing_is_told_once(decoders: list[object], mp3: bytes, tmp_path: Path) -> None:
    told: list[str] = []
    with scene(decoders, tmp_path, [verbose("thank you for watching " * 40), verbose()]) as place:
        passthrough.transcribe(
            mp3,
            TranscriptionOptions(model="m"),
            place.registry,
            on_segments=lambda segments, _: told.extend(segment.text for segment in segments),
        )
    assert told == ["Hello there."]


def as_wav(sound: sounds.Samples) -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(sounds.pcm(sound))
    return held.getvalue()


def repeated(every_s: float, count: int) -> bytes:
    """One word, as exactly in time as a machine says it."""
    word = sounds.samples(say(["seven"], edge_s=0.0))
    beat = np.zeros(round(every_s * 16_000))
    beat[: len(word)] = word[: len(beat)]
    return as_wav(np.tile(beat, count))


@pytest.mark.parametrize("every_s", [0.6, 0.8])
def test_a_word_repeated_by_a_machine_is_kept(decoders: list[object], tmp_path: Path, every_s: float) -> None:
    said = verbose("seven " * 20, start=0.0, end=20 * every_s, duration=20 * every_s)
    with scene(decoders, tmp_path, [said] * 4) as place:
        assert place.hear(repeated(every_s, 20)).text.split() == ["seven"] * 20
        nothing = http(body=json.dumps({"text": "", "language": "english", "segments": []}).encode())
    with scene(decoders, tmp_path, [said, *[nothing] * 3]) as place:
        assert place.hear(repeated(every_s, 20)).text.split() == ["seven"] * 20, "nothing takes no answer's place"


@pytest.mark.parametrize("seconds", [0.15, 0.2, 0.24, 0.4])
@pytest.mark.parametrize("level", [1.0, 0.02])
def test_the_shortest_word_is_heard_one_way_or_the_other(
    decoders: list[object], tmp_path: Path, seconds: float, level: float
) -> None:
    word = sounds.samples(say(["seven"], edge_s=0.0))[: round(16_000 * seconds)] * level
    answer = verbose("Seven.", start=0.0, end=seconds, duration=seconds)
    with scene(decoders, tmp_path, [answer]) as place:
        assert place.hear(as_wav(word)).text == "Seven."
        assert len(place.one.requests) == 1


@pytest.mark.parametrize("gate", ["auto", "off"])
def test_what_is_steady_is_decoded_and_sent_if_the_gate_is_off(
    decoders: list[object], tmp_path: Path, gate: str
) -> None:
    with scene(decoders, tmp_path, [verbose("Thank you.", duration=3.0)]) as place:
        heard = place.hear(as_wav(sounds.white(3.0, 300)), speech_gate=gate)
        assert heard.text == ("" if gate == "auto" else "Thank you.")
        assert len(place.one.requests) == (gate == "off")
        assert [stretch.reason for stretch in heard.not_sent] == (["steady"] if gate == "auto" else [])
