"""What a whole archive may cost: room is taken before a recording is sent, and given back where it was not needed."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from cli.archive.hearer import Price
from cli.archive.plan import Caps
from pipeline.errors import InvalidRequest, StenopoolError

MARGIN = 1.02  # of what a recording may cost beyond what its length says, before its job is refused


class CapReached(StenopoolError):
    """A cap was reached."""

    code = "cap_reached"


@dataclass(frozen=True)
class Room:
    """What one recording takes at most."""

    cost_micro: int = 0
    audio_ms: int = 0
    files: int = 1


def room_for(milliseconds: int, price: Price | None) -> Room:
    """What a recording of this length takes at most."""
    return Room(round(price.of(milliseconds) * MARGIN) + 1 if price and price.per_ms else 0, milliseconds)


def check_priced(caps: Caps, price: Price | None) -> None:
    """Raises InvalidRequest: a cap on money needs to know it, before any work."""
    if caps.cost_micro is not None and price is None:
        raise InvalidRequest("--max-cost: whoever hears here does not tell what it costs.", param="max_cost")


class Budget:
    """The caps of a run, and how much is spent or may be. Thread-safe."""

    def __init__(self, caps: Caps, spent: tuple[int, int, int]) -> None:
        self._caps, self._spent = caps, Room(*spent)
        self._taken = Room(files=0)
        self._changed = threading.Condition()

    def take(self, room: Room) -> None:
        """Room for one recording; waits while what runs may turn out to need less. Raises CapReached.

        With the cutoff `soft` there is room as long as the cap is not reached, however much is asked for.
        """
        with self._changed:
            while told := self._full(room):
                if not self._taken.files:
                    raise CapReached(told)
                self._changed.wait()
            self._taken = _sum(self._taken, room)

    def settle(self, room: Room, used: Room) -> None:
        """It has ended: this much was needed of it."""
        with self._changed:
            self._taken = _sum(self._taken, Room(-room.cost_micro, -room.audio_ms, -room.files))
            self._spent = _sum(self._spent, used)
            self._changed.notify_all()

    def _full(self, room: Room) -> str:
        caps, asked = self._caps, room if self._caps.cutoff == "hard" else Room(1, 1, 1)
        spent = self._spent if caps.cutoff == "soft" else _sum(self._spent, self._taken)
        files = _sum(self._spent, self._taken).files  # which are counted however they are cut off
        if caps.files is not None and files + room.files > caps.files:
            return f"--max-files: {caps.files} recordings are heard."
        if caps.cost_micro is not None and spent.cost_micro + asked.cost_micro > caps.cost_micro:
            return f"--max-cost: {spent.cost_micro / 1e6:.6f} of {caps.cost_micro / 1e6:.6f} USD are spent."
        if caps.audio_ms is not None and spent.audio_ms + asked.audio_ms > caps.audio_ms:
            return f"--max-duration: {spent.audio_ms / 3.6e6:.3f} of {caps.audio_ms / 3.6e6:.3f} hours are heard."
        return ""


def _sum(one: Room, other: Room) -> Room:
    return Room(one.cost_micro + other.cost_micro, one.audio_ms + other.audio_ms, one.files + other.files)
