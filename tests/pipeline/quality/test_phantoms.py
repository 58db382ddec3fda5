"""Phrases that engines invent, and people who say something like them."""

import pytest

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
