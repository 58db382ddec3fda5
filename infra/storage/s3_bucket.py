"""A bucket that is not ours: read as it is, whatever its keys are called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.storage.base import BucketObject
from infra.storage.s3 import S3Storage
from infra.storage.s3_errors import typed_errors
from pipeline.errors import InputMissing


class S3Bucket(S3Storage):
    """As `infra.storage.base.Bucket` tells."""

    def objects(self, folder: str) -> Iterator[BucketObject]:
        with typed_errors():
            for found in self._objects(folder):
                yield _object(found["Key"], found["Size"], found)

    def head(self, key: str) -> BucketObject | None:
        try:
            with typed_errors():
                found = self._s3.head_object(Bucket=self.bucket, Key=key)
        except InputMissing:
            return None
        return _object(key, found["ContentLength"], found)

    def _name(self, key: str) -> str:
        return key


def _object(key: str, size: int, facts: dict[str, Any]) -> BucketObject:
    return BucketObject(key, int(size), str(facts["ETag"]).strip('"'), facts["LastModified"].timestamp())
