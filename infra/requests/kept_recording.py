"""A job's recording that its account has sent before: a file of /v1/files, or an upload that has become one."""

from __future__ import annotations

from infra.database.tables.uploads import File, Media
from infra.requests.first_read import first_read
from infra.requests.job_request import JobFields
from infra.wiring import Services
from pipeline.audio.duration.estimate import Ends
from pipeline.errors import InputMissing, InvalidRequest, NotFound


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
    return media, first_read(services.storage.blocks(media.storage_key), media.bytes, fields.raw)
