"""Linear samples whose table of times is damaged are read chunk by chunk, as they would be if it were whole."""

import pytest

from pipeline.audio.decode import decode
from pipeline.audio.mp4.contradictions import contradictions
from pipeline.audio.mp4.linear_times import mended_times
from pipeline.audio.mp4.narrowed_index import Change
from tests.pipeline.audio.clock.test_random_damage import recorded

pytestmark = pytest.mark.processes

PCM = ("a.mov", ("-c:a", "pcm_s16le"))
DAMAGES = {  # from which byte of the table on, counted from its name, what stands there
    "its name": (0, b"st\0s"),
    "how many lines": (8, b"\0\0\1"),
    "how many samples": (12, b"\1"),
    "how long each": (19, b"\2"),
}


def damaged(data: bytes, damage: str) -> bytes:
    place, new = DAMAGES[damage]
    at = data.rindex(b"stts") + place
    return data[:at] + new + data[at + len(new) :]


def changes(data: bytes) -> tuple[Change, ...]:
    def read(at: int, length: int) -> bytes:
        return data[at : at + length]

    return mended_times(read, 0, len(data), contradictions(read, 0, len(data)))


@pytest.mark.parametrize("damage", DAMAGES)
def test_it_is_written_anew_as_it_was(damage: str) -> None:
    whole = recorded(1, *PCM)
    found = damaged(whole, damage)
    ((at, new),) = changes(found)
    assert found[:at] + new + found[at + len(new) :] == whole


def test_what_is_whole_or_coded_is_left_as_it_is() -> None:
    assert changes(recorded(1, *PCM)) == ()
    assert changes(damaged(recorded(1, "a.m4a", ("-c:a", "aac")), "how long each")) == ()


def test_all_samples_are_heard_and_it_is_told() -> None:
    whole = recorded(1, *PCM)
    with decode(whole) as one, decode(damaged(whole, "how long each")) as other:
        assert b"".join(one) == b"".join(other)
        assert (one.end, other.end) == (one.samples, one.samples)  # each at its place
        assert [caution.code for caution in other.findings.warnings] == ["damaged"]
