"""For which engines those who call them stand in a line."""

from pathlib import Path

import pytest

from pipeline.engines.engine_placement import Engines
from pipeline.engines.engine_protocol import EngineSpec


@pytest.mark.parametrize(
    ("workers", "processes", "has_line"),
    [
        pytest.param(3, 1, True, id="one for three"),
        pytest.param(3, 0, False, id="as many as the machine has"),
        pytest.param(2, 4, False, id="more than that"),
    ],
)
def test_a_line_is_where_all_share_few(tmp_path: Path, workers: int, processes: int, has_line: bool) -> None:
    spec = EngineSpec("ear", "somewhere:Ear", processes=processes)
    shared, own = Engines(workers, tmp_path / "engines.sock").open(spec), Engines(workers).open(spec)
    try:
        assert (shared.has_line, own.has_line) == (has_line, False)
    finally:
        shared.close()
        own.close()
