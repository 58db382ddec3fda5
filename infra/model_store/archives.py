"""What packages hold, read as data: no line of them is imported or run, and no name in them becomes a path of ours."""

from __future__ import annotations

import contextlib
import gzip
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from infra.model_store.errors import SourceFailed

BROKEN = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError)
WHEELS, SOURCES = (".whl", ".zip"), (".tar.gz", ".tgz", ".tar")


def is_archive(path: Path) -> bool:
    """By its name."""
    return path.name.endswith((*WHEELS, *SOURCES))


def package_of(archive: Path) -> str:
    """The package's name as registries compare it; the file's own where it is not called as a package's archive is."""
    with contextlib.suppress(InvalidWheelFilename):
        return parse_wheel_filename(archive.name)[0]
    with contextlib.suppress(InvalidSdistFilename):
        return parse_sdist_filename(archive.name)[0]
    return canonicalize_name(archive.name)


@contextlib.contextmanager
def opened(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """The member of that path, or of a path that ends so: a source archive puts a folder around all. Raises SourceFailed."""
    check_readable(archive)
    try:
        with _of_wheel(archive, member) if archive.name.endswith(WHEELS) else _of_source(archive, member) as content:
            yield content
    except BROKEN as error:
        raise SourceFailed(f"{archive.name} is cut off or damaged ({error})") from error


def check_readable(path: Path) -> None:
    """Raises SourceFailed, so that it is not taken for a fault of the place that is written to."""
    if not os.access(path, os.R_OK):
        raise SourceFailed(f"{path} cannot be read")


@contextlib.contextmanager
def _of_wheel(archive: Path, member: str) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(archive) as package, package.open(_only(archive, member, package.namelist())) as content:
        yield content


@contextlib.contextmanager
def _of_source(archive: Path, member: str) -> Iterator[IO[bytes]]:
    with tarfile.open(archive) as package:
        name = _only(archive, member, [one.name for one in package if one.isfile()])
        content = package.extractfile(name)
        assert content is not None, "only plain files were asked for"
        with content:
            yield content


def _only(archive: Path, member: str, names: Sequence[str]) -> str:
    found = [name for name in names if name == member or name.endswith(f"/{member}")]
    if len(found) != 1:
        raise SourceFailed(f"{archive.name} holds {len(found) or 'no'} files called {member}")
    return found[0]
