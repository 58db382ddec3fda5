"""Recordings in a zip archive, read one at a time out of it, as if it were a folder; it is never unpacked as a whole.

By the standard library: it streams a member from where the archive's own directory says it is, which whoever reads an archive
from its beginning has to find anew for each.
"""

from __future__ import annotations

import lzma
import os
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, unquote_to_bytes

from cli.listing.found import ZIP, Found, Listed, SourceMissing, Trouble, shown
from infra.buckets.selection import Selection
from pipeline.errors import InvalidRequest

_ENCRYPTED = 0x1  # of a member's flags
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)


class MemberUnreadable(InvalidRequest):
    """It cannot be read out of its zip archive."""

    code = "member_unreadable"


def is_zip(path: Path) -> bool:
    """By its name and by what it holds."""
    return path.suffix.lower() == ".zip" and path.is_file() and zipfile.is_zipfile(path)


def members(path: Path, name: str, selection: Selection) -> Listed:
    """Those that are meant; their names are those in the archive, below `name` where it is one of several sources."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = archive.infolist()
    except _BROKEN as error:
        yield Trouble(shown(name or path.name), "zip_unreadable", f"The zip archive cannot be read: {error}.")
        return
    for one in found:
        whole = f"{shown(name)}/{one.filename}" if name else one.filename
        if one.is_dir() or not selection.takes(one.filename):
            continue
        if one.flag_bits & _ENCRYPTED:
            yield Trouble(whole, "encrypted", "It is encrypted in its zip archive; unpack it first.")
        else:
            yield Found(whole, _place(path, one.filename), one.file_size, _moment(one))


@contextmanager
def copy(place: str) -> Iterator[Path]:
    """The member as a file, for as long as the context lasts. Raises SourceMissing, MemberUnreadable."""
    outer, _, inner = place.removeprefix(ZIP).partition("!")
    with tempfile.TemporaryDirectory(prefix="stenopool-") as folder:
        path = Path(folder) / "recording"
        try:
            with (
                zipfile.ZipFile(os.fsdecode(unquote_to_bytes(outer))) as archive,
                archive.open(unquote(inner)) as source,
                path.open("wb") as to,
            ):
                shutil.copyfileobj(source, to)
        except (KeyError, FileNotFoundError) as error:
            raise SourceMissing("It is no longer in its zip archive.") from error
        except _BROKEN as error:
            raise MemberUnreadable(f"It cannot be read out of its zip archive: {error}.") from error
        yield path


def _place(path: Path, member: str) -> str:
    return f"{ZIP}{quote(os.fsencode(path.absolute()))}!{quote(member)}"


def _moment(member: zipfile.ZipInfo) -> float:
    """Epoch seconds, as this machine reads a time without a zone."""
    try:
        return time.mktime((*member.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        return 0.0
