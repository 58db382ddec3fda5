"""The operator's settings, read once per command."""

from __future__ import annotations

import os

from infra.settings import Settings


def settings() -> Settings:
    """From STENOPOOL_* in the environment. Raises InvalidRequest naming the variable that is wrong."""
    return Settings.from_env(os.environ)
