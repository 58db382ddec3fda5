"""The HTTP server's own manners: what happens before our application sees a request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial
from typing import cast

import uvicorn
from fastapi import FastAPI

from api.connection.descriptor_bound import DescriptorBound, connections_within
from api.connection.peer_bound import PeerBound
from api.connection.protocol import TimeoutProtocol
from api.http.peers import Peers

KEEP_ALIVE_SECONDS = 65  # longer than the usual proxy's 60, so that it is never us who closes first
GRACE_SECONDS = 3  # for running requests when the server is asked to stop


class _Server(uvicorn.Server):
    """Tells the application before it waits for running requests, so that those who only wait themselves end at once."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app = self.config.app
        context = getattr(app.state, "context", None) if isinstance(app, FastAPI) else None
        if context is not None:
            context.stop_waiting()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """To be asked to stop and to have stopped is a success: the signal is not raised once more at the end."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def server(
    app: FastAPI, *, host: str, port: int, grace: int = GRACE_SECONDS, peers: Peers | None = None
) -> uvicorn.Server:
    """A server that is not running yet; `grace` in seconds; `peers` tells whose connections count together.
    Logs go to whatever the process has set up."""
    descriptors = DescriptorBound(connections_within())
    protocol = partial(TimeoutProtocol, bound=PeerBound(peers or Peers()), descriptors=descriptors)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=cast(type[asyncio.Protocol], protocol),
        ws="none",
        proxy_headers=False,  # api/http/peers.py believes fewer
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=grace,
    )
    return _Server(config)
