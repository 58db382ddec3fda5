"""However a caller writes a language, it is one code; what is none is told what to send."""

import pytest

from pipeline.errors import InvalidRequest, UnsupportedLanguage
from pipeline.text.languages import NAMES, asked_language, english_name, language_code


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("de", "de"),
        (" DE ", "de"),
        ("de-DE", "de"),
        ("de_at", "de"),
        ("zh-Hans-CN", "zh"),
        ("deu", "de"),
        ("ger", "de"),
        ("GER-de", "de"),
        ("German", "de"),
        ("haitian creole", "ht"),
        ("Mandarin", "zh"),
        ("nb-NO", "no"),
        ("norwegian", "no"),
        ("jw", "jv"),
        ("javanese", "jv"),
        ("iw", "he"),
        ("fil", "tl"),
        ("yue", "yue"),
        ("haw", "haw"),
        ("tlh", "tlh"),
    ],
)
def test_one_code_for_every_spelling(written: str, code: str) -> None:
    assert language_code(written) == asked_language(written) == code
    assert language_code(code) == code


@pytest.mark.parametrize("nothing", [None, "", "  ", "auto", "Auto", " AUTO "])
def test_left_open(nothing: str | None) -> None:
    assert asked_language(nothing) is None


NO_LANGUAGES = (
    *("xx", "klingon", "d", "de-", "-de", "de DE", "de-DE!", "und", "mul", "qaa", "zxx", "deutsch", "1a", "en,de"),
    "\uff44\uff45",
    "x" * 999,
)


@pytest.mark.parametrize("written", NO_LANGUAGES, ids=ascii)
def test_no_language(written: str) -> None:
    assert language_code(written) is None
    with pytest.raises(UnsupportedLanguage, match="Send an ISO 639-1 code, such as 'en'") as refused:
        asked_language(written, param="languages")
    assert (refused.value.param, refused.value.code) == ("languages", "unsupported_language")
    assert isinstance(refused.value, InvalidRequest)
    assert repr(written) not in refused.value.message


@pytest.mark.parametrize("code", NAMES)
def test_every_known_name_and_code_is_understood(code: str) -> None:
    found = language_code(code)
    assert found == language_code(NAMES[code])
    assert english_name(found) == NAMES[code]
