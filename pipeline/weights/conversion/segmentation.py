"""pyannote's segmentation 3.0 as a graph: 10 s of sound into 589 frames of seven classes, sets of up to two of three voices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.weights.conversion.checkpoint import Tensors
from pipeline.weights.conversion.onnx_graph import Graph

SAMPLES = 160_000  # of one input: 10 s
_RATE = 16_000
_LOWEST, _NARROWEST = 50.0, 50.0  # Hz, of a filter
_GATES = (0, 3, 1, 2)  # ONNX has input, output, forget, cell; the checkpoint input, forget, cell, output


def graph(weights: Tensors) -> bytes:
    """The ONNX file. Raises KeyError, ValueError where these are the weights of something else."""
    graph = Graph("segmentation")
    sound = graph.given("sound", "windows", 1, SAMPLES)
    x = _normal(graph, sound, weights, "sincnet.wav_norm1d")
    x = graph.add("Abs", graph.add("Conv", x, _filters(graph, weights), strides=(10,)))
    for layer in range(3):
        if layer:
            name = f"sincnet.conv1d.{layer}"
            x = graph.add("Conv", x, *(graph.weight(weights[f"{name}.{part}"]) for part in ("weight", "bias")))
        x = graph.add("MaxPool", x, kernel_shape=(3,), strides=(3,))
        x = graph.add("LeakyRelu", _normal(graph, x, weights, f"sincnet.norm1d.{layer}"))
    x = _recurrent(graph, graph.add("Transpose", x, perm=(2, 0, 1)), weights)
    x = graph.add("Transpose", x, perm=(1, 0, 2))
    for number in (0, 1):
        x = graph.add("LeakyRelu", _linear(graph, x, weights, f"linear.{number}"))
    x = _linear(graph, x, weights, "classifier")
    graph.gives("classes", x, "windows", "frames", len(weights["classifier.bias"]))
    return graph.file()


def _normal(graph: Graph, x: str, weights: Tensors, name: str) -> str:
    scale, shift = (graph.weight(weights[f"{name}.{part}"]) for part in ("weight", "bias"))
    return graph.add("InstanceNormalization", x, scale, shift)


def _linear(graph: Graph, x: str, weights: Tensors, name: str) -> str:
    turned = graph.weight(np.ascontiguousarray(weights[f"{name}.weight"].T))
    return graph.add("Add", graph.add("MatMul", x, turned), graph.weight(weights[f"{name}.bias"]))


def _recurrent(graph: Graph, x: str, weights: Tensors) -> str:
    """Layers of LSTMs in both directions, over [frames, windows, features]."""
    layer = 0
    while f"lstm.weight_ih_l{layer}" in weights:
        size = weights[f"lstm.weight_hh_l{layer}"].shape[1]
        into, back = (_gates(weights, f"lstm.weight_{kind}_l{layer}", size) for kind in ("ih", "hh"))
        biases = [_gates(weights, f"lstm.bias_{kind}_l{layer}", size) for kind in ("ih", "hh")]
        given = map(graph.weight, (into, back, np.concatenate(biases, axis=1)))
        y = graph.add("LSTM", x, *given, hidden_size=size, direction="bidirectional")
        y = graph.add("Transpose", y, perm=(0, 2, 1, 3))
        x = graph.add("Reshape", y, graph.whole(0, 0, 2 * size))
        layer += 1
    return x


def _gates(weights: Tensors, name: str, size: int) -> NDArray[np.float32]:
    """Of both directions, the gates in ONNX's order."""
    both = [weights[name], weights[f"{name}_reverse"]]
    return np.stack([np.concatenate([one[gate * size : (gate + 1) * size] for gate in _GATES]) for one in both])


def _filters(graph: Graph, weights: Tensors) -> str:
    """Band passes between learned frequencies, as cosines and as sines.

    The graph makes them itself: computed here, their last bits would be those of the machine, and the hash with them.
    """
    name = "sincnet.conv1d.0.filterbank"
    low = np.float32(_LOWEST) + np.abs(weights[f"{name}.low_hz_"])
    high = np.clip(low + np.float32(_NARROWEST) + np.abs(weights[f"{name}.band_hz_"]), _LOWEST, _RATE / 2)
    times, band = weights[f"{name}.n_"], np.asarray(2 * (high - low), np.float32)
    at_low, at_high = (graph.add("MatMul", graph.weight(hertz), graph.weight(times)) for hertz in (low, high))
    shape = graph.weight(np.asarray(2 * weights[f"{name}.window_"] / times, np.float32))
    even = graph.add("Mul", graph.add("Sub", graph.add("Sin", at_high), graph.add("Sin", at_low)), shape)
    odd = graph.add("Mul", graph.add("Sub", graph.add("Cos", at_low), graph.add("Cos", at_high)), shape)
    backwards = graph.whole(*reversed(range(times.shape[1])))
    right = [graph.add("Gather", half, backwards, axis=1) for half in (even, graph.add("Neg", odd))]
    middle, nothing = graph.weight(band), graph.weight(np.zeros_like(band))
    scale = graph.weight(band)
    cosines = graph.add("Div", graph.add("Concat", even, middle, right[0], axis=1), scale)
    sines = graph.add("Div", graph.add("Concat", odd, nothing, right[1], axis=1), scale)
    return graph.add("Unsqueeze", graph.add("Concat", cosines, sines, axis=0), graph.whole(1))
