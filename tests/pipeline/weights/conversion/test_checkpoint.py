"""A stranger's checkpoint is read as data: whatever its pickle names, nothing of it runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.weights.conversion.checkpoint import CheckpointUnreadable, tensors
from tests.support.checkpoints import archive, checkpoint, fake_torch

TABLES = {
    "one.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "one.turned": np.arange(12, dtype=np.float32).reshape(3, 4).T,
    "one.steps": np.array([3], np.int64),
}


@pytest.fixture(autouse=True)
def _torch(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_torch(monkeypatch)


class Command:
    """Runs when an ordinary unpickler reads it."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> Any:
        return exec, (self._command,)


@pytest.mark.parametrize("below", ["", "state_dict"])
def test_tensors_come_out_as_they_went_in(below: str) -> None:
    found = tensors(checkpoint(TABLES, below=below, besides={"version": "2.5"}))
    assert set(found) == {"one.weight", "one.turned"}, "whole numbers count batches"
    for name, table in found.items():
        assert table.dtype == np.float32 and np.array_equal(table, TABLES[name])


def test_nothing_in_it_runs(tmp_path: Path) -> None:
    trap = tmp_path / "it ran"
    content = checkpoint(TABLES, below="state_dict", besides=[Command(f"open({str(trap)!r}, 'w').close()")])
    assert set(tensors(content)) == {"one.weight", "one.turned"}
    assert not trap.exists()


@pytest.mark.parametrize("part", ["shape", "offset", "numbers"])
def test_a_tensor_outside_of_its_numbers_is_refused(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = checkpoint({"a": np.zeros(8, np.float32)})
    assert tensors(content)["a"].shape == (8,)
    from tests.support import checkpoints

    told = {
        "shape": checkpoints._Tensor(checkpoints._Storage("0", "FloatStorage", 8), (9,), (1,), 0),
        "offset": checkpoints._Tensor(checkpoints._Storage("0", "FloatStorage", 8), (8,), (1,), 1),
        "numbers": checkpoints._Tensor(checkpoints._Storage("1", "FloatStorage", 8), (8,), (1,), 0),
    }
    with pytest.raises(CheckpointUnreadable):
        tensors(archive({"a": told[part]}, {"0": bytes(32)}))


@pytest.mark.parametrize("content", [b"", b"no zip at all", archive([1, 2], {}), archive({"a": 1}, {})])
def test_what_is_no_checkpoint_is_no_surprise(content: bytes) -> None:
    try:
        assert tensors(content) == {}
    except CheckpointUnreadable as error:
        assert "checkpoint" in str(error)
