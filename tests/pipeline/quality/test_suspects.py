"""What may be made up is flagged and stays; what certainly was said is not flagged."""

import json
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats import load
from pipeline.formats.base import RenderOptions
from pipeline.quality.suspects import echoes, judged, shown
from pipeline.transcript import Segment, Transcript, Word

EVERYWHERE = ((0, 60_000),)


def segment(text: str, start: int = 0, end: int = 30_000, **more: object) -> Segment:
    return Segment(text, start, end, **more)


def reasons(one: Segment, speech: tuple[tuple[int, int], ...] = EVERYWHERE) -> set[str]:
    return {reason for part in judged([one], speech) for reason in part.suspect}


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (segment("Thank you.", 10_000, 12_000), "no_speech"),
        (segment("and then " * 6), "repetition"),
        (segment("no " * 12), "repetition"),
        (segment("la" * 10, compression_ratio=3.0), "repetition"),
        (segment("one two three four five six seven eight nine ten eleven", 0, 1000), "too_fast"),
        (segment("incomprehensibilities " * 2 + "of extraordinary magnitude", 0, 1900), "too_fast"),
        (segment("mumble", avg_logprob=-1.3), "low_confidence"),
        (segment("mumble", no_speech_prob=0.95), "low_confidence"),
    ],
)
def test_each_sign_is_told_by_its_name(one: Segment, reason: str) -> None:
    speech = ((0, 2000), (20_000, 30_000)) if reason == "no_speech" else EVERYWHERE
    assert reasons(one, speech) == {reason}


@pytest.mark.parametrize(
    "one",
    [
        segment("no no no no", 0, 2000),
        segment("Never, never, never give up, never, never, never.", 0, 5000),
        segment("Yes.", 500, 700),
        segment("A short one", 0, 300),
        segment("sure", avg_logprob=-0.4, no_speech_prob=0.4, compression_ratio=1.4),
    ],
)
def test_what_people_say_is_not_flagged(one: Segment) -> None:
    assert reasons(one) == set()


def test_a_word_at_the_edge_of_speech_is_heard() -> None:
    assert reasons(segment("Yes.", 700, 1000), ((950, 4000),)) == set()


def test_nothing_is_said_about_silence_where_nobody_listened() -> None:
    assert judged([segment("text")], ()) == [segment("text")]


def test_a_loop_becomes_a_segment_of_its_own_and_two_times_are_believed() -> None:
    words = ["so", *["thank", "you"] * 6, "goodbye"]
    timed = tuple(Word(word, 400 * at, 400 * at + 300) for at, word in enumerate(words))
    parts = judged([segment(" ".join(words), 0, 6000, words=timed)], EVERYWHERE)
    assert [part.text for part in parts] == [
        "so thank you thank you",
        "thank you thank you thank you thank you",
        "goodbye",
    ]
    assert [part.suspect for part in parts] == [(), ("repetition",), ()]
    assert [word for part in parts for word in part.words] == list(timed)


def test_a_loop_over_several_segments_is_one() -> None:
    parts = judged([segment("Thank you.", 2000 * at, 2000 * at + 900) for at in range(6)], EVERYWHERE)
    assert [bool(part.suspect) for part in parts] == [False, False, True, True, True, True]


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=60), st.randoms(use_true_random=False))
def test_judging_loses_no_word_and_no_time(words: list[str], chance: random.Random) -> None:
    cuts = sorted({0, len(words), *(chance.randint(0, len(words)) for _ in range(3))})
    segments = [
        segment(
            " ".join(words[first:last]),
            first * 300,
            last * 300,
            words=tuple(Word(words[at], at * 300, at * 300 + 250) for at in range(first, last)),
        )
        for first, last in pairwise(cuts)
    ]
    parts = judged(segments, EVERYWHERE)
    assert [word for part in parts for word in part.words] == [word for one in segments for word in one.words]
    assert " ".join(part.text for part in parts).split() == words
    assert judged(parts, EVERYWHERE) == parts


def test_the_prompt_s_own_words_are_an_echo() -> None:
    prompt = "A talk about Redis, Celery and the price of tea in China."
    said = [
        segment("The price of tea in China."),
        segment("Redis and Celery"),
        segment("So about Redis, what do we know?"),
    ]
    assert [one.suspect for one in echoes(said, prompt)] == [("prompt_echo",), (), ()]
    assert echoes(said, None) == said


@pytest.mark.parametrize(
    ("how", "text"), [("keep", "One. Ghost. Two."), ("mark", "One. [? Ghost. ?] Two."), ("drop", "One. Two.")]
)
def test_a_reader_chooses_what_to_see_of_suspects(how: str, text: str) -> None:
    ghost = segment("Ghost.", 1000, 1500, suspect=("no_speech",))
    whole = Transcript((segment("One.", 0, 900), ghost, segment("Two.", 2000, 3000)), 3000)
    assert shown(whole, how).text == text
    assert len(whole.segments) == 3


@pytest.mark.parametrize(
    ("how", "texts"), [("keep", ["Hi.", "Thanks."]), ("mark", ["Hi.", "[? Thanks. ?]"]), ("drop", ["Hi."])]
)
def test_speakers_are_told_with_suspects_marked_and_left_out(how: str, texts: list[str]) -> None:
    said = (segment("Hi.", 0, 500, speaker="A"), segment("Thanks.", 600, 900, speaker="B", suspect=("no_speech",)))
    body = json.loads(load("diarized_json").render(shown(Transcript(said, 1000), how), RenderOptions()))
    assert [one["text"] for one in body["segments"]] == texts
    assert [one["speaker"] for one in body["segments"]] == ["A", "B"][: len(texts)]
    assert all(text in body["text"] for text in texts)
