"""/v1/uploads: a file part by part, in any order, taken up again where it broke off."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from api.dependencies import AppContext, Caller, Context
from api.http.idempotency import REPLAYED, idempotency, idempotency_key
from api.http.request_body import read_json
from api.http.unknown_names import ignored
from api.openapi.document import answers, takes
from api.routes.files.files import keep_seconds
from api.schemas.files import Completion, DirectPart, PartForm, UploadFields, part_object, upload_object
from api.uploads.form import read_form, safe_name
from api.uploads.part_sink import TOO_LARGE, PartSink
from api.uploads.sinks import beyond, size_first
from infra.files.joining import Checksums
from infra.files.upload_store import COMPLETED, PART_BYTES, NewUpload, key_of, new_part
from infra.requests.validation import validated
from pipeline.errors import DirectUploadUnavailable, InvalidRequest, MediaTooLarge

router = APIRouter(prefix="/v1/uploads", tags=["files"])
UPLOAD = "/{upload_id}"
DIRECT_SECONDS = 3600  # for which a URL takes the bytes of a part
NO_UPLOAD = answers(s404="No such upload.")
ENDED = answers(s409="It has ended, or is being completed.")


@router.post(
    "",
    summary="Begin an upload",
    responses=answers(s409="Idempotency-Key used before."),
    openapi_extra=takes(json=UploadFields),
)
async def create(request: Request, context: Context, caller: Caller) -> Response:
    """Room for `bytes` is reserved at once. It ends a day after its last part. `Idempotency-Key` makes repeating it harmless."""
    key = idempotency_key(request)
    fields = validated(UploadFields, await read_json(request))
    limit = context.services.settings.max_upload_bytes
    if fields.bytes > limit:
        raise MediaTooLarge(beyond(limit), param="bytes")
    new = NewUpload(
        account_id=caller.account_id,
        filename=safe_name(fields.filename),
        purpose=fields.purpose,
        mime_type=fields.mime_type,
        bytes=fields.bytes,
        keep_seconds=keep_seconds(fields),
    )
    once = idempotency(key, "POST /v1/uploads", fields.model_dump(mode="json"), upload_object)
    upload, replayed = await context.query(partial(context.services.uploads.create, new, once))
    if replayed is not None:
        return JSONResponse(replayed | ignored(request), headers=REPLAYED)
    return JSONResponse(upload_object(upload) | ignored(request))


@router.get(UPLOAD, summary="Show an upload, with its parts", responses=NO_UPLOAD)
async def show(context: Context, caller: Caller, upload_id: str) -> dict[str, Any]:
    """`parts` are those that are there, by which a client goes on after an interruption; `sha256` tells which is which."""
    return await context.transfer(partial(_shown, context, caller.account_id, upload_id))


def _shown(context: AppContext, account_id: str, upload_id: str) -> dict[str, Any]:
    services = context.services
    upload = services.uploads.get(account_id, upload_id)
    services.joiner.look_for(upload_id)
    file = services.files.get(account_id, upload.file_id) if upload.status == COMPLETED and upload.file_id else None
    return {**upload_object(upload, file), "parts": [part_object(part) for part in services.uploads.parts(upload_id)]}


@router.post(
    UPLOAD + "/parts",
    summary="Send a part",
    responses=NO_UPLOAD | ENDED,
    openapi_extra=takes(json=DirectPart, form=PartForm, file="data"),
)
async def add_part(request: Request, context: Context, caller: Caller, upload_id: str) -> dict[str, Any]:
    """At most 64 MiB as the multipart file `data`, several at a time if you like; the order is told at completion. As JSON with
    `direct` it answers with a URL that takes the bytes by PUT, past this server, where its operator offers that."""
    await context.query(partial(context.services.uploads.want_part, caller.account_id, upload_id, 0))
    if request.headers.get("content-type", "").lower().startswith("application/json"):
        fields = validated(DirectPart, await read_json(request))
        return await context.transfer(partial(_offered, context, caller.account_id, upload_id, fields.bytes))
    sink = PartSink(context, caller.account_id, upload_id)
    with size_first(request, PART_BYTES, TOO_LARGE):
        await read_form(request, sink, file_field="data")
    if sink.part is None:
        raise InvalidRequest("Send the part as the multipart file `data`.", param="data")
    return part_object(sink.part) | ignored(request)


def _offered(context: AppContext, account_id: str, upload_id: str, size: int) -> dict[str, Any]:
    services = context.services
    part = new_part(services.uploads.want_part(account_id, upload_id, size), size)
    public_url = services.settings.storage_public_url
    if not public_url:
        raise DirectUploadUnavailable(param="direct")
    url = services.storage.upload_url(key_of(part), size, seconds=DIRECT_SECONDS, public_url=public_url)
    added = services.uploads.add_part(account_id, part)
    services.uploads.offered(upload_id, DIRECT_SECONDS)
    sent = {"method": "PUT", "url": url, "headers": {"content-length": str(size)}}
    return {**part_object(added), **sent, "expires_at": int(added.created_at) + DIRECT_SECONDS}


@router.post(
    UPLOAD + "/complete",
    summary="Complete an upload",
    responses=NO_UPLOAD | ENDED | answers(s400="The parts are not the whole, or a checksum differs."),
    openapi_extra=takes(json=Completion),
)
async def complete(request: Request, context: Context, caller: Caller, upload_id: str) -> dict[str, Any]:
    """Puts the parts together in the order of `part_ids`, compares `md5` and `sha256` where they are given, and makes a file of
    them. Once more with the same parts: the same answer."""
    await context.query(partial(context.services.uploads.get, caller.account_id, upload_id))
    fields = validated(Completion, await read_json(request))
    checksums = Checksums(md5=fields.md5, sha256=fields.sha256)
    joined = partial(context.services.joiner.complete, caller.account_id, upload_id, fields.part_ids, checksums)
    upload, file = await context.transfer(joined)
    return upload_object(upload, file) | ignored(request)


@router.post(UPLOAD + "/cancel", summary="Cancel an upload", responses=NO_UPLOAD | ENDED)
async def cancel(context: Context, caller: Caller, upload_id: str) -> dict[str, Any]:
    """What has come of it is gone."""
    return upload_object(await context.query(partial(context.services.uploads.cancel, caller.account_id, upload_id)))
