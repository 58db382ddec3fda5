"""The benchmarks are run by hand; that all of them are found needs no hand."""

from pathlib import Path

import tests.benchmarks
from tests.benchmarks.__main__ import benchmarks


def test_every_file_with_a_run_is_a_benchmark_and_no_other() -> None:
    folder = Path(tests.benchmarks.__file__).parent
    runnable = {path.stem for path in folder.glob("*.py") if "\ndef run() -> Iterator[Figure]:" in path.read_text()}
    found = benchmarks()
    assert runnable == set(found)
    assert all(module.__doc__ for module in found.values()), "its first line is its headline"
