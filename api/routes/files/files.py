"""/v1/files: what an account keeps to use it more than once."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse

from api.dependencies import AppContext, Caller, Context
from api.http.idempotency import REPLAYED, idempotency, idempotency_key
from api.http.unknown_names import ignored
from api.openapi.document import answers, shown_as, takes
from api.schemas.files import FileFields, FileQuery, file_object
from api.schemas.pagination import page
from api.stored_object import StoredObject, disposition, download
from api.uploads.form import read_form
from api.uploads.sinks import KeptSink, announced_bytes, beyond, size_first
from infra.files.file_store import BATCH_SECONDS
from infra.requests.validation import validated
from pipeline.errors import DatabaseUnavailable, InvalidRequest, NotFound

router = APIRouter(prefix="/v1/files", tags=["files"])
FILE = "/{file_id}"
NO_FILE = answers(s404="No such file.")


@router.post(
    "",
    summary="Keep a file",
    responses=answers(s400="A field is wrong.", s409="Idempotency-Key used before."),
    openapi_extra=takes(form=FileFields),
)
async def create(request: Request, context: Context, caller: Caller) -> Response:
    """A multipart `file` of any kind, as large as a job's recording may be; its bytes count in the account's `stored_bytes`.
    Its id is a `file_id` for jobs. `Idempotency-Key` makes repeating it harmless."""
    key, limit = idempotency_key(request), context.services.settings.max_upload_bytes
    sink = KeptSink(context, caller, limit=limit, announced=announced_bytes(request))
    with size_first(request, limit, beyond(limit)):
        form = await read_form(request, sink)
    try:
        file, replayed = await _kept(context, sink, form.fields, key)
    except DatabaseUnavailable:
        raise  # the commit may have happened: the sweep knows whether a file names the media
    except BaseException:
        await sink.abort()
        raise
    if replayed is not None:
        await sink.abort()
    shown = (replayed or file) | ignored(request)
    return JSONResponse(shown, headers=REPLAYED if replayed is not None else None)


async def _kept(
    context: AppContext, sink: KeptSink, given: dict[str, Any], key: str | None
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    fields = validated(FileFields, given)
    media = sink.media
    if media is None:
        raise InvalidRequest("Send the file as the multipart field `file`.", param="file")
    given, facts = fields.model_dump(mode="json"), (media.filename, media.bytes, media.sha256)
    named = given | {"file": dict(zip(("filename", "bytes", "sha256"), facts, strict=True))}
    once = idempotency(key, "POST /v1/files", [given, *facts], file_object, named)
    made = partial(
        context.services.files.create,
        media,
        purpose=fields.purpose,
        keep_seconds=keep_seconds(fields),
        idempotency=once,
    )
    file, replayed = await context.query(made)
    return file_object(file), replayed


def keep_seconds(fields: FileFields) -> int | None:
    """From a file's creation to its end; None: until it is deleted."""
    if fields.expires_after is not None:
        return fields.expires_after.seconds
    return BATCH_SECONDS if fields.purpose == "batch" else None


@router.get("", summary="List the files")
async def list_files(context: Context, caller: Caller, query: Annotated[FileQuery, Query()]) -> dict[str, Any]:
    """By time of creation, the newest first unless `order=asc`."""
    listed = partial(context.services.files.list, caller.account_id, **query.model_dump())
    files, has_more = await context.query(listed)
    return page([file_object(file) for file in files], has_more=has_more)


@router.get(FILE, summary="Show a file", responses=NO_FILE)
async def show(context: Context, caller: Caller, file_id: str) -> dict[str, Any]:
    """Its `status` is `processed` from the beginning."""
    return file_object(await context.query(partial(context.services.files.get, caller.account_id, file_id)))


@router.delete(FILE, summary="Delete a file", responses=NO_FILE | answers(s409="A live job or batch needs it."))
async def delete(context: Context, caller: Caller, file_id: str) -> dict[str, Any]:
    """Its bytes leave the quota at once, and the store within a minute. What jobs have heard of it stays."""
    await context.query(partial(context.services.files.delete, caller.account_id, file_id))
    return {"id": file_id, "object": "file", "deleted": True}


@router.get(
    FILE + "/content",
    summary="A file's bytes",
    responses=shown_as("application/octet-stream")
    | NO_FILE
    | answers(s410="It was deleted at this moment.", s416="The range begins behind its end."),
)
async def content(request: Request, context: Context, caller: Caller, file_id: str) -> Response:
    """As they were sent; a `Range` of them where one is asked for."""
    file = await context.query(partial(context.services.files.get, caller.account_id, file_id))
    try:
        media = await context.query(partial(context.services.media.get, caller.account_id, file.media_id))
    except NotFound:
        raise NotFound("No such file.") from None
    stored = StoredObject(media.storage_key, file.bytes, file.sha256, "application/octet-stream")
    return await download(request, context, stored, {"content-disposition": disposition("attachment", file.filename)})
