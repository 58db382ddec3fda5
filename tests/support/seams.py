"""What can be heard where speech was joined: a step of its loudness, a click."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_FRAME_S, _AROUND_S = 0.02, 4.0
_QUIET = 0.1  # of the loudest frame around; below it nobody speaks

Join = tuple[int, int]  # where one thing ends, and where the next begins, in samples


@dataclass(frozen=True)
class Seam:
    """`decibels`: how much louder what follows is. `click`: the steepest step from one sample to the next between the two, as a
    share of the steepest in the speech around it."""

    decibels: float
    click: float


def seams(samples: np.ndarray, joins: Sequence[Join], sample_rate: int) -> list[Seam]:
    """One for each join; the neighbours bound what is compared."""
    return list(_seams(samples.astype(float), [(0, 0), *joins, (len(samples), len(samples))], sample_rate))


def _seams(samples: np.ndarray, joins: Sequence[Join], sample_rate: int) -> Iterator[Seam]:
    around = round(_AROUND_S * sample_rate)
    for (_, first), (end, start), (last, _) in zip(joins, joins[1:], joins[2:], strict=False):
        one, other = samples[max(first, end - around) : end], samples[start : min(last, start + around)]
        steepest = max(np.abs(np.diff(one)).max(), np.abs(np.diff(other)).max(), 1.0)
        between = np.abs(np.diff(samples[end - 1 : start + 1])).max(initial=0.0)
        yield Seam(loudness(other, sample_rate) - loudness(one, sample_rate), float(between / steepest))


def loudness(samples: np.ndarray, sample_rate: int) -> float:
    """Of what is spoken, in dB; pauses do not count."""
    frame = round(_FRAME_S * sample_rate)
    whole = samples[: len(samples) // frame * frame].reshape(-1, frame)
    power = (whole**2).mean(axis=1)
    spoken = power[power > _QUIET**2 * power.max()]
    return float(10 * np.log10(spoken.mean() + 1e-9))
