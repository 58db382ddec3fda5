"""Who is at the other end: the connection's address, or the one that a trusted proxy tells.

`X-Forwarded-For` is believed from STENOPOOL_TRUSTED_PROXIES alone, and read from the right: each proxy adds the address that
it saw at the end, so the rightmost one that is no trusted proxy is the last that somebody we trust has seen. Whatever stands
left of it, anybody can have written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from starlette.types import Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NETWORK_BITS = 64  # of IPv6: what one subscriber is given at least, so that its addresses are no two peers
LONGEST_ADDRESS = 60  # characters: an IPv6 address with its brackets and port


@dataclass(frozen=True)
class Peer:
    """`name` is an IPv4 address or an IPv6 /64; `proxy` says that it is a trusted one, which stands for many."""

    name: str
    proxy: bool = False


class Peers:
    """Tells peers apart, in front of which `trusted` networks may stand."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def of_connection(self, host: str) -> Peer:
        """Whoever opened the connection; anything but an address is a peer by its name."""
        address = _address(host)
        return Peer(host) if address is None else self._peer(address)

    def of_request(self, scope: Scope) -> Peer:
        """Whoever asked, as far as it is known; takes the scheme from the proxy, too."""
        peer = self.of_connection((scope.get("client") or ("", 0))[0])
        if not peer.proxy:
            return peer
        scheme = _told(scope, b"x-forwarded-proto")[-1:]
        if scheme in (["http"], ["https"]):
            scope["scheme"] = scheme[0]
        return self._forwarded(peer, _told(scope, b"x-forwarded-for"))

    def _forwarded(self, peer: Peer, told: list[str]) -> Peer:
        for text in reversed(told):
            address = _address(text)
            if address is None:
                return peer  # the proxy wrote no address: itself is all we know
            peer = self._peer(address)
            if not peer.proxy:
                return peer
        return peer

    def _peer(self, address: Address) -> Peer:
        return Peer(_name(address), any(address in network for network in self._trusted))


def _told(scope: Scope, name: bytes) -> list[str]:
    values = b",".join(value for other, value in scope["headers"] if other == name)
    return [part.strip() for part in values.decode("latin-1").split(",") if part.strip()]


@lru_cache(4096)
def _address(text: str) -> Address | None:
    """Of `1.2.3.4`, `1.2.3.4:567`, `2001:db8::1`, `[2001:db8::1]:567`; IPv4 that is written as IPv6 is IPv4."""
    if len(text) > LONGEST_ADDRESS:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(4096)
def _name(address: Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, NETWORK_BITS), strict=False))
