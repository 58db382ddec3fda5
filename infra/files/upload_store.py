"""The rows of /v1/uploads: files that arrive in parts, in any order, over days if need be.

A part is an object of its own in the upload's folder; what they become is media from the beginning, with room for all of it
reserved in the account's quota. Who joins the parts holds a lease, so that two never do it at once and one who died is followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.erasures import erase
from infra.database.ids import new_id, new_token
from infra.database.session import Database
from infra.database.tables.uploads import File, Media, Upload, UploadPart
from infra.files.file_store import insert_file
from infra.idempotency import Idempotency, create_once
from infra.keys.account_limits import take_stored
from infra.media import EXPECTED, give_room, let_go, mark_stored
from pipeline.errors import InvalidRequest, NotFound, WrongState

LIFE = 24 * 3600.0  # seconds from an upload's last part to its end
PART_BYTES = 64 * 1024**2  # of one part, at most
MOST_PARTS = 10_000
JOINING = 60.0  # seconds without a sign of life after which whoever joined the parts is thought dead
LATE_WRITES = 60.0  # seconds in which a part that was under way may still be written
PENDING, COMPLETED, CANCELLED, EXPIRED = "pending", "completed", "cancelled", "expired"


@dataclass(frozen=True)
class NewUpload:
    """What was announced."""

    account_id: str
    filename: str
    purpose: str
    mime_type: str
    bytes: int
    keep_seconds: int | None


@dataclass(frozen=True)
class Joining:
    """The right to join an upload's parts, in this order."""

    upload: Upload
    media: Media
    parts: Sequence[UploadPart]
    token: str


class UploadStore:
    """create, get, parts, want_part, add_part, offer_part, confirm, cancel, file_of; begin_joining, still_joining, joined,
    not_joined; expire, forget. Each is one short transaction; all that name an upload raise NotFound."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, new: NewUpload, idempotency: Idempotency | None = None) -> tuple[Upload, dict[str, Any] | None]:
        """(upload, None), or (the first upload, its first answer). Raises LimitExceeded, IdempotencyConflict."""
        insert = partial(_insert, new)
        return create_once(self._database, new.account_id, idempotency, Upload, insert, afterwards=_reserve)

    def get(self, account_id: str, upload_id: str) -> Upload:
        """Raises NotFound."""
        with self._database.read() as session:
            return _own(session, account_id, upload_id)

    def parts(self, upload_id: str) -> list[UploadPart]:
        """Those that are there or were promised, as they came."""
        with self._database.read() as session:
            return list(session.scalars(_parts(upload_id)))

    def want_part(self, account_id: str, upload_id: str, size: int) -> Upload:
        """The upload, if it takes a part of about `size` bytes now. Raises WrongState, InvalidRequest."""
        with self._database.read() as session:
            return _open(session, account_id, upload_id, size)

    def add_part(self, account_id: str, part: UploadPart) -> UploadPart:
        """The part's bytes are in storage, or its URL is about to be handed out; the upload lives on for a day. Raises
        WrongState, InvalidRequest for one part too many, LimitExceeded."""
        with self._database.write() as session:
            upload = _open(session, account_id, part.upload_id, part.bytes, lock=True)
            taken = select(func.coalesce(func.sum(col(UploadPart.bytes)), 0), func.count())
            size, count = session.execute(taken.where(col(UploadPart.upload_id) == upload.id)).one()
            if count >= MOST_PARTS:
                raise InvalidRequest(f"An upload has at most {MOST_PARTS} parts.", param="data")
            time = read_clock(session)
            part.created_at, upload.expires_at = time, time + LIFE
            session.add(part)
            session.flush()
            give_room(session, _media(session, upload), int(size) + part.bytes)
        return part

    def offered(self, upload_id: str, seconds: float) -> None:
        """A URL was handed out that takes bytes for so long."""
        with self._database.write() as session:
            upload = session.get_one(Upload, upload_id, with_for_update=True)
            upload.direct_until = max(upload.direct_until or 0.0, read_clock(session) + seconds)

    def confirm(self, part_ids: Sequence[str]) -> None:
        """These parts, whose URLs were handed out, are in storage."""
        with self._database.write() as session:
            for part in session.scalars(select(UploadPart).where(col(UploadPart.id).in_(part_ids))):
                part.stored = True

    def cancel(self, account_id: str, upload_id: str) -> Upload:
        """Once more: nothing happens. Raises WrongState for one that has ended otherwise, or whose parts are being joined."""
        with self._database.write() as session:
            upload = _own(session, account_id, upload_id, lock=True)
            if upload.status != CANCELLED:
                _want_pending(upload, read_clock(session))
                _end(session, upload, CANCELLED)
        return upload

    def file_of(self, account_id: str, upload_id: str) -> str:
        """The id of the file that the upload has become. Raises WrongState."""
        upload = self.get(account_id, upload_id)
        if upload.file_id is None:
            raise WrongState(
                f"The upload is {upload.status}: complete it first.",
                current_status=upload.status,
                allowed_statuses=[COMPLETED],
            )
        return upload.file_id

    def begin_joining(self, account_id: str, upload_id: str, part_ids: Sequence[str]) -> Joining | Upload:
        """The right to join these parts, or the upload when just that was done already. Raises WrongState, InvalidRequest."""
        with self._database.write() as session:
            upload = _own(session, account_id, upload_id, lock=True)
            if upload.status == COMPLETED and list(part_ids) == upload.part_ids:
                return upload
            time = read_clock(session)
            _want_pending(upload, time)
            parts = _chosen(upload, {part.id: part for part in session.scalars(_parts(upload.id))}, part_ids)
            upload.lease_token, upload.lease_until = new_token(), time + JOINING
            media = _media(session, upload)
            media.touched_at = time
            return Joining(upload, media, parts, upload.lease_token)

    def still_joining(self, joining: Joining) -> None:
        """A sign of life. Raises WrongState when somebody else has taken over."""
        with self._database.write() as session:
            upload = _held(session, joining)
            upload.lease_until = read_clock(session) + JOINING

    def joined(self, joining: Joining, sha256: str) -> tuple[Upload, File]:
        """The parts are one object in storage: the upload is completed, and its file there. Raises WrongState, LimitExceeded."""
        with self._database.write() as session:
            upload = _held(session, joining)
            media = _media(session, upload)
            mark_stored(session, media, upload.bytes, sha256)
            session.flush()
            file = insert_file(session, media=media, purpose=upload.purpose, keep_seconds=upload.keep_seconds)
            upload.file_id, upload.part_ids = file.id, [part.id for part in joining.parts]
            _end(session, upload, COMPLETED)
        return upload, file

    def not_joined(self, joining: Joining) -> None:
        """It failed: the upload is as it was."""
        with self._database.write() as session:
            upload = session.get(Upload, joining.upload.id, with_for_update=True)
            if upload is not None and upload.lease_token == joining.token:
                upload.lease_token = upload.lease_until = None

    def expire(self, limit: int = 100) -> list[str]:
        """Uploads that got no part for a day are over; their ids."""
        due = select(Upload).where(
            col(Upload.status) == PENDING,
            col(Upload.expires_at) <= now(),
            func.coalesce(col(Upload.lease_until), 0.0) <= now(),
        )
        with self._database.write() as session:
            found = session.scalars(due.order_by(col(Upload.id)).limit(limit).with_for_update(skip_locked=True)).all()
            for upload in found:
                _end(session, upload, EXPIRED)
            return [upload.id for upload in found]

    def forget(self, older_than_seconds: float, limit: int = 1000) -> None:
        """Rows of uploads that ended that long ago go; their files stay."""
        old = select(col(Upload.id)).where(col(Upload.ended_at) < now() - older_than_seconds).limit(limit)
        with self._database.write() as session:
            ids = list(session.scalars(old))
            session.execute(delete(Upload).where(col(Upload.id).in_(ids)))


def folder_of(upload: Upload) -> str:
    """All parts of the upload in storage, as `erase` takes it."""
    return f"t/{upload.account_id}/uploads/{upload.id}/"


def key_of(part: UploadPart) -> str:
    """Where a part's bytes are."""
    return f"t/{part.account_id}/uploads/{part.upload_id}/{part.id}"


def new_part(upload: Upload, size: int, *, sha256: str | None = None) -> UploadPart:
    """A part that has no row yet; without a hash its bytes are still to come, past us."""
    return UploadPart(
        id=new_id("part"),
        account_id=upload.account_id,
        upload_id=upload.id,
        bytes=size,
        sha256=sha256,
        stored=sha256 is not None,
        created_at=0.0,
    )


def _insert(new: NewUpload, session: Session) -> Upload:
    time, media_id = read_clock(session), new_id("med")
    media = Media(
        id=media_id,
        account_id=new.account_id,
        storage_key=f"t/{new.account_id}/media/{media_id}",
        state=EXPECTED,
        filename=new.filename,
        created_at=time,
        touched_at=time,
    )
    upload = Upload(
        id=new_id("upload"),
        account_id=new.account_id,
        media_id=media_id,
        filename=new.filename,
        purpose=new.purpose,
        mime_type=new.mime_type,
        bytes=new.bytes,
        keep_seconds=new.keep_seconds,
        created_at=time,
        expires_at=time + LIFE,
    )
    session.add(media)
    session.flush()
    session.add(upload)
    session.flush()
    return upload


def _reserve(session: Session, upload: Upload) -> None:
    _media(session, upload).counted = take_stored(session, upload.account_id, upload.bytes)


def _own(session: Session, account_id: str, upload_id: str, *, lock: bool = False) -> Upload:
    upload = session.get(Upload, upload_id, with_for_update=lock or None)
    if upload is None or upload.account_id != account_id:
        raise NotFound("No such upload.")
    return upload


def _open(session: Session, account_id: str, upload_id: str, size: int, *, lock: bool = False) -> Upload:
    """The upload, if it takes parts. Raises WrongState, InvalidRequest for a part that is larger than all of it."""
    upload = _own(session, account_id, upload_id, lock=lock)
    _want_pending(upload, read_clock(session))
    if size > upload.bytes:
        told = f"A part of {size} bytes cannot belong to an upload of {upload.bytes} bytes."
        raise InvalidRequest(told, param="data")
    return upload


def _want_pending(upload: Upload, time: float) -> None:
    what = upload.status
    if what == PENDING and (upload.lease_until or 0.0) > time:
        what = "being completed"
    elif what == PENDING and upload.expires_at > time:
        return
    elif what == PENDING:
        what = EXPIRED
    told = f"The upload is {what}: it takes nothing more."
    raise WrongState(told, current_status=upload.status, allowed_statuses=[PENDING])


def _parts(upload_id: str) -> Any:
    mine = select(UploadPart).where(col(UploadPart.upload_id) == upload_id)
    return mine.order_by(col(UploadPart.created_at), col(UploadPart.id))


def _chosen(upload: Upload, there: dict[str, UploadPart], part_ids: Sequence[str]) -> list[UploadPart]:
    """Raises InvalidRequest for parts that are not there, not once each, or not the whole."""
    missing = next((part_id for part_id in part_ids if part_id not in there), None)
    if missing is not None:
        raise InvalidRequest(f"The upload has no part {missing[:64]!r}.", param="part_ids")
    if len(set(part_ids)) < len(part_ids):
        raise InvalidRequest("A part is named twice.", param="part_ids")
    parts = [there[part_id] for part_id in part_ids]
    size = sum(part.bytes for part in parts)
    if size != upload.bytes:
        raise InvalidRequest(
            f"These parts have {size} bytes, and the upload was announced with {upload.bytes}.", param="part_ids"
        )
    if late := next((part.id for part in parts if not part.stored), None):
        raise InvalidRequest(f"The bytes of the part {late} have not come.", param="part_ids")
    return parts


def _media(session: Session, upload: Upload) -> Media:
    return session.get_one(Media, upload.media_id, with_for_update=True)


def _held(session: Session, joining: Joining) -> Upload:
    upload = session.get(Upload, joining.upload.id, with_for_update=True)
    if upload is None or upload.lease_token != joining.token:
        raise WrongState("The upload was ended, or is being completed by another request.")
    return upload


def _end(session: Session, upload: Upload, status: str) -> None:
    """Its lock is ours: its parts leave the store, and what it did not become leaves the quota."""
    time = read_clock(session)
    media, upload.media_id = _media(session, upload), None
    upload.status, upload.ended_at = status, time
    upload.lease_token = upload.lease_until = None
    session.execute(delete(UploadPart).where(col(UploadPart.upload_id) == upload.id))
    session.flush()
    if status != COMPLETED:
        let_go(session, media)
    erase(session, folder_of(upload), max(time, upload.direct_until or 0.0) + LATE_WRITES)
