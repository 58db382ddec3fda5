"""Fetch a job's input from the URL its caller gave, or from a bucket, straight into storage."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from infra.database.tables.uploads import Media
from infra.requests.bucket_recording import object_blocks
from infra.storage import ObjectWriter
from infra.wiring import Services
from pipeline.audio.duration.estimate import Ends
from pipeline.audio.first_look import FirstLook
from pipeline.errors import DownloadFailed, DownloadInterrupted, EmptyMedia, MediaTooLarge, StenopoolError
from workers.job_context import JobContext

TOUCH_SECONDS = 60.0  # an upload nobody touches for an hour is an orphan
DEADLINE_SECONDS = 6 * 3600.0
LONGEST_NAME = 255
MAY_PASS = ("dns", "connection_refused", "connection_failed", "connection_lost", "timeout")
TOO_MANY, SERVER_ERROR = 429, 500  # the answers after which asking again makes sense


def fetch(context: JobContext) -> JobContext:
    """The turn with its media attached. Raises OutboundRefused, BucketNotAllowed, DownloadFailed, UnsupportedMedia, MediaTooLarge,
    LimitExceeded, StorageUnavailable, SecretUnreadable."""
    services = context.services
    source = services.secrets.open_object(context.job.source or {})
    services.jobs.start_fetch(context.held.lease)
    media = services.media.begin(context.job.account_id, filename(source))
    with _given_up(services, media):
        return _attached(context, source, media)


def _attached(context: JobContext, source: Mapping[str, Any], media: Media) -> JobContext:
    services = context.services
    with services.storage.writer(media.storage_key) as writer:
        sink = _Sink(context, media, writer)
        if "s3_uri" in source:
            _read_bucket(context, source, sink)
        else:
            _download(services, source, sink)
        if not writer.bytes:
            raise EmptyMedia()
        if sink.look:
            sink.look.finish()
    stored = services.media.stored(media.id, writer.bytes, writer.sha256)
    facts: dict[str, Any] = {"bytes": writer.bytes, "sha256": writer.sha256, "filename": stored.filename}
    length = sink.ends.estimate(context.options.raw)
    if not length.guessed and not context.job.request.get("range"):
        facts["expected_ms"] = length.ms
    job = services.jobs.note_input(context.held.lease, facts, stored, length.ms, fetched=context.seconds)
    return context.with_job(job)


@contextlib.contextmanager
def _given_up(services: Services, media: Media) -> Iterator[None]:
    """What is not fetched to its end, and given to its job, leaves its account's quota at once. What fails here, the sweep does."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(StenopoolError):
            services.media.give_up(media.id)
        raise


def _read_bucket(context: JobContext, source: Mapping[str, Any], sink: _Sink) -> None:
    blocks = object_blocks(context.services, context.job.account_id, source["s3_uri"], source.get("etag"))
    with contextlib.closing(blocks):
        for block in blocks:
            if sink.size + len(block) > context.services.settings.max_upload_bytes:
                raise MediaTooLarge()
            sink(block)


def _download(services: Services, source: Mapping[str, Any], sink: Callable[[bytes], None]) -> None:
    limit, headers = services.settings.max_upload_bytes, source.get("headers") or {}
    try:
        services.outbound.download(source["url"], headers, sink, max_bytes=limit, deadline_s=DEADLINE_SECONDS)
    except DownloadFailed as error:
        failure, status = error.details.get("failure"), error.details.get("status")
        if failure in MAY_PASS or status == TOO_MANY or (status or 0) >= SERVER_ERROR:
            raise DownloadInterrupted(error.message, **error.details) from error
        raise


def filename(source: Mapping[str, Any]) -> str | None:
    """What to call the recording: the last part of the URL's path, never its query, which may hold a signature; or of the key."""
    path = source["s3_uri"] if "s3_uri" in source else unquote(urlsplit(source["url"]).path)
    name = PurePosixPath(path).name
    return "".join(letter for letter in name if letter.isprintable())[:LONGEST_NAME] or None


class _Sink:
    """Takes the bytes as they come, looks what they are and whether the work is still ours, and says that they still arrive."""

    def __init__(self, context: JobContext, media: Media, writer: ObjectWriter) -> None:
        self._context, self._media, self._writer = context, media, writer
        self._touched = time.monotonic()
        self.ends, self.look = Ends(), None if context.options.raw else FirstLook()

    @property
    def size(self) -> int:
        """How many bytes have come."""
        return self._writer.bytes

    def __call__(self, data: bytes) -> None:
        self._context.held.check()
        if self.look:
            self.look.add(data)
        if self._writer.bytes + len(data) > self._media.counted:
            self._media = self._context.services.media.grow(self._media, self._writer.bytes + len(data))
        self._writer.write(data)
        self.ends.add(data)
        if time.monotonic() - self._touched > TOUCH_SECONDS:
            self._context.services.media.touch(self._media.id)
            self._touched = time.monotonic()
