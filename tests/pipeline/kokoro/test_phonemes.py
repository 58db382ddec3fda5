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
        ("See https://www.example.com/.", "See example dot com."),
        (
            "www.foo-bar.co.uk/a_b?x=1, or ftp://b.org",
            "foo dash bar dot co dot uk slash a underscore b question mark x equals 1, or b dot org",
        ),
        ("Ask jo.doe@mail.example.org!", "Ask jo dot doe at mail dot example dot org!"),
        (
            "It costs $3.50, not $1,200 or $2 million.",
            "It costs 3 dollars and 50 cents, not 1,200 dollars or 2 million dollars.",
        ),
        (
            "£1 or €19.99, 20 € or $0.99, $40k",
            "1 pound or 19 euros and 99 cents, 20 euros or 99 cents, 40 thousand dollars",
        ),
        ("in 1984, 1905, 1900, 2005 and 2026", "in 19 84, 19 oh 5, 19 hundred, 2005 and 20 26"),
        ("the 1990s and 1800s; 1990-1995", "the 19 nineties and 18 hundreds; 19 90 to 19 95"),
        ("3,400 of 10.5, page 112", "3,400 of 10.5, page 112"),
        ("On Dec. 5, 2026-11-29 or 12/25/2024", "On December 5th, November 29th, 20 26 or December 25th, 20 24"),
        ("31/12/2024 and 45/45/2024 and 3 May", "December 31st, 20 24 and 45/45/2024 and 3rd May"),
        ("at 9:30 a.m. or 7:05, 18:00 and 6 p.m.", "at 9 30 ay M or 7 oh 5, 18 o'clock and 6 P M."),
        ("Call 555-0199 or (212) 555-0147", "Call 5 5 5, 0 1 9 9 or 2 1 2, 5 5 5, 0 1 4 7"),
        (
            "-5 °C, 12 km, 250 ml and 100 km/h",
            "minus 5 degrees Celsius, 12 kilometers, 250 milliliters and 100 kilometers per hour",
        ),
        ("1/2 cup, 2½ or 1 1/2; 24/7", "one half cup, 2 and one half or 1 and one half; 24 7"),
        ("J. R. Tolkien. He wrote.", "J R Tolkien. He wrote."),
        ("the U.S. Army in the U.K.", "the U S Army in the U K."),
        ("Henry VIII, World War II and Chapter IV", "Henry the 8th, World War 2 and Chapter 4"),
        ("YouTube and McDonald", "You Tube and McDonald"),
        ("Oak Ave., Main St. or St. James, etc.", "Oak Avenue, Main Street or Saint James, et cetera."),
        ("He is a Ph.D. Sons & Co., **bold**", "He is a P H D Sons and Co., bold"),
        ("Mr. and Mrs. Smith met Dr. No. He left.", "Mister and Missis Smith met Doctor No. He left."),
        ("No. 5, i.e. red vs. blue", "number 5, that is red versus blue"),
        ("Yes -- or no", "Yes — or no"),
        ("a well-known\ttown", "a well-known town"),
    ],
)
def test_what_rules_read_badly_is_spelled_out(written: str, said: str) -> None:
    assert spoken_form(written) == said
