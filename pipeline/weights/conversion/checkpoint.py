"""A checkpoint of torch, read as data: its tensors by name, and nothing in it can run.

It is an archive of a pickle and of raw numbers. The pickle may name any function of any library and have it called; here the few
names that tensors are written with are known, and every other one stands for a thing that does nothing.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[np.float32]]
_PICKLE = "/data.pkl"
_FLOATS = "FloatStorage"
_MOST = 1 << 28  # numbers of one tensor; a header that tells more is no model of ours
_FAILURES = (
    zipfile.BadZipFile, pickle.UnpicklingError, KeyError, ValueError, TypeError, IndexError, AttributeError, EOFError,
    RecursionError,
)  # fmt: skip


class CheckpointUnreadable(Exception):
    """What was given is no checkpoint, or not one of tensors."""


class _Stored(NamedTuple):
    """Where a tensor's numbers are."""

    key: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Inert:
    """Whatever else the pickle names: made with anything, called with anything, and nothing comes of it."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __call__(self, *_: object, **__: object) -> _Inert:
        return self

    def __setstate__(self, _: object) -> None: ...


def tensors(content: bytes) -> Tensors:
    """All tensors of floats, by their names. Raises CheckpointUnreadable."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            root = next(name for name in archive.namelist() if name.endswith(_PICKLE)).removesuffix(_PICKLE)
            told = _Reader(io.BytesIO(archive.read(f"{root}{_PICKLE}"))).load()
            return {name: _numbers(archive, root, one) for name, one in _named(told)}
    except (*_FAILURES, StopIteration) as error:
        raise CheckpointUnreadable(f"it cannot be read as a checkpoint ({type(error).__name__}: {error})") from error


class _Reader(pickle.Unpickler):
    """Knows how tensors and tables are written, and no name besides."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _stored
        return _FloatStorage if (module, name) == ("torch", _FLOATS) else _Inert

    def persistent_load(self, pid: Any) -> Any:
        """A reference to a member of the archive: its kind and its name."""
        return (pid[1], str(pid[2]))


class _FloatStorage(_Inert):
    """Stands for numbers of four bytes."""


def _stored(storage: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> Any:
    """Of numbers that are no floats nothing is wanted: they count batches."""
    kind, key = storage
    return _Stored(key, offset, tuple(shape), tuple(strides)) if kind is _FloatStorage else None


def _named(told: Any) -> Iterator[tuple[str, _Stored]]:
    """Those of the outermost table, or of its `state_dict`."""
    table = told.get("state_dict", told) if isinstance(told, dict) else {}
    return ((str(name), one) for name, one in table.items() if isinstance(one, _Stored))


def _numbers(archive: zipfile.ZipFile, root: str, one: _Stored) -> NDArray[np.float32]:
    """A copy in the usual order. Raises ValueError for what does not lie within its member."""
    content = np.frombuffer(archive.read(f"{root}/data/{one.key}"), "<f4")
    if any(size < 0 for size in (*one.shape, *one.strides)) or math.prod(one.shape) > _MOST:
        raise ValueError("a tensor's shape is none")
    last = one.offset + sum((size - 1) * step for size, step in zip(one.shape, one.strides, strict=True))
    if 0 in one.shape or not 0 <= one.offset <= last < len(content):
        raise ValueError("a tensor lies outside of its numbers")
    view = np.lib.stride_tricks.as_strided(content[one.offset :], one.shape, [4 * step for step in one.strides])
    return np.ascontiguousarray(view, np.float32)
