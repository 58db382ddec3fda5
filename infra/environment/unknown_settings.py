"""Names in the environment that look like settings of ours and are none: a misspelt one would else be ignored in silence."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

MISSPELT_LETTERS = 2  # so many added, left out or changed: nobody means anything else
# What Kubernetes sets in a container beside each Service, whose name may begin as ours does.
_OF_KUBERNETES = re.compile(r"(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")


def unknown_names(names: Iterable[str], prefix: str, known: Collection[str]) -> list[str]:
    """Those that begin with the prefix and are neither `known` nor set by Kubernetes."""
    ours = (name for name in names if name.startswith(prefix) and name not in known)
    return sorted(name for name in ours if not _OF_KUBERNETES.fullmatch(name.removeprefix(prefix)))


def meant(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that it must be a misspelling of; None: there is none so near."""
    nearest = min(known, key=lambda one: (_letters(name, one), one), default="")
    return nearest if _letters(name, nearest) <= MISSPELT_LETTERS else None


def _letters(one: str, other: str) -> int:
    """How many letters must be added, left out or changed to come from one to the other (Levenshtein)."""
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        before, row[0] = row[0], at
        for place, wanted in enumerate(other, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (letter != wanted))
    return row[-1]
