"""Recordings in a bucket, read with this machine's own AWS credentials."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from cli.listing.found import BUCKET, Found, Listed, SourceMissing, Trouble
from infra.buckets.selection import Selection
from infra.storage import Bucket, open_bucket
from pipeline.errors import InputMissing, InvalidRequest


def parted(url: str) -> tuple[str, str]:
    """(bucket, key or prefix) of an `s3://` URL. A key is any text: nothing in it is escaped. Raises InvalidRequest."""
    bucket, _, key = url.removeprefix(BUCKET).partition("/")
    if not bucket or quote(bucket) != bucket:
        raise InvalidRequest(f"{url!r} is not a place such as s3://bucket/prefix", param="source")
    return bucket, key


class Buckets:
    """The buckets that were named, each opened once."""

    def __init__(self) -> None:
        self._opened: dict[str, Bucket] = {}

    def list(self, url: str, selection: Selection) -> Listed:
        """The object of that key, or all below that prefix, page by page. Raises StorageUnavailable."""
        name, key = parted(url)
        bucket = self._bucket(name)
        if key and not key.endswith("/") and (one := bucket.head(key)):
            if not selection.leaves_out(key.rpartition("/")[2]):
                yield Found(key.rpartition("/")[2], url, one.size, one.modified)
            return
        folder = f"{key.rstrip('/')}/" if key else ""
        for found in bucket.objects(folder):
            below = found.key.removeprefix(folder)
            if not below.endswith("/") and selection.takes(below):
                yield Found(below, f"{BUCKET}{name}/{found.key}", found.size, found.modified)

    def named(self, url: str, name: str) -> Listed:
        """The one object of that key."""
        bucket, key = parted(url)
        facts = self._bucket(bucket).head(key)
        if facts is None:
            yield Trouble(name, "source_missing", "There is no such object.")
        else:
            yield Found(name, url, facts.size, facts.modified)

    @contextmanager
    def copy(self, url: str) -> Iterator[Path]:
        """The object as a file of its own name, for as long as the context lasts. Raises SourceMissing, StorageUnavailable."""
        bucket, key = parted(url)
        with tempfile.TemporaryDirectory(prefix="stenopool-") as folder:
            path = Path(folder) / "recording"
            try:
                with path.open("wb") as file:
                    for block in self._bucket(bucket).blocks(key):
                        file.write(block)
            except InputMissing as error:
                raise SourceMissing("It is no longer in its bucket.") from error
            yield path

    def close(self) -> None:
        """Give back connections."""
        for bucket in self._opened.values():
            bucket.close()

    def _bucket(self, name: str) -> Bucket:
        if name not in self._opened:
            self._opened[name] = open_bucket(name)
        return self._opened[name]
