"""Whose request it is, where proxies stand in between and strangers write headers."""

import ipaddress

import pytest

from api.http.peers import Peer, Peers

TRUSTED = [ipaddress.ip_network(one) for one in ("10.0.0.0/8", "2001:db8:ffff::/48")]


def peer(client: str, *forwarded: str, proto: str = "") -> tuple[Peer, str]:
    fields = [(b"x-forwarded-for", one.encode("latin-1")) for one in forwarded]
    fields += [(b"x-forwarded-proto", proto.encode())] if proto else []
    scope = {"client": (client, 1), "headers": fields, "scheme": "http"}
    return Peers(TRUSTED).of_request(scope), scope["scheme"]


@pytest.mark.parametrize(
    ("client", "forwarded", "name"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.1.1.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.1.1", ["192.0.2.66, 198.51.100.1"], "198.51.100.1"),
        ("10.1.1.1", ["192.0.2.66, 198.51.100.1, 10.2.2.2"], "198.51.100.1"),
        ("10.1.1.1", ["192.0.2.66", "198.51.100.1", "10.2.2.2"], "198.51.100.1"),
        ("10.1.1.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.1.1.1", ["192.0.2.66, rubbish"], "10.1.1.1"),
        ("10.1.1.1", ["x" * 5000], "10.1.1.1"),
        ("10.1.1.1", ["\xe4"], "10.1.1.1"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("10.1.1.1", ["10.3.3.3"], "10.3.3.3"),
        ("::ffff:10.1.1.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("2001:db8:ffff::1", ["[2001:db8:1:2::9]:443"], "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("testclient", ["198.51.100.1"], "testclient"),
    ],
)
def test_the_rightmost_address_that_is_no_trusted_proxy(client: str, forwarded: list[str], name: str) -> None:
    assert peer(client, *forwarded)[0].name == name


def test_a_trusted_proxy_is_known_as_one() -> None:
    assert peer("10.1.1.1")[0].proxy
    assert not peer("10.1.1.1", "198.51.100.1")[0].proxy
    assert not Peers().of_connection("10.1.1.1").proxy


@pytest.mark.parametrize(
    ("client", "proto", "scheme"),
    [("10.1.1.1", "https", "https"), ("203.0.113.9", "https", "http"), ("10.1.1.1", "javascript", "http")],
)
def test_the_scheme_is_a_trusted_proxys_word(client: str, proto: str, scheme: str) -> None:
    assert peer(client, proto=proto)[1] == scheme
