"""Samples without any header: nothing in them tells what they are, so whoever sends them has to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.audio.containers.table import Container, Found
from pipeline.errors import InvalidRequest, UnsupportedValue

RawFormat = Literal["s16le", "mulaw", "alaw", "g722"]
RATES = (4_000, 384_000)  # Hz, the lowest and the highest
MOST_CHANNELS = 8
_SAMPLE_BITS = {"s16le": 16, "mulaw": 8, "alaw": 8, "g722": 4}
_G722 = (16_000, 1)  # Hz and channels, which its definition knows alone


@dataclass(frozen=True)
class RawSound:
    """What a file without a header was declared to be."""

    format: RawFormat
    sample_rate: int
    channels: int

    @property
    def found(self) -> Found:
        """As the look at a file's bytes would have found it."""
        told = {} if self.format == "g722" else {"ar": self.sample_rate, "ac": self.channels}
        return Found(Container("raw", self.format), options=told)

    def ms(self, size: int) -> int:
        """How long so many bytes sound, to the nearest millisecond."""
        bits = self.sample_rate * self.channels * _SAMPLE_BITS[self.format]
        return (2 * 8 * 1000 * size + bits) // (2 * bits)


def raw_sound(kind: RawFormat | None, sample_rate: int | None, channels: int | None) -> RawSound | None:
    """What the three fields declare together, None where none is given. Raises InvalidRequest naming the one that is wrong."""
    if kind is None:
        for name, value in (("input_sample_rate", sample_rate), ("input_channels", channels)):
            if value is not None:
                raise InvalidRequest(
                    f"`{name}` says something only together with `input_format`.", param="input_format"
                )
        return None
    if kind == "g722":
        for name, value, only in (("input_sample_rate", sample_rate, _G722[0]), ("input_channels", channels, _G722[1])):
            if value not in (None, only):
                raise UnsupportedValue(f"G.722 has {name.removeprefix('input_').replace('_', ' ')} {only}.", param=name)
        return RawSound(kind, *_G722)
    if sample_rate is None or channels is None:
        missing = "input_sample_rate" if sample_rate is None else "input_channels"
        raise InvalidRequest(f"The `input_format` {kind} needs `{missing}` as well.", param=missing)
    return RawSound(kind, sample_rate, channels)
