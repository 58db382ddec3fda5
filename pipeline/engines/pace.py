"""How long each model works for a second of sound on this machine, as it has been seen to."""

from __future__ import annotations

import threading

_MEMORY = 0.9  # of what was seen before, at each further piece of work


class Paces:
    """By model, seconds of work for each second of sound; the latest pieces count most. Used by all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, float]] = {}

    def note(self, model: str, sound_ms: float, seconds: float) -> None:
        """A piece of work has ended."""
        if sound_ms <= 0:
            return
        with self._lock:
            sound, worked = self._seen.get(model, (0.0, 0.0))
            self._seen[model] = (_MEMORY * sound + sound_ms / 1000, _MEMORY * worked + seconds)

    def known(self) -> dict[str, float]:
        """Of the models that have worked here."""
        with self._lock:
            return {model: round(worked / sound, 4) for model, (sound, worked) in self._seen.items()}
