"""How many workers of a role there should be: as KEDA's scaler and the autoscaler behind it decide it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Policy:
    """`target` is what one worker should have waiting and in work, in seconds of sound; fewer workers only after `patience`
    seconds in which no more were needed."""

    least: int
    most: int
    target: float
    patience: float

    def wanted(self, load: float) -> int:
        """By the load of this moment alone."""
        return max(self.least, min(self.most, math.ceil(load / self.target)))


@dataclass
class Scaler:
    """What was wanted lately counts as long as it is young."""

    policy: Policy
    _lately: deque[tuple[float, int]] = field(default_factory=deque)

    def decide(self, at: float, load: float) -> int:
        """How many workers from now on. `at` is in seconds, and never goes back."""
        self._lately.append((at, self.policy.wanted(load)))
        while self._lately[0][0] < at - self.policy.patience:
            self._lately.popleft()
        return max(wanted for _, wanted in self._lately)
