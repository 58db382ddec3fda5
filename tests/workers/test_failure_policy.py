"""How work ends badly: void, again later, or for good."""

from typing import Any

import pytest

from infra.metrics import Metrics
from pipeline.errors import (
    DatabaseUnavailable,
    InvalidRequest,
    JobCancelled,
    LeaseLost,
    ProviderBusy,
    ProviderUnavailable,
)
from workers.failure_policy import LONGEST_RETRY, Attempt, retry_delay, settled


class Row:
    def __init__(self, answer: Any = None) -> None:
        self.failures: list[tuple[dict[str, Any], float | None]] = []
        self.answer = answer

    def fail(self, error: dict[str, Any], retry_in: float | None) -> Any:
        self.failures.append((error, retry_in))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def settle(row: Row, error: Exception, *, failures: int = 0, chunk: int | None = None) -> Attempt:
    work = Attempt(row.fail, Metrics(), failures=failures, tries=3, stage="transcribing", chunk=chunk)
    with settled(work):
        raise error
    return work


@pytest.mark.parametrize("error", [LeaseLost(), JobCancelled()])
def test_void_work_changes_nothing(error: Exception) -> None:
    row = Row()
    settle(row, error)
    assert not row.failures


def test_what_may_pass_is_tried_again_later() -> None:
    row = Row()
    settle(row, ProviderUnavailable(provider="far"), chunk=4)
    ((error, retry_in),) = row.failures
    assert error["code"] == "provider_unavailable"
    assert (error["stage"], error["chunk"], error["provider"]) == ("transcribing", 4, "far")
    assert retry_in
    assert 0.5 <= retry_in <= 1


def test_but_not_for_ever() -> None:
    row = Row(answer=True)
    work = settle(row, ProviderUnavailable(), failures=2)
    assert row.failures[0][1] is None
    assert work.failed is True


def test_the_callers_mistake_is_final_at_once() -> None:
    row = Row()
    settle(row, InvalidRequest())
    assert row.failures[0][1] is None


def test_a_provider_that_asks_for_time_gets_it() -> None:
    row = Row()
    settle(row, ProviderBusy(retry_after=42.0))
    assert row.failures[0][1] == 42.0


@pytest.mark.parametrize("trouble", [LeaseLost(), DatabaseUnavailable()])
def test_a_failure_that_cannot_be_recorded_is_left_to_the_sweep(trouble: Exception) -> None:
    settle(Row(answer=trouble), ProviderUnavailable())


def test_delays_double_and_are_bounded() -> None:
    for failures, ceiling in ((1, 1.0), (2, 2.0), (3, 4.0), (50, LONGEST_RETRY)):
        delays = [retry_delay(failures) for _ in range(50)]
        assert all(ceiling / 2 <= delay <= ceiling for delay in delays)
        assert len(set(delays)) > 1
