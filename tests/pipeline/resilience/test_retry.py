"""Slots, retries and the circuit breaker of a remote provider."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from pipeline.errors import ProviderBusy, ProviderError, ProviderNonsense, ProviderRefused, ProviderUnavailable
from pipeline.resilience.circuit_breaker import CircuitBreaker
from pipeline.resilience.deadline import Deadline
from pipeline.resilience.fallback import fallback_available, has_fallback
from pipeline.resilience.probe import probing
from pipeline.resilience.retry import RetryPolicy
from tests.support.waiting import wait_until


class Asked:
    """Fails as often as it is told to, and counts."""

    def __init__(self, *failures: ProviderError) -> None:
        self.failures = list(failures)
        self.times = 0

    def __call__(self, deadline: Deadline) -> str:
        self.times += 1
        if self.failures:
            raise self.failures.pop(0)
        return "good"


def tries(
    circuit: CircuitBreaker | None = None, *, retry_s: float = 30.0, concurrency: int = 4, most: int = 3
) -> RetryPolicy:
    return RetryPolicy("p", timeout_s=60, retry_s=retry_s, concurrency=concurrency, most=most, circuit=circuit)


@pytest.mark.parametrize(
    ("failures", "times"),
    [
        ([ProviderUnavailable()], 2),
        ([ProviderUnavailable(retry_after=0.2), ProviderBusy()], 3),
        ([ProviderNonsense()], 2),
    ],
)
def test_what_may_pass_is_tried_again(failures: list[ProviderError], times: int) -> None:
    asked = Asked(*failures)
    assert tries().persist(asked) == "good"
    assert asked.times == times


@pytest.mark.parametrize(
    ("failure", "times"),
    [
        (ProviderUnavailable(), 3),
        (ProviderNonsense(), 2),
        (ProviderRefused(), 1),
        (ProviderBusy(retry_after=3600), 1),
    ],
)
def test_it_ends(failure: ProviderError, times: int) -> None:
    asked = Asked(*[failure] * 9)
    with pytest.raises(type(failure)):
        tries().persist(asked)
    assert asked.times == times


def test_nobody_waits_for_a_busy_provider_while_another_route_can_answer() -> None:
    busy, moody = Asked(*[ProviderBusy()] * 2), Asked(ProviderUnavailable())
    with fallback_available(True):
        with pytest.raises(ProviderBusy):
            tries().persist(busy)
        assert tries().persist(moody) == "good", "a moment's failure is no reason to go elsewhere"
        with fallback_available(False):
            assert tries().persist(busy) == "good"
    assert (busy.times, moody.times) == (3, 2)
    assert not has_fallback()


def test_nothing_is_tried_again_after_its_time() -> None:
    asked = Asked(ProviderUnavailable())
    with pytest.raises(ProviderUnavailable):
        tries(retry_s=0).persist(asked)
    assert asked.times == 1


def test_a_deadline_stays_within_another() -> None:
    whole = Deadline(5)
    inner = Deadline(60, within=whole)
    assert inner.at == whole.at
    inner.again(1)
    assert inner.at < whole.at
    inner.within = None
    inner.again(60)
    assert inner.at > whole.at
    with pytest.raises(TimeoutError):
        Deadline(0).left()


def test_no_more_at_once_than_there_are_turns() -> None:
    shared, lock, together = tries(concurrency=3), threading.Lock(), threading.Barrier(3)
    inside, most = 0, 0

    def work(deadline: Deadline) -> None:
        nonlocal inside, most
        with shared.turn(deadline):
            with lock:
                inside += 1
                most = max(most, inside)
            together.wait(60)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda _: shared.persist(work), range(30)))
    assert most == 3


def test_who_gets_no_turn_is_told_so() -> None:
    shared = tries(concurrency=1, most=1)
    with shared.turn(Deadline(200)), pytest.raises(ProviderBusy), shared.turn(Deadline(0.01)):
        raise AssertionError("no turn")


def test_waiting_for_a_turn_costs_no_time() -> None:
    shared, free = tries(concurrency=1), threading.Event()
    holding = threading.Event()

    def hold() -> None:
        with shared.turn(Deadline(200)):
            holding.set()
            assert free.wait(60)

    def make_way() -> None:
        wait_until(lambda: shared._semaphore._waiting)
        free.set()

    with ThreadPoolExecutor(2) as threads:
        held = threads.submit(hold)
        assert holding.wait(60)
        deadline = Deadline(200)
        at = deadline.at
        made = threads.submit(make_way)
        with shared.turn(deadline):
            assert deadline.at > at
        held.result()
        made.result()


def test_closing_ends_the_waiting() -> None:
    shared = tries(retry_s=60)
    asked = Asked(*[ProviderUnavailable(retry_after=50)] * 9)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(shared.persist, asked)
        wait_until(lambda: asked.times == 1)
        shared.close()
        assert isinstance(answer.exception(timeout=60), ProviderUnavailable)
    with pytest.raises(ProviderUnavailable), shared.turn(Deadline(200)):
        raise AssertionError("closed")


def failing(circuit: CircuitBreaker, error: Exception | None, times: int = 1) -> None:
    for _ in range(times):
        with suppress(Exception), circuit.watching():
            if error:
                raise error


def is_open(circuit: CircuitBreaker) -> bool:
    watched = circuit.watching()
    try:
        watched.__enter__()
    except ProviderUnavailable:
        return True
    with suppress(KeyboardInterrupt):  # which decides nothing
        watched.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    return False


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker("p", failures=3, seconds=10, clock=clock)


def test_one_call_with_all_its_tries_is_one_failure(circuit: CircuitBreaker) -> None:
    asked = Asked(*[ProviderUnavailable()] * 9)
    with pytest.raises(ProviderUnavailable):
        tries(circuit, most=4).persist(asked)
    assert asked.times == 4 and not is_open(circuit)


@pytest.mark.parametrize("error", [ProviderRefused(), ProviderBusy(), ValueError()])
def test_what_does_not_open_it(circuit: CircuitBreaker, error: Exception) -> None:
    failing(circuit, error, 9)
    assert not is_open(circuit)


@pytest.mark.parametrize(("error", "opens"), [(None, False), (ProviderRefused(), False), (ProviderBusy(), True)])
def test_what_comes_between_failures(circuit: CircuitBreaker, error: Exception | None, opens: bool) -> None:
    failing(circuit, ProviderUnavailable(), 2)
    failing(circuit, error)
    failing(circuit, ProviderNonsense())
    assert is_open(circuit) is opens


def test_exactly_one_asks_whether_it_is_back(circuit: CircuitBreaker, clock: Clock) -> None:
    failing(circuit, ProviderUnavailable(), 3)
    assert is_open(circuit)
    clock.now = 11
    gate, asked = threading.Barrier(20), []

    def ask(_: int) -> bool:
        gate.wait(60)
        try:
            with circuit.watching():
                asked.append(1)
                wait_until(lambda: refused == 19)
        except ProviderUnavailable:
            return False
        return True

    refused = 0
    with ThreadPoolExecutor(20) as threads:
        answers = [threads.submit(ask, nth) for nth in range(20)]
        wait_until(lambda: sum(answer.done() for answer in answers) >= 19)
        refused = sum(answer.done() and not answer.result() for answer in answers)
    assert refused == 19 and len(asked) == 1 and not is_open(circuit)


def test_a_failed_probe_opens_it_again(circuit: CircuitBreaker, clock: Clock) -> None:
    failing(circuit, ProviderUnavailable(), 3)
    clock.now = 11
    asked = Asked(*[ProviderUnavailable()] * 9)
    with pytest.raises(ProviderUnavailable):
        tries(circuit).persist(asked)
    assert asked.times == 1 and is_open(circuit)
    clock.now = 22
    failing(circuit, None)
    assert not is_open(circuit)


def test_who_is_sent_to_see_whether_it_is_back_is_let_through(circuit: CircuitBreaker) -> None:
    failing(circuit, ProviderUnavailable(), 3)
    with probing():
        failing(circuit, ProviderUnavailable())
        assert is_open(circuit) is False
    with probing(False):
        assert is_open(circuit), "everybody else is not"
    with probing():
        failing(circuit, None)
    assert not is_open(circuit), "its answer is for all"


@pytest.mark.parametrize("late", [None, ProviderUnavailable()])
def test_a_late_answer_from_before_decides_nothing(
    circuit: CircuitBreaker, clock: Clock, late: Exception | None
) -> None:
    def before(then: Callable[[], None]) -> None:
        with circuit.watching():
            then()
            if late:
                raise late

    def meanwhile() -> None:
        failing(circuit, ProviderUnavailable(), 3)
        clock.now = 11
        probe = circuit.watching()
        probe.__enter__()
        probes.append(probe)

    probes: list[object] = []
    try:
        before(meanwhile)
    except ProviderUnavailable:
        assert late
    assert is_open(circuit), "the probe is still under way"
    probes[0].__exit__(None, None, None)
    assert not is_open(circuit)


def test_a_probe_that_was_given_up_leaves_its_place(circuit: CircuitBreaker, clock: Clock) -> None:
    failing(circuit, ProviderUnavailable(), 3)
    clock.now = 11
    with pytest.raises(KeyboardInterrupt), circuit.watching():
        raise KeyboardInterrupt
    failing(circuit, None)
    assert not is_open(circuit)
