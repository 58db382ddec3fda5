"""What chunks say besides their words, added up: language, model, tokens."""

from __future__ import annotations

from collections import Counter
from functools import reduce
from operator import add

from pipeline.transcript import Heard, Logprob, TokenUsage


class Tally:
    """Takes the answers for chunks with speech in index order."""

    def __init__(self) -> None:
        self.logprobs: list[Logprob] = []
        self._languages: Counter[str] = Counter()
        self._models: Counter[str] = Counter()
        self._named: dict[str, None] = {}  # languages in the order they were first heard
        self._usages: list[TokenUsage | None] = []

    def take(self, part: Heard) -> None:
        """One chunk's answer; what it says counts by how long it speaks."""
        spoken = sum(segment.end - segment.start + 1 for segment in part.segments)
        self._languages[part.language or ""] += spoken
        self._models[part.model_used] += 1
        self._named |= dict.fromkeys(part.languages or ((part.language,) if part.language and spoken else ()))
        self._usages.append(part.usage)
        self.logprobs += part.logprobs

    @property
    def language(self) -> str | None:
        """What most of the speech is in, the first of equals."""
        return _most(self._languages) or None

    @property
    def languages(self) -> tuple[str, ...]:
        """All that were heard, when there are several."""
        return tuple(self._named) if len(self._named) > 1 else ()

    @property
    def model(self) -> str:
        """Who answered most often."""
        return _most(self._models)

    @property
    def usage(self) -> TokenUsage | None:
        """The sum; None unless every answer was counted."""
        counted = [usage for usage in self._usages if usage is not None]
        return reduce(add, counted) if counted and len(counted) == len(self._usages) else None


def _most(counts: Counter[str]) -> str:
    """The most frequent that is not empty, the first of equals."""
    return max((name for name in counts if name), key=lambda name: counts[name], default="")
