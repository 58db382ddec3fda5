"""An account has as many connections open as its limits say; whose they are is told by the keys that they carry."""

import ipaddress

import pytest

from api.connection.account_bound import AccountBound, Place
from api.http.peers import Peers
from api.main import create_app
from pipeline.errors import LimitExceeded
from tests.api.conftest import House
from tests.api.serving import answered, received, running

LOOPBACK = Peers([ipaddress.ip_network("127.0.0.0/8")])


def request(key: str) -> bytes:
    return f"GET /v1/balance HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


def test_a_place_counts_for_one_account_at_a_time() -> None:
    bound, places = AccountBound(), [Place() for _ in range(3)]
    for place in places[:2]:
        bound.count(place, "mine", 2)
    bound.count(places[0], "mine", 2)
    with pytest.raises(LimitExceeded, match="has 2 open connections"):
        bound.count(places[2], "mine", 2)
    bound.count(places[0], "other", None)
    bound.count(places[2], "mine", 2)
    assert bound.open == {"mine": 2, "other": 1}
    for place in [*places, *places]:
        place.leave()
    assert not bound.open


def test_one_more_is_refused_and_closed(house: House) -> None:
    house.services.accounts.update(house.account_id, limits={"connections": 2})
    with running(create_app(house.services)) as place, place.connection() as first, place.connection() as third:
        with place.connection() as second:
            for _ in range(2):
                for connection in (first, second):
                    connection.sendall(request(house.key))
                    assert answered(connection).startswith(b"HTTP/1.1 200")
            third.sendall(request(house.key))
            refused = received(third)
            assert refused.startswith(b"HTTP/1.1 429") and b"connection: close" in refused
            assert b'"param": "connections", "code": "limit_exceeded"' in refused
            with place.connection() as another:
                another.sendall(request(house.other_key))
                assert answered(another).startswith(b"HTTP/1.1 200")
        with place.connection() as fourth:
            fourth.sendall(request(house.key))
            assert answered(fourth).startswith(b"HTTP/1.1 200"), "one was closed"


def test_a_trusted_proxys_connections_carry_anybodys(house: House) -> None:
    house.services.accounts.update(house.account_id, limits={"connections": 1})
    app = create_app(house.services)
    with running(app, peers=LOOPBACK) as place, place.connection() as first, place.connection() as second:
        for connection in (first, second, first):
            connection.sendall(request(house.key))
            assert answered(connection).startswith(b"HTTP/1.1 200"), "each alone while it is served"
