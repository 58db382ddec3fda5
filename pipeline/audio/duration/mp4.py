"""AAC in MP4: the frames of its sample table, as far as their bytes are there (ISO/IEC 14496-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise

from pipeline.audio.duration.aac import FRAME_SAMPLES, RATES, loudness
from pipeline.audio.duration.frame_count import ENOUGH_LEVELS, Extent
from pipeline.audio.step_budget import StepBudget

_EXPLICIT, _SBR, _LC = 15, 5, 2
_SLACK = 2  # frames that the times in the table may differ from the frames: the last one is often cut short


def extent(data: bytes, steps: StepBudget) -> Extent | None:
    """None for anything but one track of AAC, written in one piece, whose table and times are those of its frames."""
    outer = dict(steps.over(_boxes(data, 0, len(data))))
    moov = [box for box in outer if box[0] == b"moov"]
    if b"moof" in {name for name, _ in outer} or len(moov) != 1:
        return None
    tracks = [place for (name, _), place in steps.over(_boxes_of(data, outer[moov[0]])) if name == b"trak"]
    if len(tracks) != 1:
        return None
    return _track(data, tracks[0], _timescale(data, _child(data, outer[moov[0]], b"mvhd", steps)), steps)


Place = tuple[int, int]  # first byte of a box's content, and its end


def _track(data: bytes, track: Place, movie_scale: int, steps: StepBudget) -> Extent | None:
    media = _child(data, track, b"mdia", steps)
    holder = _child(data, media, b"minf", steps)
    table = _child(data, holder, b"stbl", steps)
    _check_here(data, _child(data, _child(data, holder, b"dinf", steps), b"dref", steps))
    rate = _aac_rate(data, _child(data, table, b"stsd", steps))
    sizes = _sizes(data, _child(data, table, b"stsz", steps), steps)
    places = _places(data, table, sizes, steps)
    scale = _timescale(data, _child(data, media, b"mdhd", steps)) / rate  # units of the track's clock for one sample
    stated = _stated(data, _child(data, table, b"stts", steps), steps) / scale
    samples = len(sizes) * FRAME_SAMPLES
    if not sizes or abs(stated - samples) > _SLACK * FRAME_SAMPLES:
        return None
    step = max(1, len(sizes) // ENOUGH_LEVELS)
    levels = [loudness(data[place : place + 8]) for place in places[::step]]
    begin, length = _edit(data, track, steps)
    left = min(samples, round(stated)) - round(begin / scale)
    shown = round(length * rate / movie_scale) if length else left
    return Extent(min(left, shown), rate, levels) if left - shown < _SLACK * FRAME_SAMPLES else None


def even_times(index: bytes, steps: StepBudget, *, is_aac: bool) -> tuple[int, int]:
    """(length of every frame but the last, the scale it is told in: units a second) of the only track of sound in an index, which
    is the content of its box; of AAC, its configuration is looked at, too. Raises ValueError, TooManySteps and what else garbage
    leads to."""
    whole = (0, len(index))
    (media,) = [media for media in _media(index, whole, steps) if _kind(index, media, steps) == b"soun"]
    table = _child(index, _child(index, media, b"minf", steps), b"stbl", steps)
    if is_aac:
        _aac_rate(index, _child(index, table, b"stsd", steps))
    at, end = _child(index, table, b"stts", steps)
    (count,) = struct.unpack_from(">I", index, at + 4)
    steps.take(count)
    times = list(struct.iter_unpack(">II", index[at + 8 : min(end, at + 8 + 8 * count)]))
    lengths = {each for _, each in times[:-1]} | {each for many, each in times[-1:] if many > 1 or len(times) == 1}
    (length,) = lengths
    return length, _timescale(index, _child(index, media, b"mdhd", steps))


def chunk_with(index: bytes, sample: int, steps: StepBudget) -> int | None:
    """Where in the file the run of frames begins in which that one stands, of the only track in an index; None where there are
    others. Raises as `even_times`."""
    tracks = _media(index, (0, len(index)), steps)
    if len(tracks) != 1:
        return None
    table = _child(index, _child(index, tracks[0], b"minf", steps), b"stbl", steps)
    (name, (at, _)) = next(
        (name, place) for (name, _), place in steps.over(_boxes_of(index, table)) if name in (b"stco", b"co64")
    )
    chunk = _chunk_of(index, _child(index, table, b"stsc", steps), sample, steps)
    width = 4 if name == b"stco" else 8
    if chunk >= struct.unpack_from(">I", index, at + 4)[0]:
        raise ValueError
    return int.from_bytes(index[at + 8 + width * chunk : at + 8 + width * (chunk + 1)], "big")


def _chunk_of(index: bytes, runs: Place, sample: int, steps: StepBudget) -> int:
    """The number of it, from 0."""
    at, end = runs
    (count,) = struct.unpack_from(">I", index, at + 4)
    steps.take(count)
    rows = list(struct.iter_unpack(">III", index[at + 8 : min(end, at + 8 + 12 * count)]))
    for (first, each, _), (behind, _, _) in pairwise([*rows, (1 << 40, 0, 0)]):
        if sample < (behind - first) * each:
            return int(first - 1 + sample // each)
        sample -= (behind - first) * each
    raise ValueError


def _media(index: bytes, whole: Place, steps: StepBudget) -> list[Place]:
    """Of each track, its description."""
    tracks = [place for (name, _), place in steps.over(_boxes_of(index, whole)) if name == b"trak"]
    return [_child(index, track, b"mdia", steps) for track in tracks]


def _kind(index: bytes, media: Place, steps: StepBudget) -> bytes:
    at, _ = _child(index, media, b"hdlr", steps)
    return index[at + 8 : at + 12]


def _edit(data: bytes, track: Place, steps: StepBudget) -> tuple[int, int]:
    """(what is left out at the beginning, on the track's clock; what is shown, on the movie's, 0: the rest): by its edit
    list a player leaves out the encoder's delay. Raises ValueError where that list does more."""
    lists = [place for (name, _), place in steps.over(_boxes_of(data, track)) if name == b"edts"]
    if not lists:
        return 0, 0
    at, _ = _child(data, lists[0], b"elst", steps)
    version, count = data[at], struct.unpack_from(">I", data, at + 4)[0]
    length, begin, speed = struct.unpack_from(">Qqi" if version else ">Iii", data, at + 8)
    if count != 1 or begin < 0 or speed != 1 << 16:
        raise ValueError
    return begin, length


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[tuple[bytes, int], Place]]:
    """((name, offset), place) of the boxes in a row. Raises ValueError where one is not whole."""
    while at + 8 <= end:
        length, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1:
            (length,), head = struct.unpack_from(">Q", data, at + 8), 16
        length = length or end - at
        if length < head or at + length > end:
            raise ValueError
        yield (name, at), (at + head, at + length)
        at += length


def _boxes_of(data: bytes, place: Place) -> Iterator[tuple[tuple[bytes, int], Place]]:
    return _boxes(data, *place)


def _child(data: bytes, place: Place, name: bytes, steps: StepBudget) -> Place:
    """The one box of this name inside. Raises ValueError where there is none or there are several."""
    (found,) = [inner for (known, _), inner in steps.over(_boxes_of(data, place)) if known == name]
    return found


def _timescale(data: bytes, place: Place) -> int:
    at, _ = place
    (scale,) = struct.unpack_from(">I", data, at + (20 if data[at] else 12))
    return int(scale)


def _stated(data: bytes, place: Place, steps: StepBudget) -> int:
    """How long all samples are by the table of times, in its own scale."""
    at, end = place
    (count,) = struct.unpack_from(">I", data, at + 4)
    if 8 + 8 * count > end - at:
        raise ValueError
    steps.take(count)
    return sum(many * each for many, each in struct.iter_unpack(">II", data[at + 8 : at + 8 + 8 * count]))


def _sizes(data: bytes, place: Place, steps: StepBudget) -> tuple[int, ...]:
    at, end = place
    fixed, count = struct.unpack_from(">II", data, at + 4)
    if fixed or 12 + 4 * count > end - at:
        raise ValueError
    steps.take(count)
    return struct.unpack_from(f">{count}I", data, at + 12)


def _places(data: bytes, table: Place, sizes: tuple[int, ...], steps: StepBudget) -> list[int]:
    """The offset of each frame. Raises ValueError where one is not in the file, or two overlap."""
    at, _ = _child(data, table, b"stsc", steps)
    (count,) = struct.unpack_from(">I", data, at + 4)
    runs = [struct.unpack_from(">III", data, at + 8 + 12 * entry) for entry in range(min(count, len(sizes)))]
    at, _ = _child(data, table, b"stco", steps)
    (count,) = struct.unpack_from(">I", data, at + 4)
    steps.take(count)
    chunks = struct.unpack_from(f">{count}I", data, at + 8)
    places: list[int] = []
    sample = run = end = 0
    for number, begin in enumerate(chunks, 1):
        while run + 1 < len(runs) and runs[run + 1][0] <= number:
            run += 1
        if begin < end:
            raise ValueError
        end = begin
        for _ in range(runs[run][1]):
            places.append(end)
            end += sizes[sample]
            sample += 1
    if sample != len(sizes) or end > len(data):
        raise ValueError
    return places


def _check_here(data: bytes, references: Place) -> None:
    """Raise ValueError unless there is one reference, to samples in the same file."""
    at, _ = references
    if data[at + 4 : at + 8] != b"\0\0\0\1" or not data[at + 19] & 1:
        raise ValueError


def _aac_rate(data: bytes, place: Place) -> int:
    """Hz of the core codec, by the decoder's own configuration. Raises ValueError for what is not AAC LC or HE."""
    at, end = place
    if (
        struct.unpack_from(">I", data, at + 4)[0] != 1
        or data[at + 12 : at + 16] != b"mp4a"
        or data[at + 24 : at + 26] != b"\0\0"
    ):
        raise ValueError
    begin = data.index(b"esds", at + 16, end)
    config = _decoder_config(data[begin + 8 : end])
    bits = int.from_bytes(config[:2], "big")
    kind, index = bits >> 11, bits >> 7 & 15
    if kind not in (_LC, _SBR) or index >= len(RATES) or (kind == _LC and bits & 4):  # the last: frames of 960
        raise ValueError
    return RATES[index]


def _decoder_config(descriptors: bytes) -> bytes:
    """The content of the innermost descriptor: 3 (stream) holds 4 (decoder) holds 5 (its configuration)."""
    at = 0
    for tag, fixed in ((3, 3), (4, 13), (5, 0)):
        if descriptors[at] != tag:
            raise ValueError
        at += 1
        while descriptors[at] & 0x80:
            at += 1
        at += 1 + fixed
    return descriptors[at : at + 2]
