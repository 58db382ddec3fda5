"""Which addresses on the network a caller's URL may reach.

Public unicast addresses, and the networks an operator opened. Python's own `is_global` is not enough: it lets pass what embeds
a private IPv4 address (NAT64, 6to4, IPv4-compatible), multicast, and the cloud's own services on public-looking addresses.
So for IPv6 the list says what is allowed, for IPv4 what is not, both after IANA's special-purpose registries:
https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/iana-ipv6-special-registry
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

CLOSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata service is in it
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's wire server, on a public-looking address
        "169.254.0.0/16",  # link local; most clouds' metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata service
        "192.0.2.0/24",  # documentation, like the next two of /24
        "198.51.100.0/24",
        "203.0.113.0/24",
        "192.31.196.0/24",  # AS112 and AMT: anycast to whoever is near
        "192.52.193.0/24",
        "192.175.48.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
OPEN_V6 = IPv6Network("2000::/3")  # all of the global unicast space that was ever given out
CLOSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",  # documentation
    )
)
NAT64 = IPv6Network("64:ff9b::/96")  # an IPv4 address on a network that only speaks IPv6: judged by that one
LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_NAME = 253  # characters, RFC 1035


def unmapped(address: Address) -> Address:
    """The IPv4 address that ``::ffff:a.b.c.d`` really is; any other as it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_public(address: Address) -> bool:
    """Whether it is a unicast address of the public internet."""
    address = unmapped(address)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in CLOSED_V4)
    if address in NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in OPEN_V6 and address.scope_id is None and not any(address in network for network in CLOSED_V6)


def is_allowed(address: Address, allow: Iterable[Network]) -> bool:
    """Whether an operator opened a network that has it."""
    address = unmapped(address)
    return any(address.version == network.version and address in network for network in allow)


def is_local_name(host: str) -> bool:
    """Whether the name means this machine, whatever a name server says (RFC 6761)."""
    return host == "localhost" or host.endswith(".localhost")


def literal(host: str) -> Address | None:
    """The address that a URL's host is; None for a name. Raises ValueError for what is neither.

    Only the plain spelling of an address is taken. Systems also resolve ``127.1``, ``2130706433``, ``0x7f000001`` and octal
    numbers: no name ends in a number, so whatever does and is not plain is refused.
    """
    if ":" in host:
        if "%" in host:
            raise ValueError("a URL cannot name a network interface")
        return unmapped(IPv6Address(host))
    labels = host.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return IPv4Address(host)
    if len(host) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("not a host name")
    return None


def resolve(host: str, port: int) -> list[Address]:
    """Every address the system's resolver knows for a name, in its order. Blocks. Raises OSError, UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(sockaddr[0]) for *_, sockaddr in found if isinstance(sockaddr[0], str)]
