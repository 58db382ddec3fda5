"""A job's recording in a bucket that the operator has opened to its account: looked at when it is asked for, read by a worker."""

from __future__ import annotations

from collections.abc import Generator

from infra.buckets.s3_path import S3Path
from infra.requests.first_read import first_read
from infra.storage import BucketObject
from infra.wiring import Services
from pipeline.audio.duration.estimate import Ends
from pipeline.audio.raw_sound import RawSound
from pipeline.errors import DownloadFailed, DownloadInterrupted, EmptyMedia, InputMissing, StorageUnavailable

GONE = "There is no such object in the bucket."


def look_at_object(
    services: Services, account_id: str, uri: str, raw: RawSound | None, etag: str | None = None
) -> tuple[BucketObject, Ends]:
    """What is there, and what its beginning tells. Raises BucketNotAllowed, DownloadFailed, DownloadInterrupted, SourceChanged,
    EmptyMedia, UnsupportedMedia."""
    path = S3Path.parse(uri, param="s3_uri")
    try:
        found = services.buckets.open(account_id, path, "read").head(path.key)
    except StorageUnavailable as error:
        raise DownloadInterrupted(error.message) from error
    if found is None:
        raise DownloadFailed(GONE)
    if not found.size:
        raise EmptyMedia
    return found, first_read(object_blocks(services, account_id, uri, etag or found.etag), found.size, raw)


def object_blocks(
    services: Services, account_id: str, uri: str, etag: str | None = None
) -> Generator[bytes, None, None]:
    """The object, or just this version of it. A bucket that is away is no outage of our storage: raises DownloadInterrupted,
    DownloadFailed where it is not there, BucketNotAllowed, SourceChanged."""
    path = S3Path.parse(uri, param="s3_uri")
    blocks = services.buckets.open(account_id, path, "read").blocks(path.key, etag)
    while True:
        try:
            block = next(blocks, None)
        except InputMissing as error:
            raise DownloadFailed(GONE) from error
        except StorageUnavailable as error:
            raise DownloadInterrupted(error.message) from error
        if block is None:
            return
        yield block
