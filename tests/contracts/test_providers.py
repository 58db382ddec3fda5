"""What every provider promises, checked on every file in `pipeline/providers` without anyone adding it here."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from api.main import create_app
from infra.settings import Settings
from infra.wiring import build
from pipeline import providers
from pipeline.engines.engine_placement import Engines
from pipeline.errors import ProviderError, UnsupportedValue
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.oracle.speech import say
from pipeline.provider_protocol import OPENAI_VOICES, Provider, Speaker, Transcriber
from pipeline.text.languages import language_code
from pipeline.transcript import Heard, heard_from_json, heard_to_json
from tests.api.serving import running
from tests.support import tiny_kokoro, tiny_whisper
from tests.support.gemini_server import KEY, gemini

pytestmark = pytest.mark.processes

OPTIONS = TranscriptionOptions(model="any")
ORACLE_SPEECH = say(["brown", "river", "fox", "q", "seven"], edge_s=0.3)
TEXTS = [
    "Hello.",
    "Grüße, naïve café!",
    "你好,世界。",
    "مرحبا",
    "🎉",
    "...",
    "42",
    "tab\there\x00and\x07there",
    "a" * 3000,
]


def able(ability: str) -> list[str]:
    """The providers that have it. Opening one needs no settings, loads no model and starts no process."""
    return [name for name in providers.names() if getattr(providers.load(name, {}), ability)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, str]]]:
    """What a provider needs to work.

    Behind the one for OpenAI is another Stenopool, whose model `any` is the oracle; behind Gemini's a server on loopback; and
    Whisper and Kokoro get tiny models that are made here.
    """
    home = tmp_path_factory.mktemp("upstream")
    whisper = {"model": str(tiny_whisper.build(home / "tiny-whisper")), "local_files_only": "true"}
    catalog = home / "catalog.toml"
    catalog.write_text(
        '[models.any]\ntasks = ["transcription", "translation", "speech"]\n'
        'routes = [{ provider = "oracle", model = "oracle" }]\n'
    )
    with build(Settings(home=home, catalog=catalog), engine_processes=1) as services:
        secret, _ = services.accounts.create_key(services.accounts.create_account("downstream", "enterprise").id)
        with running(create_app(services)) as place, gemini() as google:
            yield {
                "openai": {"base_url": f"{place.url}/v1", "api_key": secret},
                "gemini": {"base_url": google.url, "api_key": KEY},
                "faster_whisper": whisper,
                "kokoro": {"model": str(tiny_kokoro.build(home / "tiny-kokoro"))},
            }


@pytest.fixture(scope="module")
def opened(settings: dict[str, dict[str, str]]) -> Iterator[dict[str, Provider]]:
    opened = {name: providers.load(name, settings.get(name, {}), Engines(2)) for name in providers.names()}
    yield opened
    for provider in opened.values():
        provider.close()


@pytest.fixture(params=providers.names())
def provider(request: pytest.FixtureRequest, opened: dict[str, Provider]) -> Provider:
    return opened[request.param]


@pytest.fixture(params=able("transcriber"))
def transcriber(request: pytest.FixtureRequest, opened: dict[str, Provider]) -> Transcriber:
    found = opened[request.param].transcriber
    assert found
    return found


@pytest.fixture(params=able("speaker"))
def speaker(request: pytest.FixtureRequest, opened: dict[str, Provider]) -> Speaker:
    found = opened[request.param].speaker
    assert found
    return found


def spoken(speaker: Speaker, text: str = "Seven rivers, one ocean. And a garden.", **options: object) -> bytes:
    asked = SpeechOptions.model_validate({"model": "any", "input": text, **options})
    return b"".join(speaker.speak(asked, "any"))


def assert_sound(heard: Heard, duration: int) -> None:
    """Times in order and inside; words inside their segments; every text something."""
    ends = 0
    for segment in heard.segments:
        assert ends <= segment.start <= segment.end <= duration
        assert segment.text.strip()
        ends = segment.end
        at = segment.start
        for word in segment.words:
            assert at <= word.start <= word.end <= segment.end
            assert word.text.strip() == word.text != ""
            assert word.confidence is None or 0 <= word.confidence <= 1
            at = word.start


def test_it_does_something_and_says_what(provider: Provider) -> None:
    assert provider.transcriber or provider.speaker
    for ability in (provider.transcriber, provider.speaker):
        assert ability is None or (ability.name and isinstance(ability.local, bool))
    assert provider.transcriber is None or isinstance(provider.transcriber, Transcriber)
    assert provider.speaker is None or isinstance(provider.speaker, Speaker)


@pytest.mark.parametrize("kind", providers.names())
def test_it_says_which_languages_it_hears_or_nothing(kind: str) -> None:
    heard = providers.hears(kind, {"name": "any"}, "any")
    assert isinstance(heard, tuple)
    assert [language_code(code) for code in heard] == list(heard)
    assert not heard or kind in able("transcriber")


def test_its_profile_can_be_cut_to(transcriber: Transcriber) -> None:
    assert 0 < transcriber.profile.min_s <= transcriber.profile.max_s


@pytest.mark.parametrize("samples", [0, 0.5, 1, 80, 799, 801, 4000])
def test_next_to_no_sound(transcriber: Transcriber, samples: float) -> None:
    pcm = bytes(int(2 * samples))
    assert_sound(transcriber.hear(pcm, OPTIONS, "any"), len(pcm) // 32 + 1)


def test_what_it_hears_is_in_order_repeatable_and_storable(transcriber: Transcriber) -> None:
    heard = transcriber.hear(ORACLE_SPEECH, OPTIONS, "any")
    assert_sound(heard, len(ORACLE_SPEECH) // 32)
    assert transcriber.hear(ORACLE_SPEECH, OPTIONS, "any") == heard
    assert heard_from_json(heard_to_json(heard)) == heard


def test_it_hears_in_many_threads_at_once(transcriber: Transcriber) -> None:
    pieces = [ORACLE_SPEECH[: 6400 * nth] for nth in range(1, 7)]
    alone = [transcriber.hear(piece, OPTIONS, "any") for piece in pieces]
    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(lambda piece: transcriber.hear(piece, OPTIONS, "any"), pieces)) == alone


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_any_text_is_spoken_or_clearly_refused(speaker: Speaker, text: str) -> None:
    try:
        sound = spoken(speaker, text)
    except UnsupportedValue as refused:
        assert refused.param == "input"
    else:
        assert len(sound) % 2 == 0
        assert len(sound) / 2 / speaker.sample_rate > 0.1


def test_speech_can_be_heard_and_is_not_overdriven(speaker: Speaker) -> None:
    samples = np.frombuffer(spoken(speaker), "<i2").astype(float)
    assert samples.std() > 300
    assert (np.abs(samples) >= 32767).mean() < 0.001
    assert 1 < len(samples) / speaker.sample_rate < 10


def test_the_first_sound_comes_before_the_last_sentence_is_spoken(speaker: Speaker) -> None:
    asked = SpeechOptions(model="any", input="A river. " * 40)
    blocks = iter(speaker.speak(asked, "any"))
    first = next(blocks)
    assert 0 < len(first) < sum(len(block) for block in blocks)


def test_every_voice_of_openai_is_a_voice_of_its_own(speaker: Speaker) -> None:
    sounds = {voice: spoken(speaker, "A river.", voice=voice) for voice in OPENAI_VOICES}
    assert all(one != other for one, other in itertools.combinations(sounds.values(), 2))


@pytest.mark.parametrize("voice", ["nobody", "", "../alloy", "ALLOY "])
def test_an_unknown_voice_is_refused_with_the_list_of_voices(speaker: Speaker, voice: str) -> None:
    with pytest.raises(UnsupportedValue) as refused:
        spoken(speaker, voice=voice)
    assert refused.value.param == "voice"
    assert all(known in refused.value.message for known in OPENAI_VOICES)


def test_speed_is_honoured(speaker: Speaker) -> None:
    lengths = [len(spoken(speaker, speed=speed)) for speed in (0.25, 0.5, 1.0, 2.0, 4.0)]
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) == len(lengths)
    assert 3.5 < lengths[0] / lengths[2] < 4.5
    assert 1.75 < lengths[1] / lengths[2] < 2.4  # an engine may dwell on its pauses


def test_it_speaks_in_many_threads_at_once(speaker: Speaker) -> None:
    texts = [f"Number {nth}." for nth in range(6)]
    with ThreadPoolExecutor(6) as threads:
        lengths = list(threads.map(lambda text: len(spoken(speaker, text)), texts))
    assert all(lengths)


def test_closing_twice_is_harmless_and_nothing_hangs_afterwards(provider: Provider) -> None:
    closed = providers.load(_kind(provider), {})
    closed.close()
    closed.close()
    if closed.transcriber and closed.resources:
        with pytest.raises(ProviderError):
            closed.transcriber.hear(ORACLE_SPEECH, OPTIONS, "any")


def test_listing_and_opening_load_no_model_and_start_no_process() -> None:
    code = (
        "import sys\n"
        "import psutil\n"
        "from pipeline import providers\n"
        "names = providers.names()\n"
        "assert not any(f'pipeline.providers.{name}' in sys.modules for name in names)\n"
        "[providers.hears(name, {}, 'large-v3') for name in names]\n"
        "opened = [providers.load(name, {}) for name in names]\n"
        "heavy = {'torch', 'ctranslate2', 'faster_whisper', 'onnxruntime', 'google.genai'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert not psutil.Process().children()\n"
        "[provider.close() for provider in opened]\n"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr


def test_there_is_no_provider_of_another_name() -> None:
    with pytest.raises(LookupError, match="espeak"):
        providers.load("nobody", {})
    with pytest.raises(LookupError):
        providers.load("base", {})


def _kind(provider: Provider) -> str:
    ability = provider.transcriber or provider.speaker
    assert ability
    return ability.name
