"""What is written becomes what is said, and where the voice falls stays."""

import pytest

from pipeline.kokoro.phonemes import Phonemizer
from pipeline.kokoro.spoken_form import spoken_form


@pytest.fixture(scope="module")
def phonemizer() -> Phonemizer:
    return Phonemizer()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hello there.", "həlˈO ðˈɛɹ."),
        ("Really? Yes; no!", "ɹˈiəli? jˈɛs; nˈO!"),
        ("one, two: three", "wˌʌn, tˈu: θɹˈi"),
        ("Join the judge", "ʤˈYn ðə ʤˈʌʤ"),
        ("his bird\nchirps", "hɪz bˈɜɹd ʧˈɜɹps"),
        ("...", ""),
        ("", ""),
        (" \x00 ", ""),
    ],
)
def test_english_in_the_models_letters(phonemizer: Phonemizer, text: str, said: str) -> None:
    assert phonemizer.phonemes(text) == said


def test_initials_and_abbreviations_end_no_clause(phonemizer: Phonemizer) -> None:
    assert "." not in phonemizer.phonemes("J. R. Tolkien and Dr. Smith, e.g. the U.S.A. team")
    assert phonemizer.phonemes("Is it 3.14? It is.").count(".") == 1


def test_other_letters_leave_no_change_of_language(phonemizer: Phonemizer) -> None:
    assert not set("()") & set(phonemizer.phonemes("He said 你好 and Straße to مرحبا."))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("See https://www.example.com/.", "See example.com."),
        ("It costs $3.50, not $1,200 or $2 million.", "It costs 3 dollars 50, not 1,200 dollars or 2 million dollars."),
        ("J. R. Tolkien. He wrote.", "J R Tolkien. He wrote."),
        ("Mr. and Mrs. Smith met Dr. No. He left.", "Mister and Missis Smith met Doctor No. He left."),
        ("No. 5, i.e. red vs. blue", "number 5, that is red versus blue"),
        ("Yes -- or no", "Yes — or no"),
        ("a well-known\ttown", "a well-known town"),
    ],
)
def test_what_rules_read_badly_is_spelled_out(written: str, said: str) -> None:
    assert spoken_form(written) == said
