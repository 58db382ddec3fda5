"""Objects in a bucket of any server that speaks S3: AWS, Ceph, MinIO, R2 and so on.

Credentials, region and endpoint come from the usual AWS variables and files, read by boto3. With an endpoint of one's own the
bucket goes into the path, since few private servers have a wildcard host name.
"""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.storage.base import ObjectWriter, StoredObject, check_folder, check_key
from infra.storage.s3_download import Opened, resumed
from infra.storage.s3_errors import code_of, typed_errors
from infra.storage.s3_writer import PartWriter
from pipeline.errors import InputMissing, InvalidRequest, StorageUnavailable

PROBE_PATIENCE = 3.0  # seconds for the answer to "are you there?": readiness wants it soon
PAGE = 1000  # S3's own limit, of a listing and of one deletion
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_MISSING_BUCKET = {"404", "NoSuchBucket", "NotFound"}
_BAD_NAME = "InvalidBucketName"
_OURS_ALREADY = {"BucketAlreadyOwnedByYou", "OperationAborted"}  # somebody else makes it at this moment


def open_home(url: str) -> S3Storage:
    """The bucket of an ``s3://bucket/prefix`` URL."""
    parts = urlsplit(url)
    if not parts.netloc or parts.query or parts.fragment:
        raise InvalidRequest("An S3 storage URL is s3://bucket/prefix", param="storage_url")
    for name in ENDPOINTS:
        given = os.environ.get(name)  # empty is none, as for the library
        if given and not given.startswith(("https://", "http://")):
            raise InvalidRequest(f"{name} is a URL such as https://s3.example.org", param=name)
    with typed_errors():
        return S3Storage(parts.netloc, parts.path.strip("/"))


def s3_client(
    session: boto3.session.Session,
    connect_timeout: float,
    read_timeout: float,
    attempts: int,
    endpoint_url: str | None = None,
) -> Any:
    """A client for the usual endpoint, or this one."""
    own_endpoint = endpoint_url or any(os.environ.get(name) for name in ENDPOINTS)
    config = Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=64,
        tcp_keepalive=True,
        # Other servers do not know the checksums AWS added in 2025; the signature covers the SHA-256 of every body anyway.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if own_endpoint else "auto"},
    )
    region = session.region_name or "us-east-1"
    client = session.client("s3", config=config, region_name=region, endpoint_url=endpoint_url)
    # DeleteObjects must carry a checksum; MD5 is the one that every server understands.
    client.meta.events.register("before-call.s3.DeleteObjects", _add_md5)
    return client


def _add_md5(params: dict[str, Any], **_: Any) -> None:
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()


class S3Storage:
    """An object store in a bucket, below `prefix`."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self.bucket = bucket
        self._base = f"{prefix}/" if prefix else ""
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        session = boto3.session.Session(region_name=region)
        self._s3 = s3_client(session, connect_timeout=3, read_timeout=20, attempts=3)
        self._session, self._public = session, None
        self._probe = s3_client(session, connect_timeout=2, read_timeout=PROBE_PATIENCE, attempts=1)

    def writer(self, key: str) -> ObjectWriter:
        return PartWriter(self._s3, self.bucket, self._name(key), make_bucket=self._make_bucket)

    def put(self, key: str, data: bytes) -> None:
        with self.writer(key) as writer:
            writer.write(data)

    def get(self, key: str) -> bytes:
        return b"".join(self.blocks(key))

    def blocks(self, key: str, offset: int = 0) -> Generator[bytes, None, None]:
        return self.blocks_of(key, offset, None)

    def blocks_of(self, key: str, offset: int, etag: str | None) -> Generator[bytes, None, None]:
        """Those from there on, of this version if one is given."""
        return resumed(partial(self._open, self._name(key)), offset, etag)

    def _open(self, name: str, offset: int, etag: str | None) -> Opened:
        """The object's bytes from `offset` on, its whole size and its version, which must still be `etag` where that is known."""
        rest = {"Range": f"bytes={offset}-"} if offset else {}
        rest |= {"IfMatch": etag} if etag and offset else {}
        with typed_errors():
            answer = self._s3.get_object(Bucket=self.bucket, Key=name, **rest)
        return answer["Body"], offset + answer["ContentLength"], answer["ETag"]

    def read(self, key: str, offset: int, length: int, etag: str) -> bytes:
        """So many bytes from there on, which must be there, of this version."""
        wanted = f"bytes={offset}-{offset + length - 1}"
        with typed_errors():
            answer = self._s3.get_object(Bucket=self.bucket, Key=self._name(key), Range=wanted, IfMatch=etag)
            with closing(answer["Body"]) as body:
                data: bytes = body.read()
        return data

    @contextmanager
    def recording(self, key: str) -> Iterator[S3Recording]:
        with typed_errors():
            facts = self._s3.head_object(Bucket=self.bucket, Key=self._name(key))
        yield S3Recording(self, key, int(facts["ContentLength"]), facts["ETag"])

    def size(self, key: str) -> int | None:
        try:
            with typed_errors():
                return int(self._s3.head_object(Bucket=self.bucket, Key=self._name(key))["ContentLength"])
        except InputMissing:
            return None

    def delete(self, *keys: str) -> None:
        self._delete(self._name(key) for key in keys)

    def delete_prefix(self, *prefixes: str) -> None:
        folders = tuple(self._folder(prefix) for prefix in prefixes)
        if self._base in folders:
            raise ValueError("a folder must be named to be deleted")
        with typed_errors():
            for upload in self._uploads(
                folders[0] if len(folders) == 1 else self._base
            ):  # few anywhere: one look for all
                if upload["Key"].startswith(folders):
                    self._abort(upload)
            self._delete(found["Key"] for folder in folders for found in self._objects(folder))

    def list(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        with typed_errors(), suppress(self._s3.exceptions.NoSuchBucket):  # nothing was ever stored
            for found in self._objects(self._folder(prefix), self._base + after if after else ""):
                key = found["Key"].removeprefix(self._base)
                yield StoredObject(key, found["Size"], found["LastModified"].timestamp())

    def upload_url(self, key: str, size: int, *, seconds: int, public_url: str) -> str:
        where = {"Bucket": self.bucket, "Key": self._name(key), "ContentLength": size}
        with typed_errors():
            url: str = self._signer(public_url).generate_presigned_url("put_object", Params=where, ExpiresIn=seconds)
        return url

    def _signer(self, public_url: str) -> Any:
        """A client that only signs: the host is part of what is signed, so it must be the one that is called."""
        if self._public is None or self._public.meta.endpoint_url != public_url:
            config = Config(
                signature_version="s3v4", s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
            )
            region = self._s3.meta.region_name
            self._public = self._session.client("s3", endpoint_url=public_url, config=config, region_name=region)
        return self._public

    def abort_stale_uploads(self, older_than_seconds: float) -> int:
        found = 0
        with typed_errors(), suppress(self._s3.exceptions.NoSuchBucket):  # nothing was ever stored
            for upload in self._uploads(self._base):
                if self._idle(upload) >= older_than_seconds:
                    self._abort(upload)
                    found += 1
        return found

    def check(self) -> None:
        with typed_errors():
            try:
                self._probe.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                code = code_of(error)
                if code not in _MISSING_BUCKET:
                    code = self._refusal() or code
                    raise StorageUnavailable(f"The storage bucket cannot be used: {code}", reason=code) from error
                self._make_bucket()

    def close(self) -> None:
        self._s3.close()
        self._probe.close()

    def _name(self, key: str) -> str:
        return self._base + check_key(key)

    def _folder(self, prefix: str) -> str:
        return self._base + check_folder(prefix)

    def _refusal(self) -> str:
        """Why we are not let in; the answer to HEAD has no body that could say it."""
        try:
            self._probe.list_objects_v2(Bucket=self.bucket, MaxKeys=1)
        except ClientError as error:
            return code_of(error)
        return ""

    def _make_bucket(self) -> None:
        meta = self._s3.meta
        on_aws = urlsplit(meta.endpoint_url).netloc.endswith(".amazonaws.com")
        elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": meta.region_name}}
        try:
            self._s3.create_bucket(
                Bucket=self.bucket, **(elsewhere if on_aws and meta.region_name != "us-east-1" else {})
            )
        except ClientError as error:
            code = code_of(error)
            if code not in _OURS_ALREADY:
                reason = code if code == _BAD_NAME else "NoSuchBucket"
                raise StorageUnavailable(f"The storage bucket cannot be made: {code}", reason=reason) from error

    def _delete(self, names: Iterable[str]) -> None:
        with typed_errors():
            left = iter(names)
            while batch := list(islice(left, PAGE)):
                wanted = {"Objects": [{"Key": name} for name in batch], "Quiet": True}
                answer = self._s3.delete_objects(Bucket=self.bucket, Delete=wanted)
                failed = [item for item in answer.get("Errors", ()) if item.get("Code") != "NoSuchKey"]
                if failed:
                    raise StorageUnavailable(f"Objects could not be deleted: {failed[0].get('Code')}")

    def _objects(self, folder: str, after: str = "") -> Iterator[dict[str, Any]]:
        behind = {"StartAfter": after} if after else {}
        for page in self._pages("list_objects_v2", Prefix=folder, **behind):
            yield from page.get("Contents", ())

    def _uploads(self, folder: str) -> Iterator[dict[str, Any]]:
        for page in self._pages("list_multipart_uploads", Prefix=folder):
            yield from page.get("Uploads", ())

    def _pages(self, listing: str, **which: str) -> Iterable[dict[str, Any]]:
        pages: Iterable[dict[str, Any]] = self._s3.get_paginator(listing).paginate(
            Bucket=self.bucket, PaginationConfig={"PageSize": PAGE}, **which
        )
        return pages

    def _abort(self, upload: dict[str, Any]) -> None:
        with suppress(self._s3.exceptions.NoSuchUpload):  # it was completed or aborted meanwhile
            self._s3.abort_multipart_upload(Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"])

    def _idle(self, upload: dict[str, Any]) -> float:
        """Seconds since the upload's last part, so that a long one that still grows is not taken for dead."""
        last = upload["Initiated"]
        with suppress(self._s3.exceptions.NoSuchUpload):
            for page in self._pages("list_parts", Key=upload["Key"], UploadId=upload["UploadId"]):
                last = max([last, *(part["LastModified"] for part in page.get("Parts", ()))])
        return time.time() - float(last.timestamp())


class S3Recording:
    """A stored recording that is read in ranges, all of the version that was there at first."""

    def __init__(self, store: S3Storage, key: str, size: int, etag: str) -> None:
        self.size = size
        self._store, self._key, self._etag = store, key, etag

    def read(self, offset: int, length: int) -> bytes:
        return self._store.read(self._key, offset, length, self._etag)

    def blocks(self, offset: int = 0) -> Iterator[bytes]:
        return self._store.blocks_of(self._key, offset, self._etag)
