"""Why Redis cannot be used."""

from __future__ import annotations

import contextlib

from infra.broker import JobQueue
from infra.diagnosis.fault import Fault, unreachable
from pipeline.errors import BrokerUnavailable

VARIABLE = "STENOPOOL_REDIS_URL"
PORT = 6379
_REASONS = {  # by the name of what redis-py raises
    "AuthenticationError": Fault("Redis refuses the password, or wants one", f"correct it in {VARIABLE}"),
    "AuthenticationWrongNumberOfArgsError": Fault("Redis wants no user", f"take the user out of {VARIABLE}"),
    "NoPermissionError": Fault("Redis' user may not do what is needed", "give it all commands and keys (ACL SETUSER)"),
    "BusyLoadingError": Fault("Redis is loading its data", "wait until it is ready", heals=True),
    "ReadOnlyError": Fault("this Redis is a replica that takes no writes", f"name the primary in {VARIABLE}"),
    "ResponseError": Fault("Redis has no database of that number", f"correct it in {VARIABLE}"),
    "OutOfMemoryError": Fault("Redis is full", "raise its maxmemory", heals=True),
}


def broker_fault(url: str) -> Fault | None:
    """None where it answers."""
    with contextlib.closing(JobQueue(lambda: url)) as queue:
        try:
            queue.check()
        except BrokerUnavailable as error:
            known = _REASONS.get(str(error.details.get("reason")))
            return known or unreachable("Redis", VARIABLE, url, PORT)
    return None
