"""CAM++ as a graph: what comes of a checkpoint is always the same bytes, and the runtime reads them."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.engines.onnx_session import session
from pipeline.weights.conversion.campplus import FILTERS, FRAMES, graph
from tests.support.tiny_campplus import SIZE, weights


def test_the_runtime_reads_it_and_windows_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / "voices.onnx").write_bytes(graph(weights()))
    model = session(tmp_path / "voices.onnx", 1)
    sounds = np.random.default_rng(2).normal(size=(3, FRAMES, FILTERS)).astype(np.float32)
    (together,) = model.run(None, {"features": sounds})
    assert together.shape == (3, SIZE) and np.isfinite(together).all()
    alone = np.concatenate([model.run(None, {"features": sounds[at : at + 1]})[0] for at in range(3)])
    assert np.allclose(together, alone, atol=1e-5)
    assert not np.allclose(together[0], together[1])


def test_the_same_weights_are_the_same_bytes() -> None:
    """Its hash is published: what is installed is checked against that."""
    assert graph(weights()) == graph(dict(reversed(weights().items())))


def test_other_weights_are_refused() -> None:
    with pytest.raises(KeyError):
        graph({"sincnet.weight": np.zeros(3, np.float32)})
