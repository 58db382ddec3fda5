"""An object of the store as an answer: all of it, or the range that is asked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Literal
from urllib.parse import quote

from fastapi import Request

from api.dependencies import AppContext
from api.http.byte_range import ByteRange, asked_range
from api.http.sse import Stream


@dataclass(frozen=True)
class StoredObject:
    """What is where, of which version: `tag` changes with the bytes."""

    key: str
    size: int
    tag: str
    media_type: str


def disposition(kind: Literal["attachment", "inline"], filename: str) -> str:
    """RFC 6266: a name that every client reads, and beside it the true one where that is another."""
    plain = "".join(char if char.isascii() and char.isprintable() and char not in '"\\' else "_" for char in filename)
    true = "" if plain == filename else f"; filename*=utf-8''{quote(filename, safe='')}"
    return f'{kind}; filename="{plain}"{true}'


async def download(request: Request, context: AppContext, stored: StoredObject, headers: Mapping[str, str]) -> Stream:
    """`headers` besides those that tell its length. Raises RangeNotSatisfiable, InputMissing, StorageUnavailable."""
    etag = f'"{stored.tag}"'
    part = asked_range(request.headers, stored.size, etag)
    told = {**headers, "accept-ranges": "bytes", "etag": etag, "x-content-type-options": "nosniff"}
    whole = ByteRange(0, stored.size)
    if part is not None:
        told["content-range"] = f"bytes {part.start}-{part.end - 1}/{stored.size}"
    sent = part or whole
    told["content-length"] = str(sent.length)
    blocks = context.services.storage.blocks(stored.key, sent.start)
    first = await context.transfer(partial(next, blocks, b""))
    return Stream(
        _cut(context, first, blocks, sent.length),
        media_type=stored.media_type,
        headers=told,
        status_code=HTTPStatus.PARTIAL_CONTENT if part is not None else HTTPStatus.OK,
    )


async def _cut(context: AppContext, first: bytes, blocks: Iterator[bytes], length: int) -> AsyncGenerator[bytes, None]:
    """So many bytes, and not one block more is fetched."""
    async with aclosing(context.stream(first, blocks)) as source:
        async for block in source:
            yield block[:length]
            length -= len(block)
            if length <= 0:
                return
