"""The operator's list of buckets (STENOPOOL_BUCKETS): which account may read and write where. A caller's word opens nothing.

Credentials are the server's own, the usual AWS variables, or those of an entry's `profile`; they are in no request.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from infra.buckets.s3_path import S3Path
from infra.storage import Bucket, open_bucket
from pipeline.errors import BucketNotAllowed, InvalidRequest

Access = Literal["read", "write"]


class Grant(BaseModel):
    """One entry of the list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str = "*"  # or an account's id
    uri: str
    access: Literal["read", "write", "read-write"]
    endpoint_url: str | None = None
    profile: str | None = None

    @field_validator("uri")
    @classmethod
    def _a_place(cls, value: str) -> str:
        try:
            return S3Path.parse(value, param="uri").folder.uri
        except InvalidRequest as error:
            raise ValueError(error.message) from error

    def opens(self, account_id: str, path: S3Path, access: Access) -> bool:
        """Whether the account may do this there."""
        mine = self.account in ("*", account_id) and access in self.access.split("-")
        return mine and S3Path.parse(self.uri, param="uri").holds(path)


def read_grants(given: Any) -> Any:
    """The list that STENOPOOL_BUCKETS holds as JSON, or the file that it names. Raises ValueError."""
    if not isinstance(given, str):
        return given
    try:
        written = given if given.lstrip().startswith("[") else Path(given).read_text("utf-8")
        return json.loads(written)
    except (OSError, ValueError) as error:
        raise ValueError(f"it is a JSON list, or the path of a file with one: {type(error).__name__}") from error


class BucketAccess:
    """Opens what the operator's list opens, each bucket once. Thread-safe."""

    def __init__(self, grants: Sequence[Grant]) -> None:
        self._grants = grants
        self._lock = threading.Lock()
        self._opened: dict[tuple[str, str | None, str | None], Bucket] = {}

    def open(self, account_id: str, path: S3Path, access: Access) -> Bucket:
        """The bucket of a place in which the account may do this. Raises BucketNotAllowed."""
        grant = next((one for one in self._grants if one.opens(account_id, path, access)), None)
        if grant is None:
            told = f"This account may not {access} {path.uri}. The operator of this server lists what it may (STENOPOOL_BUCKETS)."
            raise BucketNotAllowed(told)
        where = (path.bucket, grant.endpoint_url, grant.profile)
        with self._lock:
            if where not in self._opened:
                self._opened[where] = open_bucket(*where)
            return self._opened[where]

    def close(self) -> None:
        """Give back connections."""
        for bucket in self._opened.values():
            bucket.close()
