"""What the words of the command mean: each source is a bucket, a glob, a folder, a zip archive or a file, or a line of a list."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from cli.listing import folders, manifest, zips
from cli.listing.buckets import Buckets
from cli.listing.found import BUCKET, ZIP, Found, Listed, Trouble, shown
from infra.buckets.selection import Selection
from pipeline.errors import InvalidRequest


@dataclass(frozen=True)
class Sources:
    """What was named. `avoid`: folders of outputs, which are not searched."""

    words: tuple[str, ...]
    selection: Selection
    files_from: str | None = None
    manifest: str | None = None
    avoid: tuple[Path, ...] = ()

    def listed(self, buckets: Buckets) -> Listed:
        """Every recording, one at a time. Raises InvalidRequest for a source that is not there, StorageUnavailable."""
        lists = [manifest.names_in(self.files_from)] if self.files_from else []
        lists += [manifest.lines_of(self.manifest)] if self.manifest else []
        if lists:
            base = self._base()
            for source, own in (line for one in lists for line in one):
                yield from self._line(source, own, base, buckets)
            return
        avoid = frozenset(found for one in self.avoid if (found := folders.identity(one)))
        for word in self.words:
            yield from self._word(word, avoid, buckets)

    def _word(self, word: str, avoid: frozenset[folders.Identity], buckets: Buckets) -> Listed:
        path = Path(word)
        if word.startswith(BUCKET):
            return buckets.list(word, self.selection)
        if folders.is_glob(word):
            return folders.by_glob(word, self.selection, avoid)
        if path.is_dir():
            return folders.below(path, self.selection, avoid - {folders.identity(path)})
        if not path.exists():
            raise InvalidRequest(f"{word}: there is no such file or folder", param="source")
        if zips.is_zip(path):
            return zips.members(path, "", self.selection)
        return folders.one_file(path, path.name, self.selection)

    def _base(self) -> str:
        """What the lines of a list are relative to."""
        if len(self.words) > 1:
            raise InvalidRequest(
                "A list or manifest is relative to one source, or to the current folder.", param="source"
            )
        return self.words[0] if self.words else "."

    def _line(self, source: str, own: dict[str, object], base: str, buckets: Buckets) -> Listed:
        for one in self._found(source, base, buckets):
            yield Found(one.name, one.place, one.size, one.modified, own) if isinstance(one, Found) else one

    def _found(self, source: str, base: str, buckets: Buckets) -> Iterator[Found | Trouble]:
        if source.startswith(BUCKET) or base.startswith(BUCKET):
            whole = source if source.startswith(BUCKET) else f"{base.rstrip('/')}/{source}"
            inside = whole.removeprefix(f"{base.rstrip('/')}/") if base.startswith(BUCKET) else whole
            return buckets.named(whole, inside.removeprefix(BUCKET).partition("/")[2] if inside == whole else inside)
        path = Path(base, source)
        inside = os.path.relpath(path.absolute(), Path(base).absolute())
        name = inside if not inside.startswith("..") else str(path.absolute()).lstrip("/")
        return folders.one_file(path, name, self.selection)


def opened(place: str, buckets: Buckets) -> AbstractContextManager[Path]:
    """A recording as a file to read, for as long as the context lasts.

    Raises SourceMissing, StorageUnavailable, MemberUnreadable.
    """
    if place.startswith(BUCKET):
        return buckets.copy(place)
    return zips.copy(place) if place.startswith(ZIP) else nullcontext(Path(place))


def filename(name: str) -> str:
    """Its last part, as it is sent along."""
    return shown(name).rpartition("/")[2]
