"""The object store: one protocol, and a home for each scheme of STENOPOOL_STORAGE_URL."""

from __future__ import annotations

import importlib
from typing import cast
from urllib.parse import urlsplit

from infra.storage.base import Bucket as Bucket
from infra.storage.base import BucketObject as BucketObject
from infra.storage.base import ObjectStore as ObjectStore
from infra.storage.base import ObjectWriter as ObjectWriter
from infra.storage.base import StoredObject as StoredObject
from pipeline.errors import InvalidRequest

HOMES = {"file": "infra.storage.local", "s3": "infra.storage.s3"}


def open_storage(url: str) -> ObjectStore:
    """The store at `url`: ``file:///folder`` or ``s3://bucket/prefix``. Nothing is called over a network yet.

    A home is imported only when its scheme is asked for: boto3 alone takes 0.2 s and 25 MB. Raises InvalidRequest.
    """
    home = HOMES.get(urlsplit(url).scheme)
    if home is None:
        raise InvalidRequest("STENOPOOL_STORAGE_URL must be file:///folder or s3://bucket/prefix", param="storage_url")
    return cast(ObjectStore, importlib.import_module(home).open_home(url))


def open_bucket(name: str, endpoint_url: str | None = None, profile: str | None = None) -> Bucket:
    """A bucket that is not ours, at the usual endpoint with the usual credentials or at these. Nothing is called yet."""
    return cast(Bucket, importlib.import_module("infra.storage.s3_bucket").open_foreign(name, endpoint_url, profile))
