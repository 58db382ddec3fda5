"""Which URLs of a caller we go to: read strictly, and every address behind the name has to pass."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

import httpx2
import psutil

from infra.outbound.ssrf_guard import (
    LOOPBACK,
    Address,
    Network,
    is_allowed,
    is_local_name,
    is_public,
    literal,
    resolve,
    unmapped,
)
from pipeline.errors import OutboundRefused

Resolver = Callable[[str, int], Sequence[Address]]

PUBLIC_PORTS = frozenset(
    {80, 443, 8080, 8443}
)  # elsewhere on the internet are mail servers and databases, not receivers
MAX_URL = 4096
_BAD_PORT = f"The URL's port must be one of {', '.join(map(str, sorted(PUBLIC_PORTS)))}."
NOT_OPEN = (
    "The URL points to an address that may not be reached from here: loopback and private networks are closed, except those "
    "that the server's operator opens with STENOPOOL_OUTBOUND_ALLOW."
)
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\\]")


class NoSuchHost(Exception):
    """The name has no address."""


def own_addresses() -> set[Address]:
    """The addresses of this machine's interfaces: what listens there is not for callers, though it may look public."""
    return {
        ip_address(entry.address.partition("%")[0])
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family.name in ("AF_INET", "AF_INET6")
    }


def refused(message: str | None = None) -> OutboundRefused:
    """The error for a URL. It never tells an address: that may be what an internal name resolves to."""
    return OutboundRefused(message, param="url")


class UrlPolicy:
    """The rules in force. `allow` opens networks besides the public internet, on any port."""

    def __init__(
        self,
        allow: Iterable[Network],
        allow_http: bool,
        resolver: Resolver = resolve,
        own: Callable[[], set[Address]] = own_addresses,
    ) -> None:
        self._allow = tuple(allow)
        self._schemes = ("https", "http") if allow_http else ("https",)
        self._resolver = resolver
        self._own = own

    def parsed(self, url: str) -> httpx2.URL:
        """The URL, normalised, if nothing is wrong with it that can be seen without a name server. Raises OutboundRefused."""
        if len(url) > MAX_URL or _UNPRINTABLE.search(url):
            raise refused("The URL is too long, or has blanks, control characters or backslashes in it.")
        try:
            parsed = httpx2.URL(url)
            host = parsed.raw_host.decode("ascii").lower()
            address = literal(host)
        except (httpx2.InvalidURL, ValueError) as error:
            raise refused("The URL is not valid: a plain host name or address is needed.") from error
        if parsed.scheme not in self._schemes:
            raise refused(f"The URL must begin with {' or '.join(f'{name}://' for name in self._schemes)}")
        if parsed.userinfo:
            raise refused("The URL must not have a user name or password in it.")
        host = host.removesuffix(".")
        self._check_place(host, address, port_of(parsed))
        return parsed.copy_with(host=host, fragment=None)

    async def addresses(self, url: httpx2.URL) -> list[Address]:
        """Where to connect for a URL that `parsed` gave: its host's addresses, after every one of them has passed.

        Raises OutboundRefused and NoSuchHost.
        """
        host, port = url.raw_host.decode("ascii"), port_of(url)
        address = literal(host)
        if address is None and is_local_name(host):
            return self._local()
        found = [address] if address is not None else await self._looked_up(host, port)
        for each in found:
            self._check_address(each, port)
        return found

    def _check_place(self, host: str, address: Address | None, port: int) -> None:
        if not 0 < port < 1 << 16:
            raise refused("The URL's port is not valid.")
        if address is not None:
            self._check_address(address, port)
        elif is_local_name(host):
            self._local()
        elif port not in PUBLIC_PORTS and not self._allow:
            raise refused(_BAD_PORT)

    def _check_address(self, address: Address, port: int) -> None:
        if is_allowed(address, self._allow):
            return
        if not is_public(address) or address in self._own():
            raise refused(NOT_OPEN)
        if port not in PUBLIC_PORTS:
            raise refused(_BAD_PORT)

    def _local(self) -> list[Address]:
        """This machine's loopback addresses, those that are allowed."""
        found: list[Address] = [address for address in LOOPBACK if is_allowed(address, self._allow)]
        if not found:
            raise refused(NOT_OPEN)
        return found

    async def _looked_up(self, host: str, port: int) -> list[Address]:
        """Resolve in a thread of its own: the system's lookup cannot be interrupted, only left alone until it ends."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Address]] = loop.create_future()

        def settle(found: list[Address], trouble: Exception | None) -> None:
            if answer.done():
                return
            if found:
                answer.set_result(found)
            else:
                answer.set_exception(NoSuchHost(str(trouble)))

        def look() -> None:
            found: list[Address] = []
            trouble: Exception | None = None
            try:
                found = [unmapped(address) for address in self._resolver(host, port)]
            except (OSError, ValueError) as error:
                trouble = error
            with suppress(RuntimeError):  # the deadline has passed and the loop is closed
                loop.call_soon_threadsafe(settle, found, trouble)

        threading.Thread(target=look, name="lookup", daemon=True).start()
        return await answer


def port_of(url: httpx2.URL) -> int:
    """The port a URL means, in http's and https's own numbers where it names none."""
    return url.port if url.port is not None else {"http": 80}.get(url.scheme, 443)


def shown_url(url: str) -> str:
    """A URL as it may be shown: without the parts that may be secret (user, query, fragment)."""
    parts = urlsplit(url)
    host = parts.netloc.rsplit("@", maxsplit=1)[-1]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
