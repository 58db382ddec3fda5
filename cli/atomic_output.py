"""Output files that are whole or not there: a command that is stopped half way leaves nothing half written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, cast

from pipeline.errors import InvalidRequest


def write_whole(target: Path, blocks: Iterable[bytes]) -> int:
    """Write beside the target, then take its place; returns the bytes. Raises InvalidRequest when it cannot be written.

    Whatever is not a plain file (/dev/null, a pipe) is written to directly.
    """
    if target.exists() and not target.is_file():
        with _opened(target, "wb") as file:
            return sum(file.write(block) for block in blocks)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with _opened(beside, "xb") as file:
            written = sum(file.write(block) for block in blocks)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return written


def _opened(path: Path, mode: str) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return cast("IO[bytes]", path.open(mode))
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written: {error.strerror}", param="output") from error
