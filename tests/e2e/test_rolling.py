"""A rolling restart refuses nobody, and pays no provider twice: the short version of `make rolling`."""

from pathlib import Path

from tests.e2e.stack import Stack
from tests.rolling.roll import GRACE, ONE_OF_EACH, roll


def test_every_role_is_restarted_under_load(tmp_path: Path) -> None:
    stack = Stack(tmp_path, grace=GRACE, io_threads=4)
    try:
        report = roll(stack, ONE_OF_EACH, rounds=1, askers=2, submitters=2)
    finally:
        stack.stop()
    assert report.holds, "\n".join(report.lines())
