"""The vectors of addresses that must never be reached, and of those that must stay reachable."""

from ipaddress import ip_address, ip_network

import pytest

from infra.outbound.ssrf_guard import is_allowed, is_local_name, is_public, literal, resolve

CLOSED = """
    0.0.0.0 0.255.255.255 10.0.0.1 10.255.255.255
    100.64.0.0 100.64.0.1 100.100.100.200 100.127.255.255
    127.0.0.1 127.255.255.254 168.63.129.16 169.254.169.254 169.254.170.2 169.254.0.1
    172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.31.196.1 192.52.193.1 192.88.99.1 192.168.1.1
    192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::127.0.0.1 ::a9fe:a9fe ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:8.8.8.8
    64:ff9b::a9fe:a9fe 64:ff9b::7f00:1 64:ff9b::10.0.0.1 64:ff9b::100.64.0.1 64:ff9b:1:: 64:ff9b:1::8.8.8.8
    100::1 100:0:0:1::1 2001::1 2001:0:7f00:1:: 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2001:1ff:ffff::1
    2002:a9fe:a9fe:: 2002:7f00:1:: 2002:808:808::1 3fff::1 3fff:fff::1 4000::1 5f00::1
    fc00::1 fd00::1 fd00:ec2::254 fd20:ce::254 fdff:ffff::1 fe80::1 fe80::1%eth0 2606:4700::1%eth0 febf::1 fec0::1
    ff02::1 ff0e::1 ffff::1
"""

OPEN = """
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 168.63.129.15 168.63.129.17
    169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.1 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
    203.0.112.255 203.0.114.0 223.255.255.255
    ::ffff:8.8.8.8 64:ff9b::808:808 64:ff9b::1.1.1.1
    2001:200::1 2001:4860:4860::8888 2003::1 2606:4700:4700::1111 2a00:1450::1 3ffe:ffff::1
"""


@pytest.mark.parametrize("address", CLOSED.split())
def test_closed(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", OPEN.split())
def test_open(address: str) -> None:
    assert is_public(ip_address(address))


def test_an_allowed_network_opens_itself_and_nothing_else() -> None:
    allow = (ip_network("10.1.0.0/16"), ip_network("fd00:1::/32"))
    inside = ("10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3", "fd00:1::5")
    outside = ("10.0.255.255", "10.2.0.0", "64:ff9b::10.1.2.3", "2002:a01:203::", "::10.1.2.3", "fd00:2::1", "8.8.8.8")
    assert all(is_allowed(ip_address(address), allow) for address in inside)
    assert not any(is_allowed(ip_address(address), allow) for address in outside)


SPELLINGS = """
    127.1 127.0.1 0 1 2130706433 0x7f000001 0x7f.0.0.1 0x7f.1 0177.0.0.1 0177.1 127.0.0.01 127.0.0.1. 08.8.8.8 0x 0x.
    256.1.1.1 1.2.3 1.2.3.4.5 a.1 a.0x1 example.0 ::1%lo fe80::1%25eth0 ::g a..b .a . -a.b a-.b a%2eb ä.de a/b a@b
"""


@pytest.mark.parametrize("host", [*SPELLINGS.split(), "", "a b", "a" * 64, ".".join(["a" * 60] * 5)])
def test_a_host_is_a_plain_address_or_a_name(host: str) -> None:
    with pytest.raises(ValueError):
        literal(host)


def test_plain_hosts() -> None:
    assert literal("8.8.8.8") == ip_address("8.8.8.8")
    assert literal("::ffff:10.0.0.1") == ip_address("10.0.0.1")
    assert literal("2606:4700::1111") == ip_address("2606:4700::1111")
    for name in (
        "example.com",
        "example.com.",
        "receiver",
        "a_b.example",
        "xn--bcher-kva.example",
        "3com.com",
        "0x.example",
    ):
        assert literal(name) is None


def test_names_of_this_machine() -> None:
    assert is_local_name("localhost")
    assert is_local_name("a.localhost")
    assert not is_local_name("notlocalhost")
    assert not is_local_name("localhost.example")


def test_the_systems_resolver_gives_addresses() -> None:
    assert resolve("127.0.0.1", 80) == [ip_address("127.0.0.1")]
    assert all(address.is_loopback for address in resolve("localhost", 80))
