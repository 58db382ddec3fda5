"""What is known of each model's weights before they are there: who publishes them, in which files, with which hashes.

`shipped.toml` holds these as data. A model has one source or several, best first, and each of them says by itself what its files
are: two publishers' conversions of the same model differ byte by byte.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.options import Task

SHIPPED = Path(__file__).with_name("shipped.toml")


class Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Original(Row):
    """What is published where a file of ours is made of it, when it is installed; `by` names how (pipeline.weights.conversion)."""

    by: Literal["campplus", "segmentation"]
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class File(Row):
    """One file of a model, as engines want to find it.

    `parts` are the pieces to be joined, in order, each as `package/path inside it`; without them it is published as it is. With an
    `original` the pieces joined are that one, and this file is made of it. What is not `needed` makes the model better: with it
    gone or cut off the model still serves.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    parts: tuple[str, ...] = ()
    original: Original | None = None
    needed: bool = True


class Package(Row):
    """One package of a registry, of which exactly this version is taken; `size` is that of its archive, in bytes.

    `python` and `platform` name one of several archives as pip calls them: it is taken on every machine, for it is data.
    """

    name: str
    version: str
    size: int = Field(ge=0)
    python: str = ""
    platform: str = ""


class Source(Row):
    """Where weights can be had: packages of the registry that pip is configured for, or a repository of the Hugging Face hub."""

    kind: Literal["registry", "hub"]
    packages: tuple[Package, ...] = ()
    repository: str = ""
    revision: str = ""
    files: tuple[File, ...] = Field(min_length=1)

    @property
    def needed(self) -> tuple[File, ...]:
        """The files without which the model does not serve."""
        return tuple(file for file in self.files if file.needed)

    @property
    def size(self) -> int:
        """Bytes of the model on the disk."""
        return sum(file.size for file in self.files)

    @property
    def packed(self) -> int:
        """Bytes of its packages."""
        return sum(package.size for package in self.packages)

    @property
    def told(self) -> str:
        """In words."""
        if self.kind == "hub":
            return f"{self.repository}@{self.revision[:7]} on the Hugging Face hub"
        return f"{', '.join(f'{one.name} {one.version}' for one in self.packages)} from pip's index"


class Weights(Row):
    """One model's weights. For the tasks it `serves`, the catalog's provider of this name stands in where they are installed."""

    name: str
    description: str
    licence: str
    serves: tuple[Task, ...] = ()
    sources: tuple[Source, ...] = Field(min_length=1)


def shipped_weights(path: Path = SHIPPED) -> Mapping[str, Weights]:
    """All that are described, by name."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: Weights.model_validate({"name": name, **table}) for name, table in tables.items()}
