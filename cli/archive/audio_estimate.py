"""How much sound an archive holds, guessed while it is heard: from bytes, by ending, as FLAC needs ten times those of MP3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath


def suffix(name: str) -> str:
    """Of a file's name, in small letters: ".mp3"; "" where it has none."""
    return PurePosixPath(name).suffix.lower()


class AudioEstimate:
    """Begins with the bytes of all recordings, by ending; what was heard of an ending tells of the rest of it."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._left = Counter(sizes)
        self._bytes, self._ms = Counter[str](), Counter[str]()

    def heard(self, name: str, size: int, ms: int) -> None:
        """A recording of so many bytes held so much sound: none, where it could not be heard."""
        kind = suffix(name)
        self._left[kind] -= size
        self._bytes[kind] += size
        self._ms[kind] += ms

    @property
    def left_ms(self) -> int:
        """Still to be heard. An ending of which nothing was heard yet is taken for as dense as the others together."""
        seen = self._bytes.total()
        if not seen:
            return 0
        usual = self._ms.total() / seen
        dense = {kind: self._ms[kind] / size for kind, size in self._bytes.items() if size}
        return round(sum(max(0, size) * dense.get(kind, usual) for kind, size in self._left.items()))
