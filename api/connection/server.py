"""The HTTP server's own manners: what happens before our application sees a request."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import time
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
# A connection that is kept alive may have a request on its way to us. It is answered, not hung up on, until whoever keeps it has
# had the time to look at our readiness: a third of the grace, and no more than this.
LINGER_SECONDS = 10.0
LOOK_SECONDS = 0.1  # until a second Ctrl-C is noticed
LAST_WORDS = 1  # seconds for those whose grace has run out to say so, and again for the connections to close


class DrainingServer(uvicorn.Server):
    """Finishes what is running before it closes its port: until then whoever comes is told that it stops, not refused."""

    def __init__(self, config: uvicorn.Config, grace: float) -> None:
        super().__init__(config)
        self._grace = grace

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app = self.config.app
        context = getattr(app.state, "context", None) if isinstance(app, FastAPI) else None
        if context is not None:
            context.stop_waiting()
        await self._drain(set(self.server_state.tasks))
        await super().shutdown(sockets)

    async def _drain(self, running: set[asyncio.Task[None]]) -> None:
        linger = time.monotonic() + min(LINGER_SECONDS, self._grace / 3)
        for connection in self.server_state.connections:
            cast(TimeoutProtocol, connection).end_after_answer()
        cut_off = await self._unfinished(running, self._grace)
        for task in cut_off:
            task.cancel()
        await self._unfinished(cut_off, LAST_WORDS)
        await self._linger(linger)

    async def _linger(self, until: float) -> None:
        """As long as somebody is connected."""
        for _ in range(math.ceil((until - time.monotonic()) / LOOK_SECONDS)):
            if not self.server_state.connections or self.force_exit:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _unfinished(self, running: set[asyncio.Task[None]], seconds: float) -> set[asyncio.Task[None]]:
        """Who of them has not ended within that time, or when whoever stops us loses patience."""
        until = time.monotonic() + seconds
        while running and time.monotonic() < until and not self.force_exit:
            _, running = await asyncio.wait(running, timeout=min(LOOK_SECONDS, until - time.monotonic()))
        return running

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """To be asked to stop and to have stopped is a success: the signal is not raised once more at the end."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def server(
    app: FastAPI, *, host: str, port: int, grace: int = GRACE_SECONDS, peers: Peers | None = None
) -> DrainingServer:
    """A server that is not running yet; `grace` in seconds, for running requests when it is asked to stop; `peers` tells whose
    connections count together.
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
        timeout_graceful_shutdown=LAST_WORDS,
    )
    return DrainingServer(config, grace)
