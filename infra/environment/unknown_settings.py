"""Names in the environment that look like settings of ours and are none: a misspelt one would else be ignored in silence."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from pipeline.text.misspelling import letters_apart

MISSPELT_LETTERS = 2  # so many apart: nobody means anything else
# What Kubernetes sets in a container beside each Service, whose name may begin as ours does.
_OF_KUBERNETES = re.compile(r"(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")


def unknown_names(names: Iterable[str], prefix: str, known: Collection[str]) -> list[str]:
    """Those that begin with the prefix and are neither `known` nor set by Kubernetes."""
    ours = (name for name in names if name.startswith(prefix) and name not in known)
    return sorted(name for name in ours if not _OF_KUBERNETES.fullmatch(name.removeprefix(prefix)))


def meant(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that it must be a misspelling of; None: there is none so near."""
    near = [(letters, one) for one in known if (letters := letters_apart(name, one, MISSPELT_LETTERS)) is not None]
    return min(near)[1] if near else None
