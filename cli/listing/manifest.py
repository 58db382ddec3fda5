"""Lists of recordings in a file: a name on each line, or a manifest that says more of each."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from pipeline.errors import InvalidRequest

STDIN = "-"
COLUMNS = ("source", "model", "language", "output", "metadata")
Line = tuple[str, dict[str, Any]]  # the source, and what the line says besides


def names_in(name: str) -> Iterator[Line]:
    """`--files-from`: a recording on each line; empty lines and those that begin with # are none. Raises InvalidRequest."""
    with _opened(name, "files-from") as lines:
        for line in lines:
            text = line.rstrip("\r\n")
            if text.strip() and not text.startswith("#"):
                yield text, {}


def lines_of(name: str) -> Iterator[Line]:
    """`--manifest`: JSONL, or CSV with a line of column names. Raises InvalidRequest, which tells the line."""
    with _opened(name, "manifest") as lines:
        rows = _csv(lines) if name.lower().endswith(".csv") else _jsonl(lines)
        for number, row in rows:
            yield _checked(number, row)


@contextmanager
def _opened(name: str, option: str) -> Iterator[TextIO]:
    if name == STDIN:
        yield sys.stdin
        return
    try:
        with Path(name).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield file
    except OSError as error:
        raise InvalidRequest(f"--{option} {name}: {error.strerror}", param=option) from error


def _jsonl(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _wrong(number, "is no JSON") from error
        if not isinstance(row, dict):
            raise _wrong(number, 'is no object such as {"source": "talk.mp3", "language": "en"}')
        yield number, row


def _csv(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(lines, restkey="more columns than names")
    for row in reader:
        given: dict[str, Any] = {name: value for name, value in row.items() if value}
        if "metadata" in given:
            given["metadata"] = _metadata(reader.line_num, given["metadata"])
        yield reader.line_num, given


def _metadata(number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _wrong(number, "has metadata that is no JSON") from error


def _checked(number: int, row: dict[str, Any]) -> Line:
    unknown = sorted(str(name) for name in row.keys() - set(COLUMNS))
    if unknown:
        raise _wrong(number, f"has {', '.join(unknown)}. Known: {', '.join(COLUMNS)}")
    metadata = row.get("metadata") or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _wrong(number, "has metadata that is no object of texts")
    given = {name: value for name, value in row.items() if name != "metadata" and value is not None}
    if not all(isinstance(value, str) for value in given.values()) or not given.get("source"):
        raise _wrong(number, "needs a `source`, and only texts")
    return given.pop("source"), given | ({"metadata": metadata} if metadata else {})


def _wrong(number: int, what: str) -> InvalidRequest:
    return InvalidRequest(f"--manifest: line {number} {what}.", param="manifest")
