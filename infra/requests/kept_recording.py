"""A job's recording that its account has sent before: a file of /v1/files, or an upload that has become one."""

from __future__ import annotations

from contextlib import closing

from infra.database.tables import File, Media
from infra.requests.job_request import JobFields
from infra.wiring import Services
from pipeline.audio.duration.estimate import HEAD_BYTES, Ends
from pipeline.audio.first_look import FirstLook
from pipeline.errors import InputMissing, InvalidRequest, NotFound

WHOLE_BYTES = 4 * HEAD_BYTES  # up to so many, a file is read to its end to know how long it lasts


def kept_file(services: Services, account_id: str, fields: JobFields) -> File:
    """What `file_id` or `upload_id` names. Raises InvalidRequest where it is no file of the account, WrongState for an upload
    that is not completed."""
    name = "upload_id" if fields.upload_id is not None else "file_id"
    try:
        file_id = fields.file_id
        if fields.upload_id is not None:
            file_id = services.uploads.file_of(account_id, fields.upload_id)
        return services.files.get(account_id, file_id or "")
    except NotFound as error:
        raise InvalidRequest(f"{error.message} Send the id of one that exists.", param=name) from error


def look_into(services: Services, account_id: str, file: File, fields: JobFields) -> tuple[Media, Ends]:
    """The file's media, and what its ends tell. Raises UnsupportedMedia by its first bytes, InputMissing, StorageUnavailable."""
    try:
        media = services.media.get(account_id, file.media_id)
    except NotFound:
        raise InputMissing("The file was deleted at this moment.") from None
    look, ends, seen = None if fields.raw else FirstLook(), Ends(), 0
    with closing(services.storage.blocks(media.storage_key)) as blocks:
        for block in blocks:
            seen += len(block)
            ends.add(block)
            if look is not None:
                look.add(block)
            if media.bytes > WHOLE_BYTES and seen >= HEAD_BYTES:
                break
    if look is not None and seen == media.bytes:
        look.finish()
    if seen < media.bytes:
        ends.skip(media.bytes - seen)
    return media, ends
