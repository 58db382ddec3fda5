"""A local engine as its callers see it, wherever its processes are, and what makes one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class EngineSpec:
    """Which engine: a class, "module:class", and its plain arguments, both of which its process imports and makes.

    `processes` at once at most, unless 0 as many as the machine has for engines; `network` only for one that fetches its own model.
    """

    provider: str
    target: str
    arguments: tuple[Any, ...] = ()
    processes: int = 0
    network: bool = False
    quick: float = 0.0  # calls that cost no more find one process more: where the others cannot be interrupted for long
    patience_s: float = field(default=600.0, compare=False)  # for a free process


class Engine(Protocol):
    """Calls from any thread, each waiting for a free process in its owner's turn. Arguments and answers are plain (`wire`)."""

    @property
    def has_line(self) -> bool:
        """Whether others share it and it says itself how many it takes at once: whoever calls may wait longer than it works."""
        ...

    def call(self, method: str, *arguments: Any, timeout: float, cost: float = 1.0) -> Any:
        """What the engine's method returns or raises, within `timeout` seconds of work.

        `cost` is what it counts as among the owners who share the engine: seconds of sound, where there is any. Where its process
        dies, the work is done once more. Raises EngineLost when it dies again or overruns, ProviderBusy, AccountBusy, and
        ProviderError for any exception of the engine's that is not one of ours already.
        """
        ...

    def each(
        self, method: str, pieces: Sequence[Any], *arguments: Any, together: int, timeout: float, costs: Sequence[float]
    ) -> Iterator[Any]:
        """The method's answers for the pieces, in order, each as soon as it is there. It takes a list of pieces.

        A turn is `together` pieces at most, and a single one while others wait. Between turns whoever stops the work is heard
        (`pipeline.concurrency.stopping`). `timeout` and `costs` are those of each piece. Raises as `call`, and what stops it.
        """
        ...

    def close(self) -> None:
        """Let go of it; calls under way and later ones raise EngineLost."""
        ...
