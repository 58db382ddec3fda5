"""Why the object store cannot be used."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from urllib.parse import unquote, urlsplit

from infra.diagnosis.fault import Fault, unreachable
from infra.storage import ObjectStore, open_storage
from pipeline.errors import StorageFull, StorageUnavailable

VARIABLE = "STENOPOOL_STORAGE_URL"
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_KEY = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_REASONS: tuple[tuple[set[str], str, str], ...] = (  # by the code of the server, or the name of what botocore raises
    (
        {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"},
        "no key for the bucket is configured",
        f"set {_KEY}",
    ),
    (
        {
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "ExpiredToken",
            "InvalidToken",
            "InvalidClientTokenId",
            "401",
        },
        "the S3 server refuses the key",
        f"correct {_KEY}",
    ),
    ({"ParamValidationError", "InvalidBucketName"}, "no bucket can be called {bucket!r}", f"correct {VARIABLE}"),
    ({"NoSuchBucket", "404", "NotFound"}, "there is no bucket {bucket!r}", f"create it, or correct {VARIABLE}"),
    (
        {"403", "AccessDenied", "Forbidden", "AllAccessDisabled"},
        "the key may not use the bucket {bucket!r}, or not make it where it is missing",
        "correct the key, create the bucket, or let the key list, read, write and delete in it",
    ),
)
_NOT_OURS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


def storage_fault(url: str, *, tries: bool = False) -> Fault | None:
    """None where it answers; with `tries`, where it keeps an object, too. Raises InvalidRequest for what is no URL of a store."""
    try:
        with contextlib.closing(open_storage(url)) as storage:
            storage.check()
            if tries and not _keeps(storage):
                return Fault("it gave back something else than was put in", "let no proxy between change what passes")
    except StorageFull:
        return Fault("the storage is full", "make room: recordings wait until there is some", heals=True)
    except StorageUnavailable as error:
        return _of_a_bucket(url, error) if url.startswith("s3:") else _of_a_folder(url, error)
    return None


def _keeps(storage: ObjectStore) -> bool:
    key, content = f"doctor/{uuid.uuid4().hex}", b"Is there anybody there?"
    storage.put(key, content)
    back = storage.get(key)
    storage.delete(key)
    return back == content


def _of_a_folder(url: str, error: StorageUnavailable) -> Fault:
    folder = unquote(urlsplit(url).path)
    number = getattr(error.__cause__, "errno", None)
    if number in _NOT_OURS:
        return Fault(f"{folder} cannot be written ({os.strerror(number)})", "give it to the user that runs Stenopool")
    return Fault(f"{folder} cannot be used ({error.message.rstrip('.')})", "see that its disk is mounted", heals=True)


def _of_a_bucket(url: str, error: StorageUnavailable) -> Fault:
    bucket, reason = urlsplit(url).netloc, str(error.details.get("reason", ""))
    for reasons, told, advice in _REASONS:
        if reason in reasons:
            return Fault(told.format(bucket=bucket), advice)
    endpoint = next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), "")
    if not endpoint:
        return Fault(f"S3 does not answer ({reason})", "see the network, and the region", heals=True)
    return unreachable("the S3 server", "AWS_ENDPOINT_URL", endpoint, 443 if endpoint.startswith("https") else 80)
