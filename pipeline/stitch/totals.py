"""What chunks say besides their words, added up: language, model, tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add

from pipeline.transcript import Heard, Logprob, TokenUsage


class Totals:
    """Takes the answers for chunks with speech in index order."""

    def __init__(self) -> None:
        self.logprobs: list[Logprob] = []
        self._languages: defaultdict[str, int] = defaultdict(int)
        self._models: defaultdict[str, int] = defaultdict(int)
        self._named: dict[str, None] = {}  # languages in the order they were first heard
        self._usages: list[TokenUsage | None] = []

    def take(self, part: Heard, *, given_way: int = 0, skipped: int = 0) -> None:
        """One chunk's answer; what it says counts by how long it speaks.

        At the seam before it, so many letters of what was there have given way, and so many of its own are skipped.
        """
        spoken = sum(segment.end - segment.start + 1 for segment in part.segments)
        self._languages[part.language or ""] += spoken
        self._models[part.model_used] += 1
        self._named |= dict.fromkeys(part.languages or ((part.language,) if part.language and spoken else ()))
        self._usages.append(part.usage)
        if self.logprobs and part.logprobs:
            del self.logprobs[len(self.logprobs) - _tokens(reversed(self.logprobs), given_way) :]
            self.logprobs += part.logprobs[_tokens(part.logprobs, skipped) :]
        else:
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


def letters(text: str) -> int:
    """How many characters there are that are not white space."""
    return sum(map(len, text.split()))


def _tokens(logprobs: Iterable[Logprob], count: int) -> int:
    """How many tokens so many letters take."""
    number = 0
    for one in logprobs:
        if count <= 0:
            break
        count -= letters(one.token)
        number += 1
    return number


def _most(counts: Mapping[str, int]) -> str:
    """The most frequent that is not empty, the first of equals."""
    return max((name for name in counts if name), key=lambda name: counts[name], default="")
