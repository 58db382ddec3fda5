"""Who acts: whoever a door says is asking, else the user of the operating system whose process this is.

So what is done on the command line needs to say nothing, and nothing is done by nobody.
"""

from __future__ import annotations

import os
import pwd
import socket
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

ADMIN_KEY = "admin_key"  # whoever holds it: there is one, and it has no name


@dataclass(frozen=True, slots=True)
class Actor:
    """`who` and `source` are for people: a kind of key or a user, an address or a machine."""

    who: str
    source: str
    request_id: str | None = None


_ACTOR: ContextVar[Actor | None] = ContextVar("actor", default=None)


def act_as(actor: Actor) -> None:
    """From here on, in this request and in the threads that work for it."""
    _ACTOR.set(actor)


def current_actor() -> Actor:
    """Whose doing it is."""
    return _ACTOR.get() or _process()


@cache
def _process() -> Actor:
    user = _user(os.getuid())
    by = os.environ.get("SUDO_USER", "")  # who may run this as another may also lie about it: it is for honest people
    return Actor(f"user:{user} (sudo: {by[:100]})" if by else f"user:{user}", socket.gethostname())


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # as in a container that runs as a number
        return str(uid)
