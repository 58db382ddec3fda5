"""Connections are bounded per peer, and a stranger's never cost a key holder or a health check theirs."""

import contextlib
import ipaddress
from types import SimpleNamespace

import pytest
from fastapi import FastAPI, Request

from api.connection import peer_bound
from api.connection.http_scope import http_scope
from api.connection.peer_bound import PeerBound
from api.http.peers import Peers
from api.http.request_middleware import RequestMiddleware
from tests.api.connection.held import Held
from tests.api.serving import answered, received, running

MOST = 3


def opened(bound: PeerBound, host: str, *held: Held) -> list[bool]:
    for one in held:
        bound.opened(one, host)
    return [one.is_open for one in held]


@pytest.fixture
def bound() -> PeerBound:
    return PeerBound(Peers([ipaddress.ip_network("10.0.0.0/8")]), MOST, grace=0)


def test_a_peers_own_oldest_is_closed(bound: PeerBound) -> None:
    (other,) = others = [Held()]
    opened(bound, "192.0.2.2", *others)
    assert opened(bound, "192.0.2.1", *(Held() for _ in range(6))) == [False] * 3 + [True] * MOST
    assert other.is_open


def test_a_network_of_ipv6_is_one_peer(bound: PeerBound) -> None:
    held = [Held() for _ in range(6)]
    for number, one in enumerate(held):
        bound.opened(one, f"2001:db8:1:2::{number}")
    assert sum(one.is_open for one in held) == MOST


def test_keys_and_health_are_never_closed(bound: PeerBound) -> None:
    kept = [Held(key=True), Held(shielded=True), *(Held(key=True) for _ in range(5))]
    assert all(opened(bound, "192.0.2.1", *kept))
    assert opened(bound, "192.0.2.1", *(Held() for _ in range(6))) == [False] * 4 + [True] * (MOST - 1)
    assert all(one.is_open for one in kept)


def test_an_office_with_many_keys_gets_its_next_connection(bound: PeerBound) -> None:
    office = [Held(key=True) for _ in range(50)]
    assert all(opened(bound, "192.0.2.1", *office, Held()))


def test_those_that_came_just_now_may_still_show_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to eight times as many; a second later they are as old as any."""
    now = [0.0]
    monkeypatch.setattr(peer_bound, "time", SimpleNamespace(monotonic=lambda: now[0]))
    bound = PeerBound(Peers(), MOST)
    came = [Held() for _ in range(8 * MOST + 2)]
    assert opened(bound, "192.0.2.1", *came) == [False] * 2 + [True] * 8 * MOST
    for one in came[2:10]:
        one.key = True
    now[0] = 1.5
    assert opened(bound, "192.0.2.1", Held()) == [True]
    assert [one.is_open for one in came[10:]] == [False] * 14 + [True] * (MOST - 1)
    assert all(one.is_open for one in came[2:10])


def test_a_trusted_proxy_is_not_bounded(bound: PeerBound) -> None:
    assert all(opened(bound, "10.0.0.1", *(Held() for _ in range(10))))


def test_what_is_closed_makes_room_and_leaves_nothing(bound: PeerBound) -> None:
    for _ in range(10):
        one = Held()
        bound.closed(one, bound.opened(one, "192.0.2.1"))
        assert one.is_open
    assert not bound._keyless


def test_over_real_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first showed a key, the second only came: of the four after it as many as the bound stay."""
    monkeypatch.setattr(PeerBound.__init__, "__defaults__", (MOST, 0.0))
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
        for _ in range(1 + MOST):
            idle.append(open_ones.enter_context(place.connection()))
            idle[-1].sendall(asked % b"")
            assert answered(idle[-1]).startswith(b"HTTP/1.1 200"), "the newest is always served"
        assert received(idle[0]) == b"", "the oldest was closed"
        holder.sendall(asked % b"")
        assert answered(holder).startswith(b"HTTP/1.1 200"), "once shown, a key stands for the connection"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/a%20b?c=%20", "/a b", b"c=%20"),
        (b"http://x/a?c", "/a", b"c"),
        (b"http://x", "/", b""),
        (b"https://x?c=/d", "/", b"c=/d"),
        (b"/http://x", "/http://x", b""),
        (b"*", "*", b""),
    ],
)
def test_a_target_is_a_path_and_a_query(target: bytes, path: str, query: bytes) -> None:
    scope = http_scope(b"GET", target, b"1", [])
    assert (scope["path"], scope["query_string"]) == (path, query)
