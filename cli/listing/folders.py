"""Recordings in folders: named one by one, below a folder, or by a glob."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from wcmatch import glob

from cli.listing import zips
from cli.listing.found import Found, Listed, Trouble, shown
from infra.buckets.selection import Selection

_GLOB = glob.GLOBSTAR | glob.BRACE
Identity = tuple[int, int]  # device and inode


def one_file(path: Path, name: str, selection: Selection) -> Listed:
    """A file that was named by itself, whatever it is called; of a zip archive the recordings in it."""
    if selection.leaves_out(name):
        return
    if zips.is_zip(path):
        yield from zips.members(path, name, selection)
        return
    try:
        facts = path.stat()
    except OSError as error:
        yield Trouble(shown(name), "source_missing", _why(error))
        return
    yield from _of_facts(path, name, facts)


def below(folder: Path, selection: Selection, avoid: frozenset[Identity]) -> Listed:
    """Every recording of a folder, in the order of names, links followed; `avoid` are folders that are not entered."""
    yield from _entries(folder, "", selection, avoid, ())


def by_glob(pattern: str, selection: Selection, avoid: frozenset[Identity]) -> Listed:
    """What a pattern finds on this machine; names are counted from the last folder before the first sign of the pattern."""
    plain = Path(*_plain_parts(pattern))
    for found in sorted(glob.iglob(pattern, flags=_GLOB)):
        path = Path(found)
        if path.is_file():
            yield from one_file(path, os.path.relpath(path, plain), selection)
        elif path.is_dir() and "**" not in pattern:  # else what is in it is found by itself
            for one in below(path, selection, avoid):
                yield _moved(one, os.path.relpath(path, plain))


def is_glob(text: str) -> bool:
    """Whether it is a pattern, and no path that is there."""
    return bool(glob.is_magic(text, flags=_GLOB)) and not Path(text).exists()


def identity(folder: Path) -> Identity | None:
    """By what one knows a folder again, whatever path led to it; None where there is none."""
    try:
        facts = folder.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _plain_parts(pattern: str) -> Iterator[str]:
    parts = Path(pattern).parts
    for part in parts[:-1]:
        if glob.is_magic(part, flags=_GLOB):
            return
        yield part


def _moved(one: Found | Trouble, folder: str) -> Found | Trouble:
    name = f"{shown(folder)}/{one.name}"
    if isinstance(one, Trouble):
        return Trouble(name, one.code, one.message, one.harmless)
    return Found(name, one.place, one.size, one.modified)


def _entries(
    folder: Path, name: str, selection: Selection, avoid: frozenset[Identity], above: tuple[Identity, ...]
) -> Listed:
    here = identity(folder)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Trouble(shown(name) or ".", "folder_unreadable", f"The folder cannot be read: {error.strerror}.")
        return
    inner = (*above, here) if here else above
    for entry in entries:
        below_it = f"{name}/{entry.name}" if name else entry.name
        yield from _entry(entry, below_it, selection, avoid, inner)


def _entry(
    entry: os.DirEntry[str], name: str, selection: Selection, avoid: frozenset[Identity], above: tuple[Identity, ...]
) -> Listed:
    path = Path(entry.path)
    if _is_folder(entry):
        known = identity(path)
        if known in above:
            yield Trouble(shown(name), "link_loop", "This link leads back to a folder above it.", harmless=True)
        elif known in avoid:
            yield Trouble(shown(name), "output_folder", "The outputs go here; it is not searched.", harmless=True)
        elif selection.names_hidden or not entry.name.startswith("."):
            yield from _entries(path, name, selection, avoid, above)
    elif selection.takes(shown(name)):
        yield from one_file(path, name, selection)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _of_facts(path: Path, name: str, facts: os.stat_result) -> Listed:
    if not stat.S_ISREG(facts.st_mode):
        yield Trouble(shown(name), "not_a_file", "This is no file.")
    else:
        yield Found(shown(name), str(path.absolute()), facts.st_size, facts.st_mtime)


def _why(error: OSError) -> str:
    return "There is no such file." if isinstance(error, FileNotFoundError) else f"It cannot be read: {error.strerror}."
