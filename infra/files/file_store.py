"""The rows of /v1/files. A file's bytes are media, which no job's end takes away as long as the file is there."""

from __future__ import annotations

import builtins
from functools import partial
from typing import Any, Literal

from sqlalchemy import ColumnElement, exists, or_, select, tuple_
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.ids import new_file_id
from infra.database.session import Database
from infra.database.tables.batches import Batch, BatchLine
from infra.database.tables.jobs import Job
from infra.database.tables.uploads import File, Media
from infra.idempotency import Idempotency, create_once, forget_made
from infra.media import KEPT, let_go, want_stored
from pipeline.errors import InvalidRequest, NotFound, WrongState
from pipeline.lifecycle import LIVE

UNFINISHED = ("validating", "in_progress", "cancelling", "finalizing")  # statuses of a batch
BATCH_SECONDS = 30 * 24 * 3600  # how long a batch's input is kept where nobody says


class FileStore:
    """create, get, list, delete, expire: each one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, media: Media, *, purpose: str, keep_seconds: int | None, idempotency: Idempotency | None = None
    ) -> tuple[File, dict[str, Any] | None]:
        """Stored media as a file: (file, None), or (the first file, its first answer) for a repetition.

        Raises InputMissing when the media is not (or no longer) stored, IdempotencyConflict.
        """
        insert = partial(insert_file, media=media, purpose=purpose, keep_seconds=keep_seconds)
        return create_once(self._database, media.account_id, idempotency, File, insert)

    def get(self, account_id: str, file_id: str) -> File:
        """Raises NotFound: unknown, foreign, deleted and expired look the same."""
        with self._database.read() as session:
            return _own(session, account_id, file_id)

    def list(
        self,
        account_id: str,
        *,
        limit: int = 10_000,
        after: str | None = None,
        order: Literal["asc", "desc"] = "desc",
        purpose: str | None = None,
    ) -> tuple[builtins.list[File], bool]:
        """A page by time of creation, and whether more follows. Raises InvalidRequest for an unknown cursor."""
        columns = (col(File.created_at), col(File.id))
        page = select(File).where(col(File.account_id) == account_id)
        if purpose is not None:
            page = page.where(col(File.purpose) == purpose)
        with self._database.read() as session:
            if after is not None:
                last = _cursor(session, account_id, after)
                edge = (last.created_at, last.id)
                page = page.where(tuple_(*columns) > edge if order == "asc" else tuple_(*columns) < edge)
            page = page.order_by(*(column.asc() if order == "asc" else column.desc() for column in columns))
            rows = builtins.list(session.scalars(page.limit(limit + 1)))
        return rows[:limit], len(rows) > limit

    def delete(self, account_id: str, file_id: str) -> None:
        """It leaves the quota now, and the store within a minute. Raises NotFound, WrongState while a live job needs it."""
        with self._database.write() as session:
            file = _own(session, account_id, file_id, lock=True)
            if not drop_file(session, file):
                raise WrongState("A live job or batch needs this file. Wait for its end, or cancel it.")

    def expire(self, limit: int = 100, after_id: str = "") -> builtins.list[str]:
        """Files whose time is over are gone, but for those that something live needs; the ids of all that were looked at."""
        due = select(col(File.id)).where(col(File.expires_at) <= now(), col(File.id) > after_id, ~_needed())
        with self._database.read() as session:
            found = builtins.list(session.scalars(due.order_by(col(File.id)).limit(limit)))
        for file_id in found:
            with self._database.write() as session:
                file = session.get(File, file_id, with_for_update=True)
                if file is not None:
                    drop_file(session, file)
        return found


def insert_file(session: Session, *, media: Media, purpose: str, keep_seconds: int | None) -> File:
    """The row of a new file over stored media. Raises InputMissing."""
    want_stored(session, media)
    time = read_clock(session)
    file = File(
        id=new_file_id(),
        account_id=media.account_id,
        media_id=media.id,
        filename=media.filename or "upload",
        purpose=purpose,
        bytes=media.bytes,
        sha256=media.sha256 or "",
        created_at=time,
        expires_at=None if keep_seconds is None else time + keep_seconds,
    )
    session.get_one(Media, media.id).state = KEPT
    session.add(file)
    session.flush()
    return file


def drop_file(session: Session, file: File) -> bool:
    """The file, locked by us, and its bytes are gone; False, and nothing happens, where something live needs it."""
    media = session.get_one(Media, file.media_id, with_for_update=True)  # before we look: a job locks it to take it
    if session.execute(select(col(File.id)).where(col(File.id) == file.id, _needed())).first() is not None:
        return False
    forget_made(session, file.account_id, file.id)
    session.delete(file)
    session.flush()
    let_go(session, media)
    return True


def _needed() -> ColumnElement[bool]:
    """Whether a file's sound is still to be heard, or its lines to be run."""
    return or_(
        exists().where(col(Job.media_id) == col(File.media_id), col(Job.status).in_(LIVE)),
        exists().where(col(Batch.input_file_id) == col(File.id), col(Batch.status).in_(UNFINISHED)),
        exists().where(col(BatchLine.file_id) == col(File.id), col(BatchLine.state) == "waiting"),
    )


def _own(session: Session, account_id: str, file_id: str, *, lock: bool = False) -> File:
    file = session.get(File, file_id, with_for_update=lock or None)
    if file is None or file.account_id != account_id:
        raise NotFound("No such file.")
    return file


def _cursor(session: Session, account_id: str, after: str) -> File:
    try:
        return _own(session, account_id, after)
    except NotFound as error:
        raise InvalidRequest(f"No such file: after={after}", param="after") from error
