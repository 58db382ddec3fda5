"""Logs: one JSON object per line with the ids, plain on a terminal, and no secret ever."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from infra.logs import HANDLER, log_context, redacted, set_up_logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _root_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    yield
    root.handlers = [handler for handler in root.handlers if handler.get_name() != HANDLER]
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_object_with_its_context() -> None:
    stream = io.StringIO()
    set_up_logs("INFO", stream=stream)
    with log_context(job_id="job_1", request_id=None), log_context(attempt=2):
        logging.getLogger("workers").info("heard %d", 3)
    logging.getLogger("workers").info("outside")
    inside, outside = lines(stream)
    assert inside["message"] == "heard 3"
    assert inside["job_id"] == "job_1"
    assert inside["attempt"] == 2
    assert inside["level"] == "INFO"
    assert str(inside["time"]).endswith("Z")
    assert "request_id" not in inside
    assert "job_id" not in outside


def test_setting_up_twice_logs_once() -> None:
    stream = io.StringIO()
    set_up_logs(stream=io.StringIO())
    set_up_logs(stream=stream)
    logging.getLogger("x").warning("once")
    assert len(lines(stream)) == 1


def test_a_terminal_gets_plain_lines() -> None:
    stream = Terminal()
    set_up_logs(stream=stream)
    with log_context(job_id="job_1"):
        logging.getLogger("workers").info("heard")
    assert stream.getvalue().endswith("INFO    workers: heard  job_id=job_1\n")


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_secrets_stay_out_even_in_tracebacks(stream: type[io.StringIO]) -> None:
    out = stream()
    set_up_logs(stream=out)
    try:
        int("Bearer abcdefghijkl refused sk-0123456789abcdef")
    except ValueError:
        logging.getLogger("x").exception("redis://:hunter2hunter2@localhost/0 whsec_c2VjcmV0c2VjcmV0")
    text = out.getvalue()
    for secret in ("abcdefghijkl", "0123456789abcdef", "hunter2hunter2", "c2VjcmV0"):
        assert secret not in text
    assert "Traceback" in text
    assert "localhost" in text


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:8080/v1/jobs", "task-abcdefgh", "12:30:45 a@b.org", "s3://bucket/prefix"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text
