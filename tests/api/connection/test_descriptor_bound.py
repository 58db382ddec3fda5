"""However many connections strangers open, the process can go on opening files, and keys stay in."""

import contextlib
import resource

import pytest
from fastapi import FastAPI, Request

from api.connection import descriptor_bound, server
from api.connection.descriptor_bound import DescriptorBound, connections_within, raise_limit
from api.http.request_middleware import RequestMiddleware
from tests.api.connection.held import Held
from tests.api.serving import answered, received, running

MOST = 4


def opened(bound: DescriptorBound, *held: Held) -> list[bool]:
    """Which of them stay; the closed ones are gone at once."""
    everybody = list(held)
    for one in held:
        bound.opened(one)
        for other in everybody:
            if not other.is_open:
                bound.closed(other)
                everybody.remove(other)
    return [one.is_open for one in held]


def test_the_oldest_idle_one_without_a_key_goes() -> None:
    held = [Held(key=True), Held(), Held(idle=False), Held(), Held(), Held()]
    assert opened(DescriptorBound(MOST), *held) == [True, False, True, False, True, True]


def test_with_keys_and_work_everywhere_nobody_new_comes_in() -> None:
    bound = DescriptorBound(MOST)
    inside = [Held(key=True), Held(key=True), Held(idle=False), Held(idle=False)]
    assert all(opened(bound, *inside))
    late = Held(idle=False)
    assert opened(bound, late) == [False]
    inside[3].idle = True
    assert opened(bound, Held()) == [True] and not inside[3].is_open


def test_whoever_shows_a_key_stays() -> None:
    bound, first = DescriptorBound(MOST), Held()
    assert opened(bound, first, *(Held() for _ in range(MOST - 1)))[0]
    first.key = True
    opened(bound, *(Held() for _ in range(10)))
    assert first.is_open


def test_one_more_looks_at_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptor_bound, "LOOKED_AT", 2)
    bound = DescriptorBound(MOST)
    inside = [Held(idle=False) for _ in range(3)] + [Held()]
    opened(bound, *inside)
    assert opened(bound, Held(idle=False)) == [False], "two were looked at"
    assert opened(bound, Held(idle=False)) == [True] and not inside[3].is_open, "the others had their turn"


@pytest.mark.parametrize(
    ("soft", "most"), [(20_000, 18_976), (1024, 768), (resource.RLIM_INFINITY, (1 << 20) - 1024), (100, 75)]
)
def test_a_part_of_the_limit_is_kept_back(monkeypatch: pytest.MonkeyPatch, soft: int, most: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert connections_within() == most


@pytest.mark.parametrize(
    ("limits", "asked"),
    [
        ((1024, 20_000), [(20_000, 20_000)]),
        ((20_000, 20_000), []),
        ((1024, resource.RLIM_INFINITY), [(1 << 20, resource.RLIM_INFINITY)]),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), []),
    ],
)
def test_the_limit_is_raised_as_far_as_it_goes(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], asked: list[tuple[int, int]]
) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: told.append(both))
    raise_limit()
    assert told == asked


def test_over_real_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """From however many addresses they come."""
    monkeypatch.setattr(server, "connections_within", lambda: MOST)
    app = FastAPI(openapi_url=None)
    app.add_middleware(RequestMiddleware)

    @app.get("/")
    async def root(request: Request) -> str:
        if "authorization" in request.headers:
            request.state.key_shown = True
        return "here"

    asked = b"GET / HTTP/1.1\r\nHost: x\r\n%b\r\n"
    with running(app) as place, place.connection() as holder, contextlib.ExitStack() as open_ones:
        holder.sendall(asked % b"Authorization: Bearer x\r\n")
        assert answered(holder).startswith(b"HTTP/1.1 200")
        idle = []
        for number in range(MOST + 1):
            idle.append(open_ones.enter_context(place.connection(source=f"127.0.0.{number + 2}")))
            idle[-1].sendall(asked % b"")
            assert answered(idle[-1]).startswith(b"HTTP/1.1 200"), "the newest is always served"
        assert received(idle[0]) == received(idle[1]) == b"", "the oldest were closed"
        holder.sendall(asked % b"")
        assert answered(holder).startswith(b"HTTP/1.1 200")
