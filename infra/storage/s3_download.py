"""An object's bytes to their end, however often the connection breaks on the way."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

from infra.storage.base import BLOCK_BYTES
from infra.storage.s3_errors import VENDOR_ERRORS, translated

RESUMES = 3  # how often in a row a broken download is taken up again where it broke

Opened = tuple[Any, int, str]  # a body, the whole object's size, and its version
Open = Callable[[int, str | None], Opened]  # from this byte on, of this version if one is known


def resumed(open_at: Open, offset: int = 0, etag: str | None = None) -> Generator[bytes, None, None]:
    """Those from `offset` on, in blocks of at most 1 MiB, all of one version. Raises as `open_at`, and StorageUnavailable."""
    failures = 0
    while True:
        body, total, etag = open_at(offset, etag)
        try:
            with closing(body):
                for block in body.iter_chunks(BLOCK_BYTES):
                    offset, failures = offset + len(block), 0
                    yield block
            return
        except VENDOR_ERRORS as error:
            failures += 1
            if offset == total:
                return
            if failures > RESUMES:
                raise translated(error) from error
