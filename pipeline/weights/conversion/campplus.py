"""CAM++ of 3D-Speaker as a graph: 148 frames of 80 filterbanks, which are 1.5 s of sound, into 192 numbers that tell a voice.

The window's length is fixed: within it the pooling over stretches of 100 frames, of which there are but 74 here, is the mean over
time, so that the context is that mean twice.
"""

from __future__ import annotations

import numpy as np

from pipeline.weights.conversion.checkpoint import Tensors
from pipeline.weights.conversion.onnx_graph import Graph

FRAMES, FILTERS = 148, 80
_BLOCKS = ((1, 1), (2, 2), (3, 2))  # of dense layers: number, dilation
_HALF = FRAMES // 2  # frames behind the first convolution over time


def graph(weights: Tensors) -> bytes:
    """The ONNX file. Raises KeyError, ValueError where these are the weights of something else."""
    return _CamPlusPlus(weights).file()


class _CamPlusPlus:
    """The network, layer by layer, named as in the checkpoint."""

    def __init__(self, weights: Tensors) -> None:
        self._weights, self._graph = weights, Graph("campplus")

    def file(self) -> bytes:
        graph = self._graph
        features = graph.given("features", "windows", FRAMES, FILTERS)
        x = self._head(graph.add("Transpose", features, perm=(0, 2, 1)))
        x = self._conv(x, "xvector.tdnn.linear", strides=(2,), pads=(2, 2))
        x = self._active(x, "xvector.tdnn.nonlinear.batchnorm")
        for number, dilation in _BLOCKS:
            x = self._block(x, f"xvector.block{number}", dilation)
            x = self._active(x, f"xvector.transit{number}.nonlinear.batchnorm")
            x = self._conv(x, f"xvector.transit{number}.linear")
        x = self._active(x, "xvector.out_nonlinear.batchnorm")
        x = self._conv(self._statistics(x), "xvector.dense.linear")
        x = self._normal(x, "xvector.dense.nonlinear.batchnorm")
        graph.gives("voices", graph.add("Squeeze", x, graph.whole(2)), "windows", self._size)
        return graph.file()

    @property
    def _size(self) -> int:
        return len(self._weights["xvector.dense.linear.weight"])

    def _head(self, x: str) -> str:
        """Convolutions over the picture that frequency and time are; its channels and frequencies become one row."""
        graph = self._graph
        x = graph.add("Unsqueeze", x, graph.whole(1))
        x = self._active(self._conv(x, "head.conv1", pads=(1, 1, 1, 1)), "head.bn1")
        for layer in ("head.layer1", "head.layer2"):
            x = self._residual(self._residual(x, f"{layer}.0", stride=2), f"{layer}.1", stride=1)
        x = self._active(self._conv(x, "head.conv2", strides=(2, 1), pads=(1, 1, 1, 1)), "head.bn2")
        return graph.add("Reshape", x, graph.whole(0, -1, FRAMES))

    def _residual(self, x: str, name: str, *, stride: int) -> str:
        y = self._conv(x, f"{name}.conv1", strides=(stride, 1), pads=(1, 1, 1, 1))
        y = self._conv(self._active(y, f"{name}.bn1"), f"{name}.conv2", pads=(1, 1, 1, 1))
        y = self._normal(y, f"{name}.bn2")
        if f"{name}.shortcut.0.weight" in self._weights:
            x = self._normal(self._conv(x, f"{name}.shortcut.0", strides=(stride, 1)), f"{name}.shortcut.1")
        return self._graph.add("Relu", self._graph.add("Add", x, y))

    def _block(self, x: str, name: str, dilation: int) -> str:
        """Each layer sees what all before it have found."""
        number = 1
        while f"{name}.tdnnd{number}.linear1.weight" in self._weights:
            y = self._layer(x, f"{name}.tdnnd{number}", dilation)
            x = self._graph.add("Concat", x, y, axis=1)
            number += 1
        return x

    def _layer(self, x: str, name: str, dilation: int) -> str:
        graph = self._graph
        x = self._conv(self._active(x, f"{name}.nonlinear1.batchnorm"), f"{name}.linear1")
        x = self._active(x, f"{name}.nonlinear2.batchnorm")
        y = self._conv(x, f"{name}.cam_layer.linear_local", pads=(dilation, dilation), dilations=(dilation,))
        mean = graph.add("ReduceMean", x, axes=(2,), keepdims=1)
        context = graph.add("Relu", self._conv(graph.add("Add", mean, mean), f"{name}.cam_layer.linear1"))
        mask = graph.add("Sigmoid", self._conv(context, f"{name}.cam_layer.linear2"))
        return graph.add("Mul", y, mask)

    def _statistics(self, x: str) -> str:
        """Mean and unbiased deviation over time."""
        graph = self._graph
        mean = graph.add("ReduceMean", x, axes=(2,), keepdims=1)
        off = graph.add("Sub", x, mean)
        biased = graph.add("ReduceMean", graph.add("Mul", off, off), axes=(2,), keepdims=1)
        unbiased = graph.weight(np.array([_HALF / (_HALF - 1)], np.float32))
        return graph.add("Concat", mean, graph.add("Sqrt", graph.add("Mul", biased, unbiased)), axis=1)

    def _conv(self, x: str, name: str, **how: tuple[int, ...]) -> str:
        graph, bias = self._graph, self._weights.get(f"{name}.bias")
        given = [graph.weight(self._weights[f"{name}.weight"]), *([] if bias is None else [graph.weight(bias)])]
        return graph.add("Conv", x, *given, **how)

    def _active(self, x: str, name: str) -> str:
        return self._graph.add("Relu", self._normal(x, name))

    def _normal(self, x: str, name: str) -> str:
        """By the means and deviations of the training; a scale and a shift where there are any."""
        graph, weights = self._graph, self._weights
        mean, deviation = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        scale = weights.get(f"{name}.weight", np.ones_like(mean))
        shift = weights.get(f"{name}.bias", np.zeros_like(mean))
        return graph.add("BatchNormalization", x, *map(graph.weight, (scale, shift, mean, deviation)))
