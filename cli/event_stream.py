"""The account's events as a server tells them, over a connection that is taken up again when it breaks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import httpx2

from cli.client import Client
from cli.exits import ApiAway, ApiRefused
from cli.output import remark

PAUSES = (1.0, 2.0, 5.0, 10.0)  # seconds before the next try; the last one again and again
LISTENING = "listening"


@dataclass(frozen=True)
class ServerEvent:
    """`id` and `name` are empty where the server said none; `data` as it said it."""

    id: str
    name: str
    data: str


def read_events(lines: Iterable[str]) -> Iterator[ServerEvent]:
    """Server-sent events out of their lines: https://html.spec.whatwg.org/multipage/server-sent-events.html"""
    held: dict[str, list[str]] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            held.setdefault(name, []).append(value.removeprefix(" "))
        elif "data" in held:
            yield ServerEvent(held.get("id", [""])[-1], held.get("event", [""])[-1], "\n".join(held["data"]))
            held = {}


def follow(client: Client, event_types: str | None) -> Iterator[ServerEvent]:
    """The events from now on, for ever. The first one of each connection is `listening`. Raises ApiAway where nobody answers at
    first, ApiRefused."""
    listener: str | None = None
    tries = 0
    while True:
        try:
            with client.webhook_events(events=event_types, listener=listener) as lines:
                for event in read_events(lines):
                    tries = 0
                    if event.name == LISTENING:
                        listener = str(json.loads(event.data)["id"])
                    yield event
        except (ApiAway, ApiRefused) as error:
            if listener is None or not _may_pass(error):
                raise
        pause = PAUSES[min(tries, len(PAUSES) - 1)]
        tries += 1
        remark(f"the connection ended; it is taken up again in {pause:g} s")
        time.sleep(pause)


def _may_pass(error: ApiAway | ApiRefused) -> bool:
    """Whether to ask again makes sense."""
    if not isinstance(error, ApiRefused):
        return True
    status = int(error.details["status"])
    return status == httpx2.codes.TOO_MANY_REQUESTS or status >= httpx2.codes.INTERNAL_SERVER_ERROR
