"""All of a VOC is heard, at its time: behind blocks that are lost, and what ffmpeg knows nothing of."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.containers.voc_blocks import (
    BEGIN,
    END,
    EXTENDED,
    MARKER,
    MORE,
    NEW_SOUND,
    REPEAT,
    REPEATED,
    SILENCE,
    SOUND,
    TEXT,
)
from pipeline.audio.joined.voc_parts import mended_voc
from pipeline.oracle.speech import say
from tests.pipeline.audio.clock.test_random_damage import (
    COUNT,
    DAMAGES,
    EDGE,
    GAP,
    damaged,
    outside,
    recorded,
    spoken,
    told,
)
from tests.pipeline.audio.clock.test_random_recordings import NEAR, Words, hear

pytestmark = pytest.mark.processes

SAID = list(spoken(0))
RATE = 16_129  # nearly that of the words: what the divisor says
DIVISOR = bytes([256 - 62])
EIGHT_BITS = (
    np.frombuffer(say([word for word, _ in SAID], gap_s=GAP, edge_s=EDGE), "<i2").astype("<i4") // 256 + 128
).astype(np.uint8)
HALF = int((SAID[COUNT // 2][1] - GAP / 2) * 16_000)  # between two words


def block(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + len(content).to_bytes(3, "little") + content


def silence(seconds: float) -> bytes:
    return block(SILENCE, (round(seconds * RATE) - 1).to_bytes(2, "little") + DIVISOR)


FRONT = block(SOUND, DIVISOR + b"\0" + EIGHT_BITS[:HALF].tobytes())
BACK = block(MORE, EIGHT_BITS[HALF:].tobytes())
SLOW = bytes([256 - 124])  # half as many samples a second
SIXTEEN = (EIGHT_BITS[HALF:].astype("<i2") - 128) * 256
ODD: dict[str, tuple[bytes, float]] = {  # the blocks, and by how much what follows the first half is later
    "as it is": (FRONT + BACK, 0.0),
    "a marker and a text": (block(TEXT, b"words\0") + FRONT + block(MARKER, b"\1\0") + BACK, 0.0),
    "silence": (FRONT + silence(2.0) + BACK, 2.0),
    "short silences": (FRONT + silence(0.2) + silence(0.3) + BACK, 0.5),
    "silence at the end": (FRONT + BACK + silence(2.0), 0.0),
    "something repeated": (block(REPEAT, b"\1\0") + FRONT + block(REPEATED, b"") + BACK, 0.0),
    "described again": (FRONT + block(SOUND, DIVISOR + b"\0" + EIGHT_BITS[HALF:].tobytes()), 0.0),
    "another rate": (FRONT + block(SOUND, SLOW + b"\0" + EIGHT_BITS[HALF::2].tobytes()), 0.0),
    "another rate behind silence": (FRONT + silence(1.5) + block(SOUND, SLOW + b"\0" + EIGHT_BITS[HALF::2].tobytes()), 1.5),
    "two channels of 16 bits": (
        FRONT + block(NEW_SOUND, RATE.to_bytes(4, "little") + b"\x10\2\4\0" + bytes(4) + SIXTEEN.repeat(2).tobytes()),
        0.0,
    ),
    "two channels, told before": (
        FRONT
        + block(EXTENDED, (65_536 - 128_000_000 // RATE).to_bytes(2, "little") + b"\0\1")
        + block(SOUND, DIVISOR + b"\0" + EIGHT_BITS[HALF:].repeat(2).tobytes()),
        0.0,
    ),
}  # fmt: skip


def assert_all_heard(found: Words, later: float = 0.0) -> None:
    assert [word for word, _ in found] == [word for word, _ in SAID]
    for number, ((_, at), (_, when)) in enumerate(zip(found, SAID, strict=True)):
        expected = when * 16_000 / RATE + later * (number >= COUNT // 2)
        assert at == pytest.approx(expected, abs=NEAR)


@pytest.mark.parametrize("name", ODD)
def test_blocks_of_every_kind(name: str) -> None:
    blocks, later = ODD[name]
    found = hear(BEGIN + blocks + END)
    assert_all_heard(found.words, later)
    assert not found.sound.findings.warnings
    gaps = found.sound.findings.gaps
    assert [gap.code for gap in gaps] == (["hole"] if later >= 1 else [])
    assert sum(gap.end - gap.start for gap in gaps) == pytest.approx(later * 1000 if gaps else 0, abs=2)


def test_a_silence_longer_than_any_recording_is_closed_up() -> None:
    found = hear(BEGIN + FRONT + silence(4.0) * 100 + BACK + END, max_seconds=100)
    assert_all_heard(found.words)
    assert [caution.code for caution in found.sound.findings.warnings] == ["time_leap"]


@given(
    seed=st.integers(0, 3),
    damage=st.sampled_from([name for name in DAMAGES if name != "cut out"]),
    begin=st.floats(0.1, 0.8),
    share=st.floats(0.005, 0.15),
)
@settings(max_examples=6, derandomize=True)
def test_what_follows_overwritten_blocks_is_heard_at_its_time(
    seed: int, damage: str, begin: float, share: float
) -> None:
    data = recorded(seed, "a.voc", ())
    found = hear(damaged(data, damage, begin, share))
    hit = (
        begin * len(data) / 96_000,
        (begin + share) * len(data) / 96_000,
    )  # in part a block's own sound, and nobody can know
    said, around = dict(spoken(seed)), [*told(found.sound.findings), hit]
    assert {word for word, _ in outside(list(spoken(seed)), around)} <= {word for word, _ in found.words}
    assert all(abs(at - said[word]) <= NEAR for word, at in outside(found.words, around))
    assert "truncated" not in [caution.code for caution in found.sound.findings.warnings]
    assert found.end == pytest.approx(hear(data).end, abs=0.002)


@given(seed=st.integers(0, 3), begin=st.floats(0.1, 0.8), share=st.floats(0.005, 0.15))
@settings(max_examples=4, derandomize=True)
def test_where_bytes_are_cut_out_the_rest_is_heard_and_it_is_told(seed: int, begin: float, share: float) -> None:
    data = recorded(seed, "a.voc", ())
    found, order = hear(damaged(data, "cut out", begin, share)), [word for word, _ in spoken(seed)]
    assert [caution.code for caution in found.sound.findings.warnings] == ["truncated"]
    places = [order.index(word) for word, _ in found.words if word in order]
    assert len(places) == len(set(places)) >= COUNT * (1 - share) - 3
    assert found.end == pytest.approx(hear(data).end - share * len(data) / 96_000, abs=0.07)


def test_those_that_were_joined_are_no_damage() -> None:
    data = BEGIN + FRONT + BACK + END
    found = hear(data + data)
    assert [word for word, _ in found.words] == 2 * [word for word, _ in SAID]
    assert not found.sound.findings.warnings


def test_whatever_the_bytes_are_nothing_is_raised() -> None:
    """And no place is outside of the file."""
    whole = BEGIN + FRONT[:9_000] + b"".join(blocks for blocks, _ in ODD.values())[-60_000:]
    chance = random.Random(1)
    for _ in range(100):
        data = bytearray(whole)
        for _ in range(chance.randrange(6)):
            at = chance.randrange(len(data))
            data[at : at + chance.choice([0, 4, 300])] = chance.randbytes(chance.choice([0, 4, 300]))

        def read(at: int, length: int, data: bytes = bytes(data)) -> bytes:
            assert at >= 0 <= length
            return data[at : at + length]

        if mended := mended_voc(read, 0, len(data)):
            assert all(0 < place < len(data) for place, _ in (*mended.changes, *mended.put_in))
            assert all(one.start <= one.end for part in mended.parts for one in part.absent)
