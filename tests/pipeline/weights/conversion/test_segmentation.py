"""The second network as a graph: ten seconds become frames of seven classes, as its checkpoint's sizes tell."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.engines.onnx_session import session
from pipeline.weights.conversion.segmentation import SAMPLES, graph

CLASSES, HIDDEN, FILTERS = 7, 4, 3


def weights() -> dict[str, np.ndarray]:
    """Of a network of a few numbers, called as in the real one's checkpoint."""
    chance = np.random.default_rng(1)
    bank = "sincnet.conv1d.0.filterbank"

    def some(*shape: int) -> np.ndarray:
        return chance.normal(0, 0.3, shape).astype(np.float32)

    made = {
        "sincnet.wav_norm1d.weight": np.ones(1, np.float32),
        "sincnet.wav_norm1d.bias": np.zeros(1, np.float32),
        f"{bank}.low_hz_": np.linspace(50, 3000, FILTERS, dtype=np.float32)[:, None],
        f"{bank}.band_hz_": np.full((FILTERS, 1), 300, np.float32),
        f"{bank}.n_": (2 * np.pi * np.arange(-125, 0) / 16_000).astype(np.float32)[None],
        f"{bank}.window_": np.hamming(250)[:125].astype(np.float32),
    }
    sizes = (2 * FILTERS, 5, 5)
    for layer, size in enumerate(sizes):
        made |= {f"sincnet.norm1d.{layer}.weight": some(size) + 1, f"sincnet.norm1d.{layer}.bias": some(size)}
        if layer:
            made |= {
                f"sincnet.conv1d.{layer}.weight": some(size, sizes[layer - 1], 5),
                f"sincnet.conv1d.{layer}.bias": some(size),
            }
    for layer, size in enumerate((5, 2 * HIDDEN)):
        for way in ("", "_reverse"):
            made |= {
                f"lstm.weight_ih_l{layer}{way}": some(4 * HIDDEN, size),
                f"lstm.bias_ih_l{layer}{way}": some(4 * HIDDEN),
            }
            made |= {
                f"lstm.weight_hh_l{layer}{way}": some(4 * HIDDEN, HIDDEN),
                f"lstm.bias_hh_l{layer}{way}": some(4 * HIDDEN),
            }
    for number, size in enumerate((2 * HIDDEN, 6)):
        made |= {f"linear.{number}.weight": some(6, size), f"linear.{number}.bias": some(6)}
    return made | {"classifier.weight": some(CLASSES, 6), "classifier.bias": some(CLASSES)}


def test_the_runtime_reads_it(tmp_path: Path) -> None:
    (tmp_path / "segments.onnx").write_bytes(graph(weights()))
    model = session(tmp_path / "segments.onnx", 1)
    sounds = np.random.default_rng(2).normal(0, 0.1, (2, 1, SAMPLES)).astype(np.float32)
    (found,) = model.run(None, {"sound": sounds})
    assert found.shape == (2, 589, CLASSES) and np.isfinite(found).all()
    (quieter,) = model.run(None, {"sound": 0.1 * sounds[:1]})
    assert np.allclose(found[:1], quieter, atol=0.05), "how loud it is says nothing"


def test_the_same_weights_are_the_same_bytes_and_others_are_refused() -> None:
    assert graph(weights()) == graph(weights())
    with pytest.raises(KeyError):
        graph({})
