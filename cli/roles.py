"""The roles of an installation, and how each is run."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from cli.environment import settings
from infra.monitoring.listener import address_of

METRICS = "Where to listen for those who measure, besides: GET /metrics and /status, without a key. Off unless given."


GRACE_SECONDS = 30
GRACE = "Seconds for what is under way when it is told to stop; a container's own limit must be longer."


def listens(metrics: str | None) -> list[str]:
    """The words that a role is given. Raises InvalidRequest for what is no address."""
    if metrics is None:
        return []
    address_of(metrics)
    return ["--metrics", metrics]


def role_command(module: str, *words: str) -> list[str]:
    """How a role is run. -P: a folder called `api` in the user's current directory must not be taken for ours."""
    return [sys.executable, "-P", "-m", module, *words]


def become(module: str, *words: str) -> NoReturn:
    """Check the settings, then let the role take this process' place: signals reach it without a middleman."""
    settings()
    command = role_command(module, *words)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted, and this process is replaced
