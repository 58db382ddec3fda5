"""Errors that a row keeps come back as what they were, as far as their code tells; a documented sentence comes first, once."""

import pickle
from collections.abc import Iterator

import pytest

from pipeline.errors import StenopoolError, UnsupportedMedia, error_of

SENTENCE = "Unsupported audio format. Supported: mp3, mp4, mpeg, mpga, m4a, wav, webm"


def below(kind: type[StenopoolError]) -> Iterator[type[StenopoolError]]:
    yield kind
    for further in kind.__subclasses__():
        yield from below(further)


KINDS = [kind for kind in below(StenopoolError) if kind.__module__ == "pipeline.errors"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_a_row_keeps_comes_back(kind: type[StenopoolError]) -> None:
    error = kind("What is said of it.", provider="oracle", param="file")
    again = error_of({**error.as_dict(), "stage": "preparing", "chunk": 3})
    assert (again.code, again.message, again.details) == (error.code, error.message, error.details)
    assert again.retryable == error.retryable or issubclass(kind, type(again)), "the code alone cannot tell them apart"


def test_a_code_that_nobody_knows_is_a_fault_of_ours() -> None:
    assert type(error_of({"code": "of a later version", "message": "x"})) is StenopoolError


def test_what_is_no_sound_is_told_by_its_sentence_first_and_once() -> None:
    assert UnsupportedMedia().message == SENTENCE
    error = UnsupportedMedia("The sound's codec is unknown.", codec="x")
    assert error.message == f"{SENTENCE}. The sound's codec is unknown."
    for again in (pickle.loads(pickle.dumps(error)), error_of(error.as_dict())):
        assert (again.message, again.details) == (error.message, {"codec": "x"})
