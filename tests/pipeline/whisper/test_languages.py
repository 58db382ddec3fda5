"""In which language a window is heard, and what a recording in several languages is told to be in."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pipeline.options import TranscriptionOptions
from pipeline.oracle.speech import say
from pipeline.providers.faster_whisper import FasterWhisper
from pipeline.whisper.config import Config
from pipeline.whisper.languages import LanguageChoice
from pipeline.whisper.window import WINDOW, Window
from pipeline.whisper_filter import Found

LIKELY = [("en", 0.6), ("de", 0.3), ("jw", 0.1)]


def choice(*, multilingual: bool = True, **asked: Any) -> LanguageChoice:
    return LanguageChoice(TranscriptionOptions(model="m", **asked), multilingual=multilingual)


def test_what_the_caller_says_is_not_looked_for() -> None:
    assert choice(language="de").told == "de"
    assert choice(language="jv").told == "jw", "by Whisper's own name"
    assert choice(multilingual=False).told == "en"
    assert choice().told is None and choice(languages=("de", "fr")).told is None
    assert choice(language="de", pinned=True).told is None


@pytest.mark.parametrize(
    ("asked", "likely", "best"),
    [
        ({}, LIKELY, "en"),
        ({"languages": ("fr", "de", "jv")}, LIKELY, "de"),
        ({"languages": ("fr", "jv")}, LIKELY, "jw"),
        ({"languages": ("fr",)}, LIKELY, "en"),
        ({"language": "de", "pinned": True}, LIKELY, "de"),
        ({"language": "de", "pinned": True}, [("en", 0.95), ("de", 0.05)], "en"),
    ],
)
def test_the_likeliest_unless_the_recordings_own_may_be_meant(
    asked: dict[str, Any], likely: Sequence[tuple[str, float]], best: str
) -> None:
    assert choice(**asked).best(likely) == best


class TwoLanguages:
    """Says the first window in English, all later ones in German."""

    def each(self, method: str, pieces: Sequence[bytes], *_: Any, **__: Any) -> Iterator[Any]:
        for number, piece in enumerate(pieces):
            text, seconds = ("Hallo.", len(piece) / 32_000) if number else ("Hello.", len(piece) / 32_000)
            found = Found(text, 0.0, seconds, (), (), -0.2, 1.0, 0.0, 0.0)
            yield WINDOW.dump_python(Window("de" if number else "en", (found,)), mode="json")

    def call(self, *_: Any, **__: Any) -> Any: ...

    def close(self) -> None: ...


def test_a_chunk_in_two_languages_names_both_and_is_in_what_most_of_it_is_in() -> None:
    hearing = FasterWhisper(Config(batch_size=4), TwoLanguages())
    pcm = say(["brown", "river", "fox"], edge_s=0.3) * 45
    heard = hearing.hear(pcm, TranscriptionOptions(model="m"), "m")
    assert (heard.language, heard.languages) == ("de", ("en", "de"))
    assert [segment.text for segment in heard.segments][:2] == ["Hello.", "Hallo."]
    translated = hearing.hear(pcm, TranscriptionOptions(model="m", task="translation"), "m")
    assert (translated.language, translated.languages) == ("en", ())
