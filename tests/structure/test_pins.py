"""constraints.txt: whatever an installation brings, down to the last dependency's dependency, in one version."""

import importlib.metadata
import re
import tomllib
from collections.abc import Iterable

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.repository import ROOT

OF_PYTHON = {"setuptools"}  # the environment's own builder, which one dependency names; nothing of ours imports it
PINS = [Requirement(line) for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if line]


def needed(requirements: Iterable[str], extras: frozenset[str] = frozenset({""})) -> set[str]:
    """The names of all that these bring along here."""
    found: set[str] = set()
    left = [(Requirement(text), extras) for text in requirements]
    while left:
        wanted, extras = left.pop()
        name = canonicalize_name(wanted.name)
        if not any(wanted.marker is None or wanted.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        inner = frozenset({"", *wanted.extras})
        if name not in found or wanted.extras:
            found.add(name)
            left += [(Requirement(text), inner) for text in importlib.metadata.requires(name) or ()]
    return found


def test_every_pin_is_one_version() -> None:
    loose = [str(pin) for pin in PINS if not re.fullmatch(r"==[^,*]+", str(pin.specifier))]
    assert loose == []


@pytest.mark.parametrize("extra", [None, "faster-whisper", "dev"])
def test_whatever_is_installed_is_pinned(extra: str | None) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    missing = needed(wanted) - {canonicalize_name(pin.name) for pin in PINS} - OF_PYTHON
    assert missing == set(), "pin them in constraints.txt"
