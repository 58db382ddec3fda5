"""What servers answer, as a `Heard`: all that is there, and nothing made up."""

import json
from typing import Any

import pytest

from pipeline.errors import ProviderNonsense
from pipeline.openai_api.merge_halves import joined
from pipeline.openai_api.response import heard
from pipeline.transcript import Heard, Logprob, Segment, TokenUsage, Word

TOKENS = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
    "output_tokens": 45,
    "total_tokens": 59,
}


def told(**answer: Any) -> Heard:
    return heard(json.dumps(answer).encode(), duration=2000, model="m", provider="p")


def test_a_text_without_times() -> None:
    answer = told(
        text="Hello.",
        languages=[{"code": "en"}],
        usage=TOKENS,
        logprobs=[{"token": "Hel", "logprob": -0.5, "bytes": [72, 101, 108]}, {"token": "lo", "logprob": -1}],
    )
    logprobs = (Logprob("Hel", -0.5, (72, 101, 108)), Logprob("lo", -1.0))
    assert answer == Heard(
        (Segment("Hello.", 0, 2000),),
        language="en",
        model_used="m",
        timed=False,
        languages=("en",),
        usage=TokenUsage(text_in=4, audio_in=10, text_out=45),
        logprobs=logprobs,
    )


def test_who_speaks() -> None:
    segments = [
        {"type": "transcript.text.segment", "id": "seg_0", "start": 0.0, "end": 0.9, "text": "Hi.", "speaker": "Ann"},
        {"type": "transcript.text.segment", "id": "seg_1", "start": 1.0, "end": 1.9, "text": "Yes?", "speaker": "A"},
    ]
    answer = told(text="Ann: Hi.\nA: Yes?", segments=segments, duration=2.0, usage={"type": "duration", "seconds": 2})
    assert [(segment.text, segment.speaker) for segment in answer.segments] == [("Hi.", "Ann"), ("Yes?", "A")]
    assert answer.timed and answer.usage is None and answer.duration == 2000


@pytest.mark.parametrize(
    "usage",
    [
        5,
        [],
        {"type": "tokens"},
        {"input_tokens": "many", "output_tokens": None},
        {"input_tokens": True},
        {"seconds": -1},
    ],
)
def test_a_useless_count_does_not_spoil_the_text(usage: Any) -> None:
    answer = told(text="Hello.", usage=usage, logprobs="none", languages={"code": 5}, duration="long")
    assert answer.segments[0].text == "Hello."
    assert (answer.usage, answer.logprobs, answer.languages, answer.duration) == (None, (), (), None)


def test_tokens_of_no_kind_are_sound() -> None:
    assert told(text="a", usage={"input_tokens": 7, "output_tokens": 2}).usage == TokenUsage(audio_in=7, text_out=2)


def test_an_empty_text_is_an_answer() -> None:
    assert told(text="") == Heard(model_used="m")


@pytest.mark.parametrize(
    "answer", [{}, {"text": None}, {"error": {"message": "no"}}, {"text": "a", "words": [{"word": "a"}]}]
)
def test_nonsense(answer: dict[str, Any]) -> None:
    with pytest.raises(ProviderNonsense):
        told(**answer)


def inner(*words: tuple[str, float, float]) -> list[dict[str, Any]]:
    told = [{"word": word, "start": start, "end": end, "probability": 0.9} for word, start, end in words]
    return [{"text": "".join(word for word, *_ in words), "start": 0, "end": 1, "words": told}]


def test_words_that_stand_in_the_segments_are_words() -> None:
    found = told(text="Hello there", segments=inner(("Hello", 0.1, 0.4), ("there", 0.5, 0.9)))
    assert found.segments[0].words == (Word("Hello", 100, 400), Word("there", 500, 900))


def test_pieces_of_words_are_joined() -> None:
    found = told(
        text=" Hello there.",
        segments=inner((" Hel", 0.1, 0.2), ("lo", 0.2, 0.4), (" there", 0.5, 0.9), (".", 0.9, 0.9)),
    )
    assert found.segments[0].words == (Word("Hello", 100, 400), Word("there.", 500, 900))


@pytest.mark.parametrize("words", [None, 5, "Hello", [5], [{"word": "Hello"}], [{"word": None, "start": 0, "end": 1}]])
def test_words_in_segments_that_are_none_cost_nothing_else(words: Any) -> None:
    found = told(text="Hello", segments=[{"text": "Hello", "start": 0.2, "end": 0.9, "words": words}])
    assert [(segment.text, segment.start, segment.end, segment.words) for segment in found.segments] == [
        ("Hello", 200, 900, ())
    ]


def test_a_time_before_the_beginning_is_the_beginning() -> None:
    found = told(text="Hello", segments=[{"text": "Hello", "start": -0.02, "end": 0.9}])
    assert (found.segments[0].start, found.segments[0].end) == (0, 900)


def test_speakers_may_be_numbers() -> None:
    assert (
        told(text="Hello", segments=[{"text": "Hello", "start": 0, "end": 1, "speaker": 1}]).segments[0].speaker == "1"
    )


def test_a_byte_order_mark_is_passed_over() -> None:
    assert heard(b'\xef\xbb\xbf{"text": "Hello"}', duration=1000, model="m", provider="p").segments[0].text == "Hello"


def test_two_halves_are_one_answer() -> None:
    first = Heard(
        (Segment("One.", 0, 1100, (Word("One.", 900, 1100),), speaker="A"),),
        language="en",
        model_used="m",
        duration=1000,
    )
    second = Heard((Segment("Two.", 0, 700, speaker="A"), Segment("Ann.", 700, 900, speaker="Ann")), duration=1000)
    whole = joined([first, second], at=1000, duration=2000, known=("Ann",))
    assert [(part.text, part.start, part.end, part.speaker) for part in whole.segments] == [
        ("One.", 0, 1000, "1:A"),
        ("Two.", 1000, 1700, "2:A"),
        ("Ann.", 1700, 1900, "Ann"),
    ]
    assert whole.segments[0].words == (Word("One.", 900, 1000),)
    assert (whole.language, whole.model_used, whole.duration, whole.usage) == ("en", "m", 2000, None)
