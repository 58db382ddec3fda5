"""Stenopool behind Stenopool: one installation is the OpenAI server of another."""

from pathlib import Path

from api.main import create_app
from infra.settings import Settings
from infra.wiring import build
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.run import is_local, speak, transcribe
from tests.api.conftest import recording
from tests.api.serving import running

UPSTREAM = """
[models.whisper-1]
routes = [{ provider = "oracle", model = "oracle" }]
[models.tts-1]
routes = [{ provider = "oracle", model = "oracle" }]
"""


def test_it_hears_and_speaks_through_another(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(UPSTREAM)
    with build(Settings(home=tmp_path / "upstream", catalog=catalog), engine_processes=1) as upstream:
        secret, _ = upstream.accounts.create_key(upstream.accounts.create_account("below", "enterprise").id)
        with running(create_app(upstream)) as place:
            environ = {
                "STENOPOOL_HOME": str(tmp_path / "below"),
                "STENOPOOL_OPENAI_API_KEY": secret,
                "STENOPOOL_OPENAI_BASE_URL": f"{place.url}/v1",
            }
            with build(Settings.from_env(environ), engine_processes=1) as below:
                sound, said = recording(40.0)  # long enough to be sent as FLAC
                asked = TranscriptionOptions(model="whisper-1")
                assert not is_local(asked, below.toolbox)
                heard = transcribe(sound, asked, below.toolbox)
                assert heard.text.split() == said
                assert (heard.model_used, heard.language) == ("oracle", "en")
                assert [word.text for word in heard.words] == said
                spoken = b"".join(
                    speak(SpeechOptions(model="tts-1", input="seven river", response_format="wav"), below.toolbox)
                )
                again = transcribe(spoken, TranscriptionOptions(model="oracle"), below.toolbox)
                assert again.text == "seven river"
