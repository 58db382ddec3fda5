"""Lines out of blocks: whatever the blocks, the same lines by the same numbers, in the memory of one."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.batches.dialects import BatchLineError
from workers.batches.read_input import MOST_BYTES, numbered_lines


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=20), st.integers(1, 50))
def test_no_cut_changes_a_line(lines: list[bytes], size: int) -> None:
    data = b"\n".join(lines)
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    wanted = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    assert list(numbered_lines(blocks)) == wanted


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield b"{}\n"
        while True:
            taken += 1
            yield bytes(1024 * 1024).replace(b"\0", b"x")

    lines = numbered_lines(endless())
    assert next(lines) == (1, b"{}")
    with pytest.raises(BatchLineError) as refused:
        next(lines)
    assert refused.value.details["line"] == 2 and taken == MOST_BYTES // 1024**2 + 1
