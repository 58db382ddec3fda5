"""A model's files made of what was fetched: joined in order, and each compared with the hash that was promised."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from infra.model_store.archives import check_readable, is_archive, opened, package_of
from infra.model_store.errors import ContentDiffers, SourceFailed
from pipeline.weights.conversion import campplus, segmentation
from pipeline.weights.conversion.checkpoint import CheckpointUnreadable, Tensors, tensors
from pipeline.weights.description import File, Original, Source

BLOCK = 1 << 20  # bytes copied at a time
_CONVERSIONS: Mapping[str, Callable[[Tensors], bytes]] = {
    "campplus": campplus.graph,
    "segmentation": segmentation.graph,
}


def places_in(given: Path) -> tuple[Path, ...]:
    """What there is to look into: the archives in a folder and the folder itself, or the one archive or file that was given."""
    if not given.is_dir():
        return (given,)
    return (*sorted(path for path in given.iterdir() if path.is_file() and is_archive(path)), given)


def assemble(source: Source, places: Sequence[Path], target: Path) -> None:
    """Write all files of `source` into the empty folder `target`.

    Raises SourceFailed where a piece is not there, ContentDiffers where it is not what was published, OSError of the target.
    """
    for file in source.files:
        with (target / file.name).open("xb") as written:
            _write(file, places, written)
            written.flush()
            os.fsync(written.fileno())


def _write(file: File, places: Sequence[Path], target: IO[bytes]) -> None:
    """A file that is given as it shall be is copied; the one that it is made of is converted first."""
    pieces = [_plain(path)] if (path := _as_it_is(file.name, places)) else _pieces(file, places)
    if file.original is None or path:
        _copy(file.name, file, pieces, target)
        return
    original = io.BytesIO()
    _copy(f"what {file.name} is made of", file.original, pieces, original)
    _copy(file.name, file, [io.BytesIO(_converted(file.original, original.getvalue()))], target)


def _copy(
    name: str,
    promised: File | Original,
    pieces: Sequence[contextlib.AbstractContextManager[IO[bytes]]],
    target: IO[bytes],
) -> None:
    """All pieces, one after the other. Raises ContentDiffers where they are not what was promised."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        with piece as content:
            # One byte more than promised tells too much; an archive that unfolds without end is not followed further.
            while block := content.read(min(BLOCK, promised.size - size + 1)):
                size += len(block)
                digest.update(block)
                target.write(block)
                if size > promised.size:
                    raise ContentDiffers(f"{name} is longer than the {promised.size} bytes that were published")
    if size < promised.size:
        raise ContentDiffers(f"{name} is cut off: {size} of {promised.size} bytes")
    if digest.hexdigest() != promised.sha256:
        raise ContentDiffers(f"{name} is not what was published: its SHA-256 is {digest.hexdigest()}")


def _converted(original: Original, content: bytes) -> bytes:
    try:
        return _CONVERSIONS[original.by](tensors(content))
    except (CheckpointUnreadable, KeyError, ValueError) as error:
        raise ContentDiffers(f"it cannot be converted: {error}") from error


def _as_it_is(name: str, places: Sequence[Path]) -> Path | None:
    """A plain file of that name."""
    named = (place / name if place.is_dir() else place for place in places)
    return next((path for path in named if path.name == name and path.is_file()), None)


def _pieces(file: File, places: Sequence[Path]) -> list[contextlib.AbstractContextManager[IO[bytes]]]:
    """The parts out of packages, in order. Raises SourceFailed."""
    if not file.parts:
        return [opened(_archive(file.name, places), file.name)]
    return [opened(_of_package(part.split("/")[0], file, places), part.split("/", 1)[1]) for part in file.parts]


def _archive(name: str, places: Sequence[Path]) -> Path:
    """The only archive there is."""
    archives = [place for place in places if is_archive(place) and place.is_file()]
    if len(archives) != 1:
        raise SourceFailed(f"there is no {name}")
    return archives[0]


def _of_package(package: str, file: File, places: Sequence[Path]) -> Path:
    found = next((place for place in places if place.is_file() and package_of(place) == package), None)
    if found is None:
        raise SourceFailed(f"there is neither {file.name} nor an archive of {package} to make it of")
    return found


@contextlib.contextmanager
def _plain(path: Path) -> Iterator[IO[bytes]]:
    check_readable(path)
    with path.open("rb") as content:
        yield content
