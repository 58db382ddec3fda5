"""PocketSphinx and eSpeak NG themselves: what they hear, how they sound, what they accept."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from pipeline import providers
from pipeline.catalog.toml_file import load_catalog
from pipeline.errors import UnsupportedValue
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.provider_protocol import OPENAI_VOICES, Speaker, Transcriber
from pipeline.providers.espeak import SAMPLE_RATE, languages, variants, voice_called

pytestmark = pytest.mark.processes

TEXT = "The quick brown fox jumps over the lazy dog, and then it goes home again. Nobody saw it."


@pytest.fixture(scope="module")
def speaker() -> Iterator[Speaker]:
    provider = providers.load("espeak", {})
    assert provider.speaker
    yield provider.speaker
    provider.close()


@pytest.fixture(scope="module")
def listener() -> Iterator[Transcriber]:
    provider = providers.load("pocketsphinx", {})
    assert provider.transcriber
    yield provider.transcriber
    provider.close()


def spoken(speaker: Speaker, text: str = TEXT, **options: object) -> np.ndarray:
    asked = SpeechOptions.model_validate({"model": "espeak-ng", "input": text, **options})
    return np.frombuffer(b"".join(speaker.speak(asked, "espeak-ng")), "<i2").astype(float)


def at_16_khz(samples: np.ndarray) -> bytes:
    places = np.arange(0, len(samples) - 1, SAMPLE_RATE / 16_000)
    resampled: np.ndarray = np.interp(places, np.arange(len(samples)), samples)
    return resampled.astype("<i2").tobytes()


def pitch_and_brightness(samples: np.ndarray) -> tuple[float, float]:
    """The median fundamental of the loud frames, and the spectrum's centre of gravity; both in Hz."""
    size = SAMPLE_RATE * 80 // 1000
    frames = [samples[at : at + size] for at in range(0, len(samples) - size, size // 2)]
    pitches = []
    for frame in (frame - frame.mean() for frame in frames if frame.std() > 800):
        likeness = np.fft.irfft(np.abs(np.fft.rfft(frame * np.hanning(size), 4096)) ** 2)
        lags = np.arange(SAMPLE_RATE // 400, SAMPLE_RATE // 60)
        best = lags[np.argmax(likeness[lags])]
        if likeness[best] > 0.4 * likeness[0]:
            pitches.append(SAMPLE_RATE / best)
    power = np.abs(np.fft.rfft(samples)) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    return float(np.median(pitches)), float((power * hertz).sum() / power.sum())


def test_voices_can_be_told_apart(speaker: Speaker) -> None:
    sounds = {voice: (spoken(speaker, voice=voice)) for voice in OPENAI_VOICES}
    traits = {voice: (*pitch_and_brightness(sound), len(sound)) for voice, sound in sounds.items()}
    for one, other in itertools.combinations(OPENAI_VOICES, 2):
        differences = [abs(a / b - 1) for a, b in zip(traits[one], traits[other], strict=True)]
        assert sum(differences) > 0.08, (one, traits[one], other, traits[other])
    pitch = {voice: trait[0] for voice, trait in traits.items()}
    assert pitch["onyx"] == min(pitch.values())
    assert min(pitch["nova"], pitch["shimmer"], pitch["coral"]) > 1.5 * pitch["alloy"]


@pytest.mark.parametrize("speed", [0.25, 0.4, 0.6, 1.5, 2.0, 3.0, 4.0])
def test_speed_is_close_to_what_was_asked(speed: float, speaker: Speaker) -> None:
    assert len(spoken(speaker)) / len(spoken(speaker, speed=speed)) == pytest.approx(speed, rel=0.2)


@pytest.mark.parametrize(
    ("name", "voice"),
    [
        ("de", "de"),
        ("FR+M3", "fr+m3"),
        ("en-gb", "en"),
        ("zh", "cmn"),
        ("pt-BR", "pt-br"),
        ("en-us+mr serious", "en-us+Mr serious"),
    ],
)
def test_the_librarys_own_voices_pass_through(name: str, voice: str, speaker: Speaker) -> None:
    assert voice_called(name).name == voice
    assert len(spoken(speaker, "1, 2, 3", voice=name)) > SAMPLE_RATE / 2


@pytest.mark.parametrize(
    ("text", "language"), [("Добрый день, как дела?", "ru"), ("你好,世界。", "zh"), ("שלום", "he")]
)
def test_foreign_letters_are_spoken_and_not_spelled(text: str, language: str, speaker: Speaker) -> None:
    named, own = (spoken(speaker, text, voice=voice) for voice in ("alloy", language))
    assert len(named) == pytest.approx(len(own), rel=0.02)
    assert len(spoken(speaker, text, voice="en-us")) > 1.5 * len(own), "letter by letter, as asked"


@pytest.mark.parametrize("name", ["xx", "de+nobody", "de+", "+f3", "../de", "de\0", "gmw/de"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedValue, match=r"alloy.*shimmer.*de.*fr"):
        voice_called(name)


def test_every_language_and_variant_that_is_listed_speaks(speaker: Speaker) -> None:
    assert len(languages()) > 100
    assert all(len(spoken(speaker, "1 2", voice=language)) > 2000 for language in languages())
    assert all(len(spoken(speaker, "1 2", voice=f"en-us+{variant}")) > 2000 for variant in variants())


def test_english_is_understood_with_times_and_confidences(speaker: Speaker, listener: Transcriber) -> None:
    pause = np.zeros(SAMPLE_RATE)
    sound = np.concatenate(
        [pause, spoken(speaker, "the house is on fire"), pause, spoken(speaker, "we need water"), pause]
    )
    heard = listener.hear(at_16_khz(sound), TranscriptionOptions(model="pocketsphinx-en-us"), "pocketsphinx-en-us")
    words = [word for segment in heard.segments for word in segment.words]
    assert len({word.text for word in words} & {"the", "house", "is", "on", "fire", "we", "need", "water"}) >= 4
    assert words[0].start > 700
    assert all(0 <= (word.confidence or 0) <= 1 and word.end > word.start for word in words)
    assert not any(mark in word.text for word in words for mark in "<>[]()")
    assert len(heard.segments) >= 2  # the pause of a second parts them
    assert (heard.language, heard.model_used) == ("en", "pocketsphinx-en-us")


def test_what_was_heard_before_changes_nothing(speaker: Speaker, listener: Transcriber) -> None:
    options = TranscriptionOptions(model="pocketsphinx-en-us")
    one, other = (at_16_khz(spoken(speaker, text)) for text in ("good morning everybody", "the end of the world"))
    first = listener.hear(one, options, "")
    listener.hear(other, options, "")
    assert listener.hear(one, options, "") == first


def test_the_catalog_lists_the_languages_there_are() -> None:
    listed = load_catalog(None, embedded_engines="auto").model("espeak-ng").languages
    assert set(listed) == {language for language in languages() if len(language) == 2}
