"""A place in a bucket, `s3://bucket/key`, as a caller or the operator writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.errors import InvalidRequest

MOST_BYTES = 1024  # of a key
_URI = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9])(?:/(.*))?", re.DOTALL)
_STEPS = frozenset({".", ".."})  # which some servers, and everybody who mirrors a bucket in folders, take for a way


@dataclass(frozen=True, slots=True)
class S3Path:
    """An object, or with a slash at its end, or nothing in it, all that is below."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str, *, param: str) -> S3Path:
        """Raises InvalidRequest naming the field."""
        found = _URI.fullmatch(uri)
        key = (found[2] or "") if found else ""
        if not found or "\0" in key or len(key.encode()) > MOST_BYTES or _STEPS & set(key.split("/")):
            told = (
                "A place in a bucket is written s3://bucket/prefix/ or s3://bucket/key, without `.` and `..` as a part."
            )
            raise InvalidRequest(told, param=param)
        return cls(found[1], key)

    @property
    def uri(self) -> str:
        """As it is written."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def folder(self) -> S3Path:
        """The same as a folder: all that is below."""
        return S3Path(self.bucket, self.key if self.key.endswith("/") or not self.key else f"{self.key}/")

    def below(self, name: str) -> S3Path:
        """What is called so in this folder."""
        return S3Path(self.bucket, self.folder.key + name)

    def holds(self, other: S3Path) -> bool:
        """Whether the other one is this place or below it: up to a slash, never by a name's beginning."""
        mine = self.folder.key
        return other.bucket == self.bucket and (other.key.startswith(mine) or other.folder.key == mine)
