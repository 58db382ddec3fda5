"""What S3 and its client library can raise, said in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, UndefinedModelAttributeError
from urllib3.exceptions import HTTPError, ProxySchemeUnsupported

from pipeline.errors import InputMissing, StenopoolError, StorageFull, StorageUnavailable

# The bases of all that botocore raises, and urllib3, which reads the bodies of answers; a test walks the lists of both.
VENDOR_ERRORS = (BotoCoreError, ClientError, UndefinedModelAttributeError, HTTPError, ProxySchemeUnsupported, OSError)

MISSING = {"NoSuchKey", "404", "NotFound"}
NO_ROOM = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "XAmzStorageFull", "507"}


@contextmanager
def typed_errors() -> Iterator[None]:
    """Turn whatever the vendor raises into the storage errors of `pipeline.errors`."""
    try:
        yield
    except VENDOR_ERRORS as error:
        raise translated(error) from error


def code_of(error: BaseException) -> str:
    """S3's name for the error, like NoSuchKey; "" where it never came to an answer."""
    answer: Any = getattr(error, "response", None)
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""


def translated(error: BaseException) -> StenopoolError:
    """Ours for theirs. Only the kind of trouble is told: messages of the library carry endpoints and bucket names."""
    code = code_of(error)
    if code in MISSING:
        return InputMissing()
    if code in NO_ROOM:
        return StorageFull()
    reason = code or type(error).__name__
    return StorageUnavailable(f"The object store failed: {reason}", reason=reason)
