"""A graph of operators as ONNX has it, written field by field: the package that could do so is large, and nothing else needs it.

The same graph is always the same bytes, so that what comes of a conversion has a hash that can be published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.weights.conversion.protobuf import message, number, text

_OPSET, _IR = 17, 8
_FLOAT, _INT64 = 1, 7
_OF_INT, _OF_TEXT, _OF_INTS = 2, 3, 7  # kinds of attribute

Attribute = int | str | Sequence[int]


class Graph:
    """Nodes in the order in which they are added; each returns its result's name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[bytes] = []
        self._weights: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []
        self._count = 0

    def given(self, name: str, *shape: int | str) -> str:
        """An input of floats; a size that is a word may be any."""
        self._inputs.append(_value(name, shape))
        return name

    def gives(self, name: str, result: str, *shape: int | str) -> None:
        """An output of floats."""
        self._nodes.append(_node("Identity", (result,), name, {}))
        self._outputs.append(_value(name, shape))

    def weight(self, numbers: NDArray[np.float32]) -> str:
        """A constant tensor of floats."""
        return self._constant(_FLOAT, numbers.shape, np.asarray(numbers, "<f4").tobytes())

    def whole(self, *numbers: int) -> str:
        """A constant list of whole numbers."""
        return self._constant(_INT64, (len(numbers),), np.asarray(numbers, "<i8").tobytes())

    def add(self, kind: str, *given: str, **attributes: Attribute) -> str:
        """One operator with one result."""
        result = self._fresh()
        self._nodes.append(_node(kind, given, result, attributes))
        return result

    def file(self) -> bytes:
        """The whole model."""
        graph = b"".join(message(1, node) for node in self._nodes) + text(2, self._name)
        graph += b"".join(message(5, weight) for weight in self._weights)
        graph += b"".join(message(11, one) for one in self._inputs) + b"".join(
            message(12, one) for one in self._outputs
        )
        return number(1, _IR) + message(7, graph) + message(8, text(1, "") + number(2, _OPSET))

    def _constant(self, kind: int, shape: Sequence[int], raw: bytes) -> str:
        name = self._fresh()
        sizes = b"".join(number(1, size) for size in shape)
        self._weights.append(sizes + number(2, kind) + text(8, name) + message(9, raw))
        return name

    def _fresh(self) -> str:
        self._count += 1
        return str(self._count)


def _node(kind: str, given: Sequence[str], result: str, attributes: Mapping[str, Attribute]) -> bytes:
    told = b"".join(text(1, name) for name in given) + text(2, result) + text(4, kind)
    return told + b"".join(message(5, text(1, name) + _attribute(value)) for name, value in attributes.items())


def _attribute(value: Attribute) -> bytes:
    if isinstance(value, int):
        return number(3, value) + number(20, _OF_INT)
    if isinstance(value, str):
        return text(4, value) + number(20, _OF_TEXT)
    return b"".join(number(8, one) for one in value) + number(20, _OF_INTS)


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    sizes = b"".join(message(1, text(2, size) if isinstance(size, str) else number(1, size)) for size in shape)
    return text(1, name) + message(2, message(1, number(1, _FLOAT) + message(2, sizes)))
