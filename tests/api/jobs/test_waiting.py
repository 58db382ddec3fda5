"""Waiting for a job: by `wait`, and along its events. However many wait, everybody else is served."""

import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from api import job_watcher
from api.access.request_slots import RequestSlots
from api.main import create_app
from tests.api.conftest import JOBS, House
from tests.api.serving import Running, running, until

SLOTS = 40  # of which an account may hold 32
WAITERS = 30


@pytest.fixture
def served(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(RequestSlots.__init__, "__defaults__", (SLOTS, 8, 8))
    monkeypatch.setattr(job_watcher, "LOOK_SECONDS", 0.05)
    with running(create_app(house.services)) as place:
        yield place


@pytest.fixture
def asked(house: House, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the store was asked for what."""
    calls: Counter[str] = Counter()
    for name in ("get", "events", "marks"):
        monkeypatch.setattr(house.services.jobs, name, _counted(calls, name, getattr(house.services.jobs, name)))
    return calls


def _counted(calls: Counter[str], name: str, ask: Callable[..., object]) -> Callable[..., object]:
    def counted(*given: object) -> object:
        calls[name] += 1
        return ask(*given)

    return counted


def request(path: str, key: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


def looks(asked: Counter[str], ask: Callable[[], None]) -> None:
    """Let three more looks pass."""
    seen = asked["marks"]
    while asked["marks"] < seen + 3:
        ask()


@pytest.mark.processes
def test_waiters_hold_no_slot_and_ask_nothing(house: House, served: Running, asked: Counter[str]) -> None:
    job = house.submit()["id"]
    paths = [f"{JOBS}/{job}?wait=50", f"{JOBS}/{job}/events?stream=true"]
    with contextlib.ExitStack() as stack:
        waiters = {path: [stack.enter_context(served.connection()) for _ in range(WAITERS)] for path in paths}
        for path, connections in waiters.items():
            for connection in connections:
                connection.sendall(request(path, house.key))
                if "stream" in path:
                    until(connection, b"event: created")
        other = stack.enter_context(served.connection())

        def ask() -> None:
            for key in (house.other_key, house.key):
                other.sendall(request("/v1/balance", key))
                assert until(other, b"}").startswith(b"HTTP/1.1 200"), "everybody else is served"

        while asked["get"] < 2 * WAITERS:  # each has been let in
            ask()
        looks(asked, ask)
        before = asked["get"] + asked["events"]
        looks(asked, ask)
        assert asked["get"] + asked["events"] == before, "whoever waits asks nothing"
        house.work()
        for connection in waiters[paths[0]]:
            assert b'"status":"completed"' in until(connection, b'"expires_at"')
        for connection in waiters[paths[1]]:
            until(connection, b"event: completed")
        changes = house.services.jobs.find(job).version
        assert asked["get"] + asked["events"] - before < WAITERS + 4 * changes, (
            "each change is looked at for all at once"
        )


@pytest.mark.processes
def test_who_hangs_up_waits_no_longer(house: House, served: Running, asked: Counter[str]) -> None:
    job = house.submit()["id"]
    with served.connection() as connection, served.connection() as other:
        connection.sendall(request(f"{JOBS}/{job}?wait=50", house.key))
        connection.shutdown(socket.SHUT_WR)
        connection.close()
        other.sendall(request(f"{JOBS}/{job}?wait=0.2", house.key))
        assert b'"queued"' in until(other, b'"expires_at"')
    seen = -1
    while asked["marks"] != seen:
        seen = asked["marks"]
        with served.connection() as connection:
            for _ in range(30):
                connection.sendall(request("/v1/balance", house.other_key))
                until(connection, b"}")


@pytest.mark.processes
def test_a_job_that_is_deleted_meanwhile(house: House, served: Running) -> None:
    job = house.submit()["id"]
    with served.connection() as waiter, served.connection() as follower:
        waiter.sendall(request(f"{JOBS}/{job}?wait=50", house.key))
        follower.sendall(request(f"{JOBS}/{job}/events?stream=true", house.key))
        until(follower, b"event: created")
        assert house.delete(f"{JOBS}/{job}?force=true").status_code == 200
        assert until(waiter, b"}}").startswith(b"HTTP/1.1 404")
        until(follower, b"0\r\n\r\n")


@pytest.mark.processes
def test_a_server_that_stops_answers_those_who_wait(house: House) -> None:
    job = house.submit()["id"]
    with contextlib.ExitStack() as stack:
        with running(create_app(house.services)) as place:
            waiter = stack.enter_context(place.connection())
            follower = stack.enter_context(place.connection())
            follower.sendall(request(f"{JOBS}/{job}/events?stream=true", house.key))
            until(follower, b"event: created")
            waiter.sendall(request(f"{JOBS}/{job}?wait=50", house.key))
            ready = stack.enter_context(place.connection())
            ready.sendall(request(f"{JOBS}/{job}?wait=0.5", house.key))
            until(ready, b'"expires_at"')
        assert b'"queued"' in until(waiter, b'"expires_at"')
        until(follower, b"0\r\n\r\n")
