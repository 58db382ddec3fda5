"""A multipart form in three pieces: what stands before the file, the file, what stands behind it. No byte of it is copied."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from pipeline.http_client.connection import Content


def form(fields: Mapping[str, str | Sequence[str]], name: str, data: bytes, media_type: str) -> tuple[Content, str]:
    """The body of a request that carries the fields and, as `file`, these bytes; and the body's own media type.

    A field with several values is repeated. Names and the file's name are ours and need no quoting.
    """
    boundary = secrets.token_hex(16)
    opening = f"--{boundary}\r\nContent-Disposition: form-data; name="
    parts = [
        f'{opening}"{field}"\r\n\r\n{value}\r\n'
        for field, values in fields.items()
        for value in ((values,) if isinstance(values, str) else values)
    ]
    parts.append(f'{opening}"file"; filename="{name}"\r\nContent-Type: {media_type}\r\n\r\n')
    content = ("".join(parts).encode(), data, f"\r\n--{boundary}--\r\n".encode())
    return content, f"multipart/form-data; boundary={boundary}"
