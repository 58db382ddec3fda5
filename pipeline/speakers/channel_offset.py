"""What the network says of a narrow channel whoever speaks through it, taken out of its vectors.

Without the sound above 4 kHz, and still more without that below 300 Hz too, all voices get something in common, by which two
persons on the telephone are as alike as one person is elsewhere. It is the same for all of them: the mean of many voices heard
through such channels (companding, Opus, MP3), none of which is any speaker's.
"""

from __future__ import annotations

import base64
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.speakers.filterbank import FILTERS, filter_hertz

Floats = NDArray[np.float32]

_LOUD = 95  # percentile of frames: vowels below, hisses above
_VOICE, _LOWS, _HIGHS = (500, 3300), (60, 230), (5000, 8000)  # Hz
_NO_HIGHS, _NO_LOWS = (
    -8.6,
    -8.1,
)  # natural logarithms of power against the voice's; speech through wide channels has more
_NARROW = (
    "XqUjpR+clqgUquKjMag3I+chmagMqeuhjqeHqkok4ClrJnYqpx02qe0tvybMqz0pKZ6knjOq7SmtpX2j3xVepOQdyRQfJQQpRagArAooMCCuKO2h"
    "iKs9JZse5KGNpKIjXSlTJguixaCCqNImnyRPK3ksoaOPp1AkYyKkpLkp4hhWKB2de6AhpOchlamYKHWdQB8JJB6r85+GI5opAiTQI2SmNydMqkgq"
    "NSmsKFgmKiRSpaqpZZ+4JC8oHiiHpJ8p0ykrqm+gnqj3pLmkvyuaJFOkHSXBJtkouxzVpY8lLKxeqE+qU5l1KjUoTylHJnWrCaroKZcXeKRApkkl"
    "VKjCKLMc0SYkJFKlpSYTqrIgqyVTpMKrBSFlJSKZcRWPJXMsq6ZBpqwjF6PrnXmpHiAMrEUijyr6FWmkrYw8EyynXqIlG2+pzRySnSgmmqaeJcek"
    "L6iJKeskpaWwKXEpyKKTI7klE6BepOemFqJJJoEmw6TQkiSpQqGZqlklcqUnpggn"
)
_TELEPHONE = (
    "vat3n8gnlqpRqSunbKihKCWnBKQ+rGIosiUDqo4mk6ElKO4nviraIN0tpiqpmz8vqCeQpUqngqEmIowsZSBdJEkbCKOeJEss16yIrHstaih+K6Ec"
    "4a3IKDEoPCRFq2ckJyiWI2GYjx91qjylKSL4K9krbKgwFJSpeSSYp/YtGSdBprahrqt9qT4g76HDok0mpCXdJ2ysMClYK1MnIaaCGo2sBSznqbYr"
    "oKiqJawwoizBrPOpcqzRFoEnqCiyqbQr3ymOJ9ynNaPxIH6qhJx5qcIqiKuQJ2csoKteIliieKxOKDCrSKR8H4Mpdyh1JZamd6vao2kcKqkEq8qh"
    "kCkoqY0n7ynBn5oiaBispWmpsyYHo3qt958eqRYoLahwJg4uBaAQrIwoJaaOIPig8qUTrRgn76UjqWqjuajMGtqoy6FpKNkmZCwfLbgkPCmhq8SN"
    "2R6uLKcs/q7IJrMomaR+GyAm/SnwpNegPqOeJgemzyvADF2cdKGFplQpv5U0hLcq"
)


def without_channel(vectors: Floats, frames: Floats) -> Floats:
    """The vectors, of unit length, of windows with these filterbanks (window, frame, filter), as if their channels were wide."""
    offsets = np.stack([_offset(window, vectors.shape[1]) for window in frames])
    left = vectors - offsets
    return np.asarray(left / np.maximum(np.linalg.norm(left, axis=1, keepdims=True), 1e-6), np.float32)


def _offset(window: Floats, size: int) -> Floats:
    """Nothing for a wide channel, nor for vectors of another network."""
    voice = _level(window, _VOICE)
    told = _TELEPHONE if _level(window, _LOWS) - voice < _NO_LOWS else _NARROW
    known = _vector(told)
    narrow = _level(window, _HIGHS) - voice < _NO_HIGHS and len(known) == size
    return known if narrow else np.zeros(size, np.float32)


def _level(window: Floats, hertz: tuple[int, int]) -> float:
    return float(np.percentile(window[:, _filters(*hertz)].mean(axis=1), _LOUD))


@cache
def _filters(lowest: int, highest: int) -> slice:
    inside = [at for at in range(FILTERS) if lowest < filter_hertz()[at] < highest]
    return slice(inside[0], inside[-1] + 1)


@cache
def _vector(text: str) -> Floats:
    return np.frombuffer(base64.b64decode(text), "<f2").astype(np.float32)
