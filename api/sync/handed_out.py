"""What of a transcript has left for its client: that is paid, whatever ends the work or the connection."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.transcript import Segment

Told = tuple[Sequence[Segment], str]  # what has become certain, and who heard most so far


class HandedOut:
    """Whoever works says what is ready, whoever sends says how far that has left; both in order, in threads of their own."""

    def __init__(self) -> None:
        self._ready: list[Told] = []
        self._left = 0
        self._heard_ms = 0

    def ready(self, told: Told) -> None:
        """The next piece may be sent."""
        self._ready.append(told)

    def leaves(self) -> None:
        """The next piece is being sent. Said before, because nobody knows what of a broken answer still arrived."""
        self._left += 1

    def heard(self, ms: int) -> None:
        """So much sound has been heard for what is ready."""
        self._heard_ms = ms

    def until(self, *, gone: bool) -> HandedOut:
        """What the client has: all that is ready, unless it is `gone`."""
        part = HandedOut()
        part._ready = self._ready[: self._left] if gone else list(self._ready)
        part._heard_ms = self._heard_ms
        return part

    @property
    def milliseconds(self) -> int:
        """Of sound, from the beginning to the last segment's end; 0 where there is none."""
        last = next((segments[-1].end for segments, _ in reversed(self._ready) if segments), 0)
        return min(last, self._heard_ms)

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(segment.text.strip() for segments, _ in self._ready for segment in segments)

    @property
    def model_used(self) -> str:
        """Who heard most of it."""
        return self._ready[-1][1] if self._ready else ""
