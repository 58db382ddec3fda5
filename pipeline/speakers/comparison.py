"""All windows of a recording compared at once: who speaks when, and by which name, in plain values as engines give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.speakers.clustering import centres, likeness
from pipeline.speakers.known_voices import heard_in, named, told_apart
from pipeline.speakers.turn_taking import turns


def compared(windows: Mapping[str, Any], stretches: bytes, count: int | None, known: Sequence[bytes]) -> dict[str, Any]:
    """The turns of all stretches: `turns` as rows of start, end and speaker, `margins` beside; `names`: for each speaker the number
    of the sample among `known` that is his, or -1.

    Of the windows there are `places`, `vectors`, a row for each place, and which of them are `mixed`: those say nothing of who
    there is. Those of two chunks may overlap at their seam. Places and stretches are pairs of samples as int64,
    vectors are float16.
    """
    given = _pairs(windows["places"])
    order = sorted(range(len(given)), key=given.__getitem__)
    where = [given[at] for at in order]
    voices = np.frombuffer(windows["vectors"], "<f2").astype(np.float32)
    voices = voices.reshape(len(where), -1)[order] if where else np.zeros((0, 1), np.float32)
    clean = np.flatnonzero(~np.isin(order, np.asarray(windows["mixed"], np.intp)))
    clean = clean if len(clean) else np.arange(len(where))
    alike = likeness(voices[clean], [where[at] for at in clean])
    with_names = heard_in([np.frombuffer(one, "<f2").astype(np.float32) for one in known], voices.shape[1])
    speakers = centres(voices[clean], alike, count)
    speakers = speakers if count else told_apart(voices[clean], speakers, with_names)
    found = list(turns(where, np.asarray(voices @ speakers.T / alike, np.float64), _pairs(stretches)))
    return {
        "turns": np.array([one[:3] for one in found], "<i8").tobytes(),
        "margins": np.array([one.margin for one in found], "<f4").tobytes(),
        "names": named(speakers, with_names),
    }


def _pairs(content: bytes) -> list[tuple[int, int]]:
    return [(start, end) for start, end in np.frombuffer(content, "<i8").reshape(-1, 2).tolist()]
