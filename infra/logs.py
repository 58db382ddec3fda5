"""Logs: JSON on stderr for machines, plain lines on a terminal; with job and request ids, never with a secret."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import re
import sys
import time
from collections.abc import Iterator
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

_CONTEXT: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("log_context")

# Our API keys and those of OpenAI-like providers, webhook secrets, bearer tokens, and passwords inside URLs.
_SECRETS = re.compile(
    r"""(?P<kept>\b(?:sk|gsk)-|\bwhsec_|\bBearer\s+)[^\s"'\\,;)]{6,} | (?P<url>://[^/\s:@]*:)[^/\s"'\\@]+(?=@)""",
    re.IGNORECASE | re.VERBOSE,
)
HANDLER = "stenopool"


@contextlib.contextmanager
def log_context(**fields: Any) -> Iterator[None]:
    """Add fields (job_id, request_id, attempt …) to every line logged inside, in this thread or task."""
    token = _CONTEXT.set({**_CONTEXT.get({}), **{name: value for name, value in fields.items() if value is not None}})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def redacted(text: str) -> str:
    """The same text with every secret cut to its prefix."""
    return _SECRETS.sub(lambda match: f"{match['kept'] or match['url']}…", text)


def set_up_logs(level: str = "INFO", *, stream: TextIO | None = None) -> None:
    """Send this process' logs to stderr. Calling it again replaces what it did before."""
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.set_name(HANDLER)
    handler.addFilter(_add_context)
    handler.setFormatter(_Plain() if target.isatty() else _Json())
    root = logging.getLogger()
    root.handlers = [kept for kept in root.handlers if kept.get_name() != HANDLER] + [handler]
    root.setLevel(level.upper())
    for chatty in (
        "kombu",
        "botocore",
        "urllib3",
        "alembic",
        "celery.worker.strategy",
        "celery.app.trace",
        "httpx2",
        "httpcore2",
    ):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def _add_context(record: logging.LogRecord) -> bool:
    for name, value in _CONTEXT.get({}).items():
        record.__dict__.setdefault(name, value)
    return True


class _Json(JsonFormatter):
    """One object per line: time in UTC, level, logger, message, and the context's fields."""

    def __init__(self) -> None:
        super().__init__(
            "{asctime}{levelname}{name}{process}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger", "process": "pid"},
            json_ensure_ascii=False,
        )
        self.converter = time.gmtime
        self.default_time_format = "%Y-%m-%dT%H:%M:%S"
        self.default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


class _Plain(logging.Formatter):
    """One line for eyes, the context at its end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        context = " ".join(f"{name}={value}" for name, value in _CONTEXT.get({}).items())
        line, newline, trace = super().format(record).partition("\n")
        return redacted(f"{line}{'  ' + context if context else ''}{newline}{trace}")
