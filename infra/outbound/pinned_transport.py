"""A transport that connects to addresses which were checked, and calls the host by its name all the same."""

from __future__ import annotations

import ssl
from typing import Any

import httpx2

from infra.outbound.ssrf_guard import Address
from infra.outbound.url_policy import NoSuchHost, UrlPolicy


class PinnedTransport(httpx2.AsyncBaseTransport):
    """Resolves and checks once for each request, so nothing can change between the check and the connection."""

    def __init__(self, policy: UrlPolicy, tls: ssl.SSLContext) -> None:
        self._policy = policy
        none_kept = httpx2.Limits(max_keepalive_connections=0)
        self._inner = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=none_kept)
        self._connected: list[Any] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        places = await self._policy.addresses(request.url)
        for left, address in enumerate(places, start=1 - len(places)):
            try:
                return await self._inner.handle_async_request(self._pinned(request, address))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):  # nothing was sent yet
                if not left:
                    raise
        raise NoSuchHost

    async def aclose(self) -> None:
        await self._inner.aclose()
        for stream in self._connected:
            await stream.aclose()

    def _pinned(self, request: httpx2.Request, address: Address) -> httpx2.Request:
        name = request.url.raw_host.decode("ascii")
        return httpx2.Request(
            request.method,
            request.url.copy_with(host=str(address)),
            headers=request.headers,  # the Host among them was made from the name
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": name, "trace": self._note},
        )

    async def _note(self, event: str, info: dict[str, Any]) -> None:
        """Remember every connection: the client forgets to close one that the deadline ends in its handshake."""
        if event == "connection.connect_tcp.complete":
            self._connected.append(info["return_value"])
