"""Phrases that engines invent, and people who say something like them."""

import tomllib

import pytest

from pipeline.quality.phantoms import _FAREWELLS as FAREWELLS
from pipeline.quality.phantoms import phantoms
from pipeline.quality.suspects import judged
from pipeline.transcript import Segment


def told(*texts: str) -> list[bool]:
    return phantoms([Segment(text, 1000 * nth, 1000 * nth + 900) for nth, text in enumerate(texts)])


@pytest.mark.parametrize(
    "text",
    [
        "Subtitles by the Amara.org community",
        "Sous-titres réalisés para la communauté d'Amara.org",
        "Untertitel der Amara.org-Community",
        "Untertitelung des ZDF für funk, 2017",
        "Субтитры сделал DimaTorzok",
        "字幕由 Amara.org 社群提供",
        "Captions by GetTranscribed.com",
        "Transcription by CastingWords",
        "[Music]",
        "(upbeat music)",
        "♪ ♪",
        "*Musik*",
        "【音楽】",
        "Undertekster av Ai-Media",
        "Altyaz\u0131 M.K.",
        "한글자막 by 한효정",
        "Titulky vytvořil JohnyX",
        "ترجمة نانسي قنقر",
    ],
)
def test_credits_and_names_of_sounds_are_nobody_s_words_wherever_they_stand(text: str) -> None:
    assert told("So we went home.", text, "And slept.") == [False, True, False]


@pytest.mark.parametrize(
    "text",
    ["Thanks for watching!", "Thank you for watching.", "Please subscribe to my channel.", "Vielen Dank fürs Zuschauen.",
     "ご視聴ありがとうございました", "Продолжение следует...", "¡Gracias por ver el video!"],
)  # fmt: skip
def test_a_farewell_counts_where_it_is_all_there_is(text: str) -> None:
    assert told(text) == [True]
    assert told("[Music]", text) == [True, True]
    assert told("That was how it works.", text) == [False, False]


def farewells() -> list[tuple[str, str]]:
    by_language = tomllib.loads(FAREWELLS.read_text("utf-8"))
    return [(language, phrase) for language, phrases in by_language.items() for phrase in phrases]


def test_farewells_are_known_in_sixty_languages_whatever_marks_they_have() -> None:
    assert len({language for language, _ in farewells()}) >= 60
    for _, phrase in farewells():
        for written in (phrase, f"{phrase}.", f" {phrase}!\n"):
            assert told(written) == [True], written


def test_several_farewells_are_one_and_what_else_is_said_with_them_is_believed() -> None:
    assert told("Thanks for watching, and please subscribe. Bye!") == [False], (
        "what is not known word for word is believed"
    )
    assert told("Thanks for watching! Please subscribe. Bye-bye!") == [True]
    assert told("Merci. Merci d'avoir regardé !") == [True]
    assert told("Thank you. Bye!") == [False]
    assert told("Thanks for watching. The next bus leaves at ten.") == [False]


@pytest.mark.parametrize(
    "text",
    [
        "Thank you.",
        "Bye.",
        "Subtitles help when the room is loud.",
        "The captions by default are off, as you can see here, and I would like to show you how they are turned on again.",
        "I (still) think so.",
        "Die Untertitel sind falsch.",
        "Who is watching?",
        "." * 40_000 + "x",
        "[" * 40_000,
    ],
    ids=lambda text: text[:30],
)
def test_what_people_say_is_not_held_against_them(text: str) -> None:
    assert told(text) == [False]


def test_the_reason_is_told() -> None:
    (one,) = judged([Segment("Thanks for watching!", 0, 1500)], ((0, 9000),))
    assert one.suspect == ("phantom",)
    (doubted,) = judged([Segment("Thanks for watching!", 0, 1500)], ((0, 9000),), in_doubt=True)
    assert doubted.suspect == ("no_speech", "phantom")
