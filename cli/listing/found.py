"""A recording that was found, and what could not be looked into."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import StenopoolError

BUCKET = "s3://"
ZIP = "zip://"


class SourceMissing(StenopoolError):
    """The recording is no longer there, or cannot be read."""

    code = "source_missing"


@dataclass(frozen=True, slots=True)
class Found:
    """`name`: its path below its source, as reports tell it; `place`: where it is, a path, `s3://bucket/key` or `zip://archive!member`.

    `size` in bytes, `modified` in epoch seconds; `own` is what a manifest's line says of it.
    """

    name: str
    place: str
    size: int
    modified: float
    own: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A file or folder that is left out. `harmless`: nothing is missed by that."""

    name: str
    code: str
    message: str
    harmless: bool = False


def is_file(place: str) -> bool:
    """Whether it is a file of its own on this machine."""
    return not place.startswith((BUCKET, ZIP))


Listed = Iterator[Found | Trouble]


def shown(name: str) -> str:
    """A name of any bytes as text that can be written anywhere."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
