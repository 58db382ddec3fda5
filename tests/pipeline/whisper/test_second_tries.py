"""What is decoded again, how often, and which of the texts is taken."""

from dataclasses import replace

from pipeline.whisper.second_tries import believed
from pipeline.whisper.window import Window
from pipeline.whisper_filter import Found

GOOD = Found("Good.", 0.0, 1.0, (), (), -0.3, 1.0, 0.0, 0.0)
LOOP = replace(GOOD, text="On and on.", compression_ratio=9.0)
GUESS = replace(GOOD, text="Perhaps.", avg_logprob=-1.5)
SILENCE = replace(GUESS, text="Thanks.", no_speech_prob=0.9)


class Engine:
    """Gives these, one a turn."""

    def __init__(self, *tries: Found) -> None:
        self._tries = list(tries)
        self.asked: list[tuple[str, float]] = []

    def again(self, language: str, temperature: float) -> Window:
        self.asked.append((language, temperature))
        return Window(language, (self._tries.pop(0),))


def heard(first: Found, *tries: Found) -> tuple[str, int]:
    engine = Engine(*tries)
    found = believed(Window("de", (first,)), engine.again)
    assert found.language == "de"
    assert engine.asked == [("de", temperature) for temperature in (0.2, 0.4, 0.6, 0.8, 1.0)[: len(engine.asked)]]
    return found.found[0].text, len(engine.asked)


def test_what_is_sure_or_silence_is_heard_once() -> None:
    assert heard(GOOD) == ("Good.", 0)
    assert heard(SILENCE) == ("Thanks.", 0)


def test_each_try_is_a_turn_until_one_is_sure() -> None:
    assert heard(LOOP, LOOP, GUESS, GOOD) == ("Good.", 3)
    assert heard(LOOP, SILENCE) == ("Thanks.", 1)


def test_the_likeliest_of_those_that_are_all_doubtful() -> None:
    assert heard(LOOP, LOOP, GUESS, LOOP, LOOP, LOOP) == ("Perhaps.", 5)


def test_of_two_guesses_the_surer_one() -> None:
    better = replace(GUESS, text="Rather.", avg_logprob=-1.2)
    assert heard(better, GUESS, GUESS, GUESS, GUESS, GUESS) == ("Rather.", 5)
