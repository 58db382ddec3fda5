"""The folder in which weights are installed, one folder per model: read here, written by the installer alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.weights.description import File, Source, Weights

SPEAKERS = "speakers"
BLOCK = 1 << 20  # bytes read at a time


class WeightsFolder:
    """Which of the described weights are there. Nothing is written: it may belong to somebody else, or be read-only."""

    def __init__(self, root: Path, described: Mapping[str, Weights]) -> None:
        self.root = root
        self.described = described

    def path(self, name: str) -> Path:
        """Where the model lies, or would."""
        return self.root / name

    def installed(self, name: str) -> Path | None:
        """Its folder, if all files that it needs are there in their full length; what is in them, `damage` tells."""
        return self.path(name) if self._source(name) else None

    @property
    def serving(self) -> dict[str, Path]:
        """By name, the folders of those that are installed and that the catalog's provider of that name uses."""
        folders = {name: self.installed(name) for name, weights in self.described.items() if weights.serves}
        return {name: folder for name, folder in folders.items() if folder}

    @property
    def cut_short(self) -> dict[str, str]:
        """By name, what is missing of those whose folder is there and which can not serve for it, in words."""
        there = [name for name in self.described if self.path(name).is_dir() and not self.installed(name)]
        return {name: _missing(self.path(name), self.described[name].sources[0].needed) for name in there}

    @property
    def speakers(self) -> Path | None:
        """The folder of the voices' model, if it is installed."""
        return self.installed(SPEAKERS) if SPEAKERS in self.described else None

    def damage(self, name: str) -> str:
        """What is wrong with the files that are there, in words; nothing where each has the content that was promised."""
        source, folder = self._source(name) or self.described[name].sources[0], self.path(name)
        if missing := _missing(folder, source.files):
            return missing
        changed = (file.name for file in source.files if _sha256(folder / file.name) != file.sha256)
        return next((f"{name} is not what was published: its SHA-256 differs" for name in changed), "")

    def _source(self, name: str) -> Source | None:
        """Whose files these are, by their sizes."""
        folder = self.path(name)
        return next((source for source in self.described[name].sources if not _missing(folder, source.needed)), None)


def _missing(folder: Path, files: Iterable[File]) -> str:
    for file in files:
        try:
            size = (folder / file.name).stat().st_size
        except OSError:
            return f"{file.name} is missing"
        if size != file.size:
            return f"{file.name} has {size} bytes instead of {file.size}"
    return ""


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
