"""One line per figure: what was measured, against what, and whether it is within its target."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A measured value with its baseline; `good` is None where no target is set."""

    name: str
    value: str
    baseline: str = ""
    ratio: float | None = None
    target: str = ""
    good: bool | None = None

    def __str__(self) -> str:
        verdict = {True: "ok", False: "MISSED", None: ""}[self.good]
        ratio = "" if self.ratio is None else f"{self.ratio:.3f}"
        return f"  {self.name:<58} {self.value:>14} {self.baseline:>18} {ratio:>9} {self.target:>16} {verdict}"


HEADER = f"  {'figure':<58} {'measured':>14} {'baseline':>18} {'ratio':>9} {'target':>16}"
