"""Many recordings, one question whether they were sent before."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cli.archive_jobs import job_lookup
from cli.archive_jobs.job_lookup import JobLookup
from cli.exits import ApiAway

CALLERS = 8


class Server:
    """Knows every second key."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def jobs_called(self, references: list[str]) -> dict[str, dict[str, Any]]:
        self.asked.append(references)
        if "broken" in references:
            raise ApiAway("away")
        return {key: {"id": f"job_{key}"} for key in references if int(key) % 2}


@pytest.fixture(autouse=True)
def all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one waits until all have come."""
    monkeypatch.setattr(job_lookup, "MOMENT", 1e6)
    monkeypatch.setattr(job_lookup, "MOST_IDS", CALLERS)


def looked_up(server: Any, keys: list[str]) -> list[Any]:
    lookup = JobLookup(server)
    with ThreadPoolExecutor(CALLERS) as threads:
        return list(threads.map(lookup.job_of, keys))


def test_those_that_come_together_share_a_question() -> None:
    server, keys = Server(), [str(number) for number in range(CALLERS)]
    found = looked_up(server, keys)
    assert found == [{"id": f"job_{key}"} if int(key) % 2 else None for key in keys]
    assert [sorted(asked) for asked in server.asked] == [keys]


def test_a_question_that_fails_fails_for_all_of_them() -> None:
    server = Server()
    with pytest.raises(ApiAway):
        looked_up(server, ["broken", *map(str, range(1, CALLERS))])
    assert len(server.asked) == 1
