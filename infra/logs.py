"""Logs: JSON on stderr for machines, plain lines on a terminal; with job and request ids, never with a secret."""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import re
import sys
import threading
import time
from collections.abc import Iterator
from functools import lru_cache
from types import TracebackType
from typing import Any, TextIO

from pythonjsonlogger.json import JsonEncoder, JsonFormatter

_CONTEXT: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("log_context")

# Our API keys and those of OpenAI-like providers, webhook secrets, bearer tokens, and passwords inside URLs.
_SECRETS = re.compile(
    r"""(?P<kept>\b(?:sk|gsk)-|\bwhsec_|\bBearer\s+)[^\s"'\\,;)]{6,} | (?P<url>://[^/\s:@]*:)[^/\s"'\\@]+(?=@)""",
    re.IGNORECASE | re.VERBOSE,
)
_SIGNS = ("sk-", "whsec_", "bearer", "://")  # one of them stands in every secret that the expression finds
HANDLER = "stenopool"


@contextlib.contextmanager
def log_context(**fields: Any) -> Iterator[None]:
    """Add fields (job_id, request_id, attempt …) to every line logged inside, in this thread or task."""
    token = _CONTEXT.set({**_CONTEXT.get({}), **{name: value for name, value in fields.items() if value is not None}})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def add_to_log(**fields: Any) -> None:
    """The same from here on, until the `log_context` around it ends: of what is known only within."""
    _CONTEXT.set({**_CONTEXT.get({}), **{name: value for name, value in fields.items() if value is not None}})


def redacted(text: str) -> str:
    """The same text with every secret cut to its prefix."""
    lower = text.lower()
    if not any(sign in lower for sign in _SIGNS):  # most lines have none, and the expression is slow to find that out
        return text
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


def log_everything() -> None:
    """Warnings and what nobody caught become lines as well: for a process that is a role, and nobody else's."""
    logging.captureWarnings(True)
    sys.excepthook = lambda kind, error, trace: _uncaught("the process", (kind, error, trace))
    threading.excepthook = lambda given: _uncaught(
        f"the thread {given.thread.name if given.thread else '?'}",
        (given.exc_type, given.exc_value or given.exc_type(), given.exc_traceback),
    )


def _uncaught(what: str, error: tuple[type[BaseException], BaseException, TracebackType | None]) -> None:
    if not issubclass(error[0], SystemExit | KeyboardInterrupt):
        logging.getLogger("stenopool").critical("%s ended on something nobody thought of", what, exc_info=error)


def _add_context(record: logging.LogRecord) -> bool:
    for name, value in _CONTEXT.get({}).items():
        record.__dict__.setdefault(name, value)
    return True


@lru_cache(maxsize=2)
def _utc(second: int) -> str:
    """Many lines are of one second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


class _Json(JsonFormatter):
    """One object per line: time in UTC, level, logger, message, and the context's fields."""

    def __init__(self) -> None:
        super().__init__(
            "{asctime}{levelname}{name}{process}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger", "process": "pid"},
            json_ensure_ascii=False,
        )
        encoder = json.JSONEncoder(ensure_ascii=False, default=JsonEncoder().default)
        self._encode = encoder.encode  # made once; the formatter's own way is to make one for every line

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's own name
        second = int(record.created)
        return f"{_utc(second)}.{int(record.msecs):03d}Z"

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        return self._encode(log_data)

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
