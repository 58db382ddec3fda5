"""A voice of a kilobyte that has Kokoro's inputs, styles and vocabulary: a tone as high as its style, as long as its phonemes.

The ONNX file is written field by field, as protobuf wants it: the package that could do so is large, and nothing else needs it.
"""

import json
import math
import struct
from pathlib import Path

import numpy as np

from pipeline.kokoro.folder import MODEL, SAMPLE_RATE, STYLES, VOCABULARY
from pipeline.kokoro.voices import STYLES as NAMES

SAMPLES_EACH = 1700  # of each phoneme, and of the marks of begin and end
PITCHES = dict(zip(NAMES, (280.0, 235.0, 247.0, 327.0, 96.0), strict=True))  # Hz
_LETTERS = (*map(chr, range(0x20, 0x7F)), *map(chr, range(0x250, 0x2E9)), *"æðŋθ—…ᵊᵻ")  # ASCII, and IPA's own blocks
_FLOAT, _INT64 = 1, 7


def build(folder: Path) -> Path:
    """Write it."""
    folder.mkdir(parents=True)
    (folder / MODEL).write_bytes(_model())
    styles = {name: np.full((510, 1, 256), 2 * math.pi * hertz / SAMPLE_RATE, "f4") for name, hertz in PITCHES.items()}
    with (folder / STYLES).open("wb") as file:
        np.savez_compressed(file, **styles)
    numbers = {letter: place for place, letter in enumerate(_LETTERS, start=1)}
    (folder / VOCABULARY).write_text(json.dumps({"vocab": numbers}))
    return folder


def _model() -> bytes:
    nodes = (
        _node("Shape", ("tokens",), "shape"),
        _node("Gather", ("shape", "one"), "phonemes"),
        _node("Cast", ("phonemes",), "as float", to=_FLOAT),
        _node("Mul", ("as float", "samples each"), "at speed 1"),
        _node("Squeeze", ("speed",), "how fast"),
        _node("Div", ("at speed 1", "how fast"), "length"),
        _node("Cast", ("length",), "samples", to=_INT64),
        _node("Range", ("zero", "samples", "one"), "places"),
        _node("Cast", ("places",), "times", to=_FLOAT),
        _node("ReduceMean", ("style",), "turn", keepdims=0),
        _node("Mul", ("times", "turn"), "angle"),
        _node("Sin", ("angle",), "tone"),
        _node("Mul", ("tone", "loudness"), "audio"),
    )
    constants = (
        _constant("zero", _INT64, struct.pack("<q", 0)),
        _constant("one", _INT64, struct.pack("<q", 1)),
        _constant("samples each", _FLOAT, struct.pack("<f", SAMPLES_EACH)),
        _constant("loudness", _FLOAT, struct.pack("<f", 0.3)),
    )
    graph = b"".join(_bytes(1, node) for node in nodes) + _text(2, "tiny")
    graph += b"".join(_bytes(5, constant) for constant in constants)
    graph += b"".join(
        _bytes(11, _value(name, kind, *shape))
        for name, kind, *shape in (("tokens", _INT64, 1, "n"), ("style", _FLOAT, 1, 256), ("speed", _FLOAT, 1))
    )
    graph += _bytes(12, _value("audio", _FLOAT, "samples"))
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _text(1, "") + _number(2, 13))


def _node(kind: str, given: tuple[str, ...], result: str, **numbers: int) -> bytes:
    told = b"".join(_text(1, name) for name in given) + _text(2, result) + _text(4, kind)
    for name, number in numbers.items():
        told += _bytes(5, _text(1, name) + _number(3, number) + _number(20, 2))
    return told


def _constant(name: str, kind: int, raw: bytes) -> bytes:
    return _number(2, kind) + _text(8, name) + _bytes(9, raw)


def _value(name: str, kind: int, *shape: int | str) -> bytes:
    sizes = b"".join(_bytes(1, _text(2, size) if isinstance(size, str) else _number(1, size)) for size in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, sizes)))


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _number(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _varint(number: int) -> bytes:
    told = bytearray()
    while number > 0x7F:
        told.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*told, number))
