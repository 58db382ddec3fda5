"""Output files that are whole or not there: a command that is stopped half way leaves nothing half written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, cast
from uuid import uuid4

from pipeline.errors import InvalidRequest


def write_whole(target: Path, blocks: Iterable[bytes], *, parts: Path | None = None) -> int:
    """Write beside the target, or in the folder `parts` of the same disk, then take its place; returns the bytes.

    Whatever is not a plain file (/dev/null, a pipe) is written to directly. Raises InvalidRequest when it cannot be written.
    """
    if target.exists() and not target.is_file():
        with _opened(target, "wb") as file:
            return sum(file.write(block) for block in blocks)
    _made(target.parent)
    beside = (parts or target.parent) / f".{uuid4().hex}.part"  # no longer than any name may be
    try:
        with _opened(beside, "xb") as file:
            written = sum(file.write(block) for block in blocks)
            file.flush()
            os.fsync(file.fileno())  # after a power cut the name stands for the whole, or for what was there before
        _take_place(beside, target)
    finally:
        beside.unlink(missing_ok=True)
    return written


def _take_place(beside: Path, target: Path) -> None:
    try:
        beside.replace(target)
    except OSError as error:
        raise _refusal(target, error) from error


def _made(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refusal(folder, error) from error


def _opened(path: Path, mode: str) -> IO[bytes]:
    try:
        return cast("IO[bytes]", path.open(mode))
    except OSError as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: OSError) -> InvalidRequest:
    return InvalidRequest(f"{path} cannot be written: {error.strerror}", param="output")
