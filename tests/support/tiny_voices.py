"""A voices' model of a kilobyte: it knows the oracle's speakers by the pitch of their hum, and is read by the real runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.weights.conversion.onnx_graph import Graph
from pipeline.weights.description import Weights
from pipeline.weights.voices import MODEL
from tests.support.weights import described

NAME = "speakers"
FRAMES, FILTERS, LOW = 148, 80, 16  # the lowest filters, in which nothing but the hum is heard


def build(folder: Path) -> Path:
    """Write it: how much each of the lowest filters rises and falls in a window, against their mean."""
    graph = Graph("tiny")
    features = graph.given("features", "windows", FRAMES, FILTERS)
    pick = np.zeros((FILTERS, LOW), np.float32)
    pick[:LOW] = np.eye(LOW)
    low = graph.add("MatMul", features, graph.weight(pick))
    power = graph.add("ReduceMean", graph.add("Mul", low, low), axes=(1,), keepdims=0)
    off = graph.add("Sub", power, graph.add("ReduceMean", power, axes=(1,), keepdims=1))
    graph.gives("voices", off, "windows", LOW)
    folder.mkdir(parents=True)
    (folder / MODEL).write_bytes(graph.file())
    (folder / "LICENSES.txt").write_text("none")
    return folder


def weights(folder: Path) -> Weights:
    """Their description, as if somebody published them."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    source = {"kind": "hub", "repository": "a/b", "revision": "0" * 40, "files": described(files)}
    told = {"name": NAME, "description": "tiny", "licence": "Apache-2.0"}
    return Weights.model_validate({**told, "sources": [source]})
