"""A bucket of somebody else, which is read and written and never made or emptied."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from functools import partial
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.storage.base import BucketObject, ObjectWriter
from infra.storage.s3 import PAGE, s3_client
from infra.storage.s3_download import Opened, resumed
from infra.storage.s3_errors import VENDOR_ERRORS, code_of, translated, typed_errors
from infra.storage.s3_writer import PartWriter
from pipeline.errors import InputMissing, SourceChanged, StenopoolError, StorageUnavailable

_CHANGED = {"412", "PreconditionFailed"}


def open_foreign(name: str, endpoint_url: str | None, profile: str | None) -> S3Bucket:
    """The bucket of this name, with the usual credentials or those of a profile in the usual files."""
    region = None if profile else os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    with typed_errors():
        session = boto3.session.Session(region_name=region, profile_name=profile)
        return S3Bucket(name, s3_client(session, 3, 20, 3, endpoint_url))


class S3Bucket:
    """As `infra.storage.base.Bucket` tells."""

    def __init__(self, name: str, client: Any) -> None:
        self._name, self._s3 = name, client

    def objects(self, folder: str) -> Iterator[BucketObject]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._name, Prefix=folder, PaginationConfig={"PageSize": PAGE}
        )
        with typed_errors():
            for page in pages:
                for found in page.get("Contents", ()):
                    yield _object(found["Key"], found["Size"], found)

    def head(self, key: str) -> BucketObject | None:
        try:
            with typed_errors():
                found = self._s3.head_object(Bucket=self._name, Key=key)
        except InputMissing:
            return None
        return _object(key, found["ContentLength"], found)

    def blocks(self, key: str, etag: str | None = None) -> Generator[bytes, None, None]:
        return resumed(partial(self._open, key), etag=etag)

    def writer(self, key: str) -> ObjectWriter:
        return PartWriter(self._s3, self._name, key, make_bucket=self._missing)

    def close(self) -> None:
        self._s3.close()

    def _open(self, key: str, offset: int, etag: str | None) -> Opened:
        wanted = {"IfMatch": f'"{etag}"'} if etag else {}
        if offset:
            wanted["Range"] = f"bytes={offset}-"
        try:
            answer = self._s3.get_object(Bucket=self._name, Key=key, **wanted)
        except VENDOR_ERRORS as error:
            raise _told(error) from error
        return answer["Body"], offset + answer["ContentLength"], str(answer["ETag"]).strip('"')

    def _missing(self) -> None:
        raise StorageUnavailable("The bucket does not exist.")


def _object(key: str, size: int, facts: dict[str, Any]) -> BucketObject:
    return BucketObject(key, int(size), str(facts["ETag"]).strip('"'), facts["LastModified"].timestamp())


def _told(error: BaseException) -> StenopoolError:
    changed = isinstance(error, ClientError) and code_of(error) in _CHANGED
    return SourceChanged() if changed else translated(error)
