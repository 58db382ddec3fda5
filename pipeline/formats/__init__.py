"""Every way to write a transcript, one file each, found by its name; `base.py` tells how to add one."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import cast

from pipeline.errors import UnsupportedValue
from pipeline.formats.base import Format


@functools.cache
def names() -> tuple[str, ...]:
    """What is offered, read from the folder once; nothing is imported."""
    return tuple(sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name != "base"))


@functools.cache
def load(name: str) -> Format:
    """The format of this name. Raises UnsupportedValue, which names those that exist."""
    if name not in names():
        offered = ", ".join(names())
        message = f"response_format '{name[:64]}' is not supported. Use one of: {offered}."
        raise UnsupportedValue(message, param="response_format")
    return cast(Format, importlib.import_module(f"{__name__}.{name}").FORMAT)
