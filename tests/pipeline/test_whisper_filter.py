"""What is made of a Whisper model's answer for one window."""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.transcript import Word
from pipeline.whisper_filter import Found, FoundWord, is_doubtful, is_silence, more_likely, segments

WORDS = (
    FoundWord(" One.", 0.0, 0.4, 0.9, (1, 2)),
    FoundWord(" Two", 0.4, 0.8, 1.2, (3,)),
    FoundWord(" three", 1.4, 1.7, -0.1, (4,)),
)
FOUND = Found(" One. Two three", 0.0, 1.7, WORDS, (1, 2, 3, 4), -0.2, 1.1, 0.01, 0.0)


def texts(found: Found, duration: int = 5000) -> list[str]:
    return [segment.text for segment in segments([found], duration=duration)]


def test_a_full_stop_and_a_pause_begin_a_new_segment_with_its_own_tokens() -> None:
    made = list(segments([FOUND], duration=5000))
    assert [segment.text for segment in made] == ["One.", "Two", "three"]
    assert [segment.tokens for segment in made] == [(1, 2), (3,), (4,)]
    assert [(segment.start, segment.end) for segment in made] == [(0, 400), (400, 800), (1400, 1700)]
    assert [word.confidence for segment in made for word in segment.words] == [0.9, 1.0, 0.0]


def test_a_segment_does_not_grow_without_end() -> None:
    words = tuple(FoundWord(f" word{n}", 0.3 * n, 0.3 * n + 0.3, 1.0) for n in range(100))
    made = list(segments([replace(FOUND, words=words)], duration=30_000))
    assert all(segment.end - segment.start <= 10_000 for segment in made) and len(made) == 4


def test_scripts_without_spaces_stay_without() -> None:
    words = (FoundWord("你", 0.0, 0.2, 1.0), FoundWord("好。", 0.2, 0.4, 1.0), FoundWord("我", 0.4, 0.6, 1.0))
    assert texts(replace(FOUND, words=words)) == ["你好。", "我"]


def test_times_go_forward_and_stay_inside_the_window() -> None:
    words = (FoundWord(" a", -0.1, 0.5, 1.0), FoundWord(" b", 0.3, 0.2, 1.0), FoundWord(" c", 0.6, 1.7, 1.0))
    (made,) = segments([replace(FOUND, words=words)], duration=1000)
    assert made.words == (Word("a", 0, 500, 1.0), Word("b", 500, 500, 1.0), Word("c", 600, 1000, 1.0))


def test_a_text_without_words_keeps_its_own_time() -> None:
    (made,) = segments([replace(FOUND, words=())], duration=1000)
    assert (made.text, made.start, made.end, made.tokens) == ("One. Two three", 0, 1000, (1, 2, 3, 4))


def test_a_guess_at_silence_is_kept_and_marked() -> None:
    guessed = replace(FOUND, avg_logprob=-1.1, no_speech_prob=0.9)
    made = list(segments([guessed], duration=5000))
    assert [segment.text for segment in made] == ["One.", "Two", "three"]
    assert {segment.suspect for segment in made} == {("no_speech",)}
    assert not any(segment.suspect for segment in segments([FOUND], duration=5000))


def test_a_blank_text_is_none() -> None:
    assert texts(replace(FOUND, text=" \n", words=())) == []


def likes(*found: Found) -> Sequence[Found]:
    return more_likely([found[0]], [found[1]])


def test_doubt_silence_and_choice() -> None:
    looping, guessed = replace(FOUND, compression_ratio=2.5), replace(FOUND, avg_logprob=-1.1)
    assert not is_doubtful([FOUND]) and is_doubtful([looping]) and is_doubtful([FOUND, guessed])
    assert not is_silence([guessed]) and not is_silence([replace(FOUND, no_speech_prob=0.9)])
    assert is_silence([replace(guessed, no_speech_prob=0.9)])
    assert likes(looping, guessed) == [guessed] == likes(guessed, looping)
    assert likes(guessed, FOUND) == [FOUND] == likes(FOUND, guessed)
    assert more_likely([FOUND], []) == [FOUND]
