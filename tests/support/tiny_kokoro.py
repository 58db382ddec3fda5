"""A voice of a kilobyte that has Kokoro's inputs, styles and vocabulary: a tone as high as its style, as long as its phonemes.

The ONNX file is written field by field, as protobuf wants it.
"""

import json
import math
import struct
from pathlib import Path

import numpy as np

from pipeline.kokoro.folder import MODEL, SAMPLE_RATE, STYLES, VOCABULARY
from pipeline.kokoro.voices import STYLES as NAMES
from pipeline.weights.conversion.protobuf import message, number, text

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
    graph = b"".join(message(1, node) for node in nodes) + text(2, "tiny")
    graph += b"".join(message(5, constant) for constant in constants)
    graph += b"".join(
        message(11, _value(name, kind, *shape))
        for name, kind, *shape in (("tokens", _INT64, 1, "n"), ("style", _FLOAT, 1, 256), ("speed", _FLOAT, 1))
    )
    graph += message(12, _value("audio", _FLOAT, "samples"))
    return number(1, 8) + message(7, graph) + message(8, text(1, "") + number(2, 13))


def _node(kind: str, given: tuple[str, ...], result: str, **attributes: int) -> bytes:
    told = b"".join(text(1, name) for name in given) + text(2, result) + text(4, kind)
    for name, value in attributes.items():
        told += message(5, text(1, name) + number(3, value) + number(20, 2))
    return told


def _constant(name: str, kind: int, raw: bytes) -> bytes:
    return number(2, kind) + text(8, name) + message(9, raw)


def _value(name: str, kind: int, *shape: int | str) -> bytes:
    sizes = b"".join(message(1, text(2, size) if isinstance(size, str) else number(1, size)) for size in shape)
    return text(1, name) + message(2, message(1, number(1, kind) + message(2, sizes)))
