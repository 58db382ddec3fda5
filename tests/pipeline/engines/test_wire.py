"""What engines and callers say to each other arrives as it was said, and is never more than plain values."""

import pickle
import socket
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engines import wire
from pipeline.errors import ProviderBusy, StenopoolError, UnsupportedLanguage

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=200)
NAMES = st.text(max_size=5).filter(lambda name: name != "\0")
QUESTIONS = 3000
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4))


def passed(value: Any) -> Any:
    """The value as it comes out at the other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=wire.send, args=(ours, value))
        sender.start()
        try:
            return wire.receive(theirs, time.monotonic() + 60)
        finally:
            sender.join()


@given(VALUES)
def test_plain_values_arrive_as_they_were(value: Any) -> None:
    assert passed(value) == value


def test_much_sound_arrives_as_it_was() -> None:
    sounds = [bytes(range(256)) * 10_000, b"", b"x"]
    assert passed({"pieces": sounds, "cost": 2.5}) == {"pieces": sounds, "cost": 2.5}


@pytest.mark.parametrize("value", [object(), {"a": {1, 2}}, len, ProviderBusy()])
def test_nothing_else_can_be_sent(value: Any) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(TypeError):
            wire.send(ours, value)
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


def test_a_pickle_is_no_message() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        body = pickle.dumps(print)
        ours.sendall(len(body).to_bytes(4, "big") + (0).to_bytes(8, "big") + body)
        with pytest.raises(ValueError):
            wire.receive(theirs, time.monotonic() + 60)


@pytest.mark.parametrize(
    "error", [ProviderBusy("Later", provider="x", retry_after=3), UnsupportedLanguage(param="language")]
)
def test_our_errors_arrive_as_they_are(error: StenopoolError) -> None:
    arrived = wire.as_error(passed(wire.told(error)))
    assert type(arrived) is type(error)
    assert isinstance(arrived, StenopoolError) and arrived.as_dict() == error.as_dict()


def test_other_errors_arrive_in_words() -> None:
    arrived = wire.as_error(passed(wire.told(ValueError("a vendor's own words"))))
    assert isinstance(arrived, wire.EngineFault) and str(arrived) == "ValueError: a vendor's own words"


def test_whoever_has_hung_up_is_gone_whatever_was_said_before() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            assert not wire.gone(theirs)
            wire.send(ours, "a question")
            assert not wire.gone(theirs)
        assert wire.gone(theirs)
        assert wire.receive(theirs) == "a question"
        assert wire.gone(theirs)


def test_a_look_waits_for_nothing_while_another_thread_reads() -> None:
    """What has arrived may be taken before a look comes to it: waiting for it with the lock that the reader needs was for good."""
    ours, theirs = socket.socketpair()
    lock, done = threading.Lock(), threading.Event()

    def answer() -> None:
        for _ in range(QUESTIONS):
            message = wire.receive(theirs)
            with lock:
                wire.send(theirs, message)

    def look() -> None:
        while not done.is_set():
            with lock:
                assert not wire.gone(theirs)

    threads = [threading.Thread(target=doing, daemon=True) for doing in (answer, look)]
    with ours, theirs:
        for thread in threads:
            thread.start()
        for number in range(QUESTIONS):
            wire.send(ours, number)
            assert wire.receive(ours, time.monotonic() + 60) == number
        done.set()
        for thread in threads:
            thread.join(60)
