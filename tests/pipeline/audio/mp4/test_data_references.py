"""Tracks whose samples are in another file, by their own word."""

import pytest

from pipeline.audio.decode import decode
from pipeline.audio.duration.exact import measured_ms
from pipeline.errors import UnsupportedMedia
from tests.pipeline.audio.clock.test_random_recordings import Piece, made
from tests.support.sample_descriptions import HERE, one_track

pytestmark = pytest.mark.processes

NOT_HERE = bytes(4)
RECORD = bytes(6) + b"an alias" + bytes(200)


def made_of(*, sort: bytes, reference: bytes) -> bytes:
    return one_track(made(Piece(3, 44_100, 1), "m4a", "-c:a", "aac"), sort=sort, reference=reference)


@pytest.mark.parametrize("has_bytes", [True, False])
@pytest.mark.parametrize(
    ("sort", "reference"),
    [(b"url ", NOT_HERE + b"file:///etc/passwd\0"), (b"url ", NOT_HERE + b"sound.mov\0"), (b"alis", NOT_HERE + RECORD)],
)
def test_of_sound_in_another_file_nothing_is_heard_but_that(sort: bytes, reference: bytes, *, has_bytes: bool) -> None:
    """Whether there are bytes where it would be, or none."""
    data = made_of(sort=sort, reference=reference)
    if not has_bytes:
        data = data[: data.index(b"mdat") - 4] + data[data.index(b"moov") - 4 :]
    with pytest.raises(UnsupportedMedia, match="not in this file"), decode(data):
        pass
    assert measured_ms(data) is None  # nor is anybody handed it


@pytest.mark.parametrize(
    ("sort", "reference"), [(b"url ", HERE), (b"alis", HERE), (b"alis", HERE + RECORD), (b"url ", NOT_HERE)]
)
def test_what_refers_to_itself_or_to_nothing_is_heard(sort: bytes, reference: bytes) -> None:
    with decode(made_of(sort=sort, reference=reference)) as sound:
        assert any(pcm.strip(b"\0") for pcm in sound)
