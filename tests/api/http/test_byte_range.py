"""Which bytes are asked for."""

import pytest
from starlette.datastructures import Headers

from api.http.byte_range import ByteRange, asked_range
from api.http.error_responses import RangeNotSatisfiable, render

SIZE, TAG = 1000, '"v1"'


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-499", (0, 500)),
        ("Bytes=500-", (500, 1000)),
        ("bytes=-1", (999, 1000)),
        ("bytes=-5000", (0, 1000)),
        ("bytes=999-5000", (999, 1000)),
    ],
)
def test_one_range(asked: str, part: tuple[int, int]) -> None:
    found = asked_range(Headers({"range": asked}), SIZE, TAG)
    assert found == ByteRange(*part)
    assert found.length == part[1] - part[0]


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "bytes=",
        "bytes=-",
        "bytes=5-4",
        "bytes=0-1,3-4",
        "items=0-1",
        "bytes=a-b",
        "bytes=--1",
        "bytes=0-" + "9" * 30,
    ],
)
def test_what_is_no_range_is_the_whole(asked: str) -> None:
    assert asked_range(Headers({"range": asked}), SIZE, TAG) is None


def test_a_range_of_another_version_is_the_whole() -> None:
    assert asked_range(Headers({"range": "bytes=0-1", "if-range": '"v0"'}), SIZE, TAG) is None
    assert asked_range(Headers({"range": "bytes=0-1", "if-range": TAG}), SIZE, TAG) == ByteRange(0, 2)


@pytest.mark.parametrize(
    ("asked", "size"), [("bytes=1000-", SIZE), ("bytes=5000-6000", SIZE), ("bytes=-0", SIZE), ("bytes=0-", 0)]
)
def test_behind_the_end(asked: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        asked_range(Headers({"range": asked}), size, TAG)
    answer = render(caught.value)
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}")
