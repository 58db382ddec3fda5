"""Writing one object to S3: a small one at once, a large one part by part."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from infra.storage.base import ObjectWriter
from infra.storage.s3_errors import VENDOR_ERRORS, code_of, typed_errors

log = logging.getLogger(__name__)

PART_BYTES = 8 * 1024 * 1024
# S3 takes 10,000 parts. All of one size is what some servers insist on (R2), and 8,000 of 8 MiB are 62 GiB; only beyond that
# do parts grow, which makes room for 125 GiB more.
EVEN_PARTS = 8_000
LATE_FACTOR = 8


class PartWriter(ObjectWriter):
    """An object of up to 187 GiB in the memory of two parts."""

    def __init__(
        self, s3: Any, bucket: str, name: str, *, make_bucket: Callable[[], None], part_bytes: int = PART_BYTES
    ) -> None:
        super().__init__()
        self._s3 = s3
        self._make_bucket = make_bucket
        self._where = {"Bucket": bucket, "Key": name}
        self._part_bytes = part_bytes
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []

    def _write(self, data: memoryview) -> None:
        while data:
            room = self._next_part_bytes() - len(self._buffer)
            self._buffer += data[:room]
            data = data[room:]
            if len(self._buffer) == self._next_part_bytes():
                self._send_part()

    def _next_part_bytes(self) -> int:
        return self._part_bytes * (1 if len(self._parts) < EVEN_PARTS else LATE_FACTOR)

    def _send_part(self) -> None:
        body = bytes(self._buffer)
        self._buffer.clear()
        number = len(self._parts) + 1
        with typed_errors():
            if self._upload_id is None:
                self._upload_id = self._begin(self._s3.create_multipart_upload)["UploadId"]
            answer = self._s3.upload_part(**self._where, UploadId=self._upload_id, PartNumber=number, Body=body)
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    def _begin(self, request: Callable[..., Any], **arguments: Any) -> Any:
        """The first request for an object: the very first of all finds no bucket yet and makes it."""
        try:
            return request(**self._where, **arguments)
        except ClientError as error:
            if code_of(error) != "NoSuchBucket":
                raise
            self._make_bucket()
            return request(**self._where, **arguments)

    def _commit(self) -> None:
        if self._upload_id is None:
            with typed_errors():
                self._begin(self._s3.put_object, Body=bytes(self._buffer))
            return
        if self._buffer:
            self._send_part()
        with typed_errors():
            self._complete()
        self._upload_id = None

    def _complete(self) -> None:
        try:
            self._s3.complete_multipart_upload(
                **self._where, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts}
            )
        except ClientError as error:
            # The first answer was lost and the library's second request finds the upload gone, because it is complete.
            if code_of(error) != "NoSuchUpload" or not self._is_there():
                raise

    def _is_there(self) -> bool:
        found = self._s3.head_object(**self._where)
        same_size = bool(found["ContentLength"] == self.bytes)
        return same_size and str(found["ETag"]).strip('"').endswith(f"-{len(self._parts)}")

    def _abort(self) -> None:
        self._buffer.clear()
        if self._upload_id is None:
            return
        try:
            self._s3.abort_multipart_upload(**self._where, UploadId=self._upload_id)
        except VENDOR_ERRORS as error:
            # The sweep finds it by its age; the caller is about to hear of what went wrong first.
            log.warning(
                "an unfinished upload could not be aborted", extra={"reason": code_of(error) or type(error).__name__}
            )
