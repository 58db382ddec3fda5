"""Checkpoints as torch writes them, without torch; and such as only an attacker would."""

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest


class _Tensor:
    """Pickled as a call of torch's own function."""

    def __init__(self, storage: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> None:
        self._given = storage, offset, shape, strides

    def __reduce__(self) -> Any:
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (*self._given, False, OrderedDict())


class _Storage:
    def __init__(self, key: str, kind: str, count: int) -> None:
        self.told = key, kind, count


class _Pickler(pickle.Pickler):
    def persistent_id(self, one: Any) -> Any:
        if not isinstance(one, _Storage):
            return None
        key, kind, count = one.told
        return ("storage", getattr(sys.modules["torch"], kind), key, "cpu", count)


def fake_torch(patch: pytest.MonkeyPatch) -> None:
    """Names that a pickle can refer to; nobody who reads it needs them."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for kind in ("FloatStorage", "LongStorage"):
        setattr(torch, kind, type(kind, (), {"__module__": "torch"}))

    def rebuild(*_: object) -> None: ...

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    vars(utils)["_rebuild_tensor_v2"] = rebuild
    patch.setitem(sys.modules, "torch", torch)
    patch.setitem(sys.modules, "torch._utils", utils)


def checkpoint(tables: Mapping[str, np.ndarray], *, below: str = "", besides: Any = None) -> bytes:
    """A file with these tensors; `below` a key of the outermost table, beside which there is something else."""
    told: dict[str, Any] = OrderedDict()
    numbers: dict[str, bytes] = {}
    for key, (name, table) in enumerate(tables.items()):
        kind = "LongStorage" if table.dtype.kind == "i" else "FloatStorage"
        steps = tuple(step // table.itemsize for step in table.strides)
        told[name] = _Tensor(_Storage(str(key), kind, table.size), table.shape, steps, 0)
        numbers[str(key)] = np.asarray(table, table.dtype.newbyteorder("<")).tobytes(order="A")
    return archive({below: told, "others": besides} if below else told, numbers)


def archive(told: Any, numbers: Mapping[str, bytes]) -> bytes:
    """The zip file of a pickle and of raw numbers."""
    memory, written = io.BytesIO(), io.BytesIO()
    _Pickler(memory, protocol=2).dump(told)
    with zipfile.ZipFile(written, "w") as whole:
        whole.writestr("archive/data.pkl", memory.getvalue())
        for key, content in numbers.items():
            whole.writestr(f"archive/data/{key}", content)
    return written.getvalue()
