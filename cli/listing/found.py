"""A recording that was found, and what could not be looked into."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

BUCKET = "s3://"


@dataclass(frozen=True, slots=True)
class Found:
    """`name`: its path below its source, as reports tell it; `place`: where it is, a path or `s3://bucket/key`.

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


Listed = Iterator[Found | Trouble]


def shown(name: str) -> str:
    """A name of any bytes as text that can be written anywhere."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
