"""A window whose first text is not to be believed is decoded again, as Whisper does it: each try with more chance in it.

Each try is a turn at the engine: whoever shares it waits for one of them, and not for all.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.whisper.window import Window
from pipeline.whisper_filter import is_doubtful, is_silence, more_likely

_TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)  # of Whisper's own fallback

Again = Callable[[str, float], Window]  # with this language and temperature


def believed(first: Window, again: Again) -> Window:
    """The first text, or the likelier one of another try; after one that is not doubtful there is no further."""
    best = tried = first
    for temperature in _TEMPERATURES:
        if not is_doubtful(tried.found) or is_silence(tried.found):
            break
        tried = again(first.language, temperature)
        if more_likely(best.found, tried.found) is tried.found:
            best = tried
    return best
