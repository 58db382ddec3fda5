"""Uploaded recordings: a row before the first byte, so that whatever happens their bytes can be found and removed."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.ids import new_id
from infra.database.session import Database
from infra.database.tables import Job, Media
from pipeline.errors import InputMissing, NotFound
from pipeline.lifecycle import LIVE

GIVE_UP_AGAIN = 60.0  # seconds until media that was to be deleted, and was not forgotten, is handed out once more


class MediaStore:
    """The rows of what was uploaded or fetched; the bytes are in the object store under `storage_key`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, account_id: str, filename: str | None) -> Media:
        """A committed row, state pending, with the storage key to write to."""
        media_id = new_id("med")
        with self._database.write() as session:
            time = read_clock(session)
            media = Media(
                id=media_id,
                account_id=account_id,
                storage_key=f"t/{account_id}/media/{media_id}",
                filename=filename,
                created_at=time,
                touched_at=time,
            )
            session.add(media)
        return media

    def touch(self, media_id: str) -> None:
        """Say that bytes still arrive. Raises InputMissing when the sweep has given the upload up."""
        with self._database.write() as session:
            media = _locked(session, media_id)
            if media is None or media.state != "pending":
                raise InputMissing("The upload paused for too long and was given up.")
            media.touched_at = read_clock(session)

    def stored(self, media_id: str, size: int, sha256: str) -> Media:
        """All `size` bytes are in storage. Raises InputMissing when the sweep has given the upload up."""
        with self._database.write() as session:
            media = _locked(session, media_id)
            if media is None or media.state != "pending":
                raise InputMissing("The upload paused for too long and was given up.")
            media.state = "stored"
            media.bytes = size
            media.sha256 = sha256
            media.touched_at = read_clock(session)
        return media

    def get(self, account_id: str, media_id: str) -> Media:
        """Raises NotFound: unknown and foreign look the same."""
        with self._database.read() as session:
            media = session.get(Media, media_id)
        if media is None or media.account_id != account_id:
            raise NotFound("No such media.")
        return media

    def forget(self, media_id: str) -> None:
        """Its bytes are gone from storage: the row goes too, or is marked deleted where a job still names it."""
        with self._database.write() as session:
            media = _locked(session, media_id)
            if media is None:
                return
            media.state = "deleted"
            if session.execute(select(exists().where(col(Job.media_id) == media_id))).scalar_one() is False:
                session.delete(media)

    def orphans(self, older_than_seconds: float, limit: int = 100) -> list[Media]:
        """Uploads given up (pending and untouched), or stored and never used by a job, for that long.

        They are marked `deleting` in the same transaction: no job can take them any more. Delete their bytes, then
        `forget`; whoever dies in between leaves them to the next call.
        """
        unused = ~exists().where(col(Job.media_id) == col(Media.id))
        return self._give_up(col(Media.touched_at) < now() - older_than_seconds, unused, limit)

    def unneeded(self, retention_seconds: float, limit: int = 100) -> list[Media]:
        """Media whose jobs have all ended that long ago, or are purged; marked `deleting` and handed out like orphans."""
        used = exists().where(col(Job.media_id) == col(Media.id))
        needed = exists().where(
            col(Job.media_id) == col(Media.id),
            col(Job.purged_at).is_(None),
            or_(col(Job.status).in_(LIVE), col(Job.ended_at) > now() - retention_seconds),
        )
        return self._give_up(~needed, used, limit)

    def useless(self, media_id: str) -> list[Media]:
        """The media if no live job needs it any more, marked `deleting` and handed out like orphans; else nothing."""
        this = col(Media.id) == media_id
        needed = exists().where(col(Job.media_id) == col(Media.id), col(Job.status).in_(LIVE))
        return self._give_up(~needed, this, limit=1)

    def _give_up(self, due: ColumnElement[bool], kind: ColumnElement[bool], limit: int) -> list[Media]:
        again = and_(col(Media.state) == "deleting", col(Media.touched_at) < now() - GIVE_UP_AGAIN, kind)
        wanted = or_(and_(col(Media.state).in_(("pending", "stored")), kind, due), again)
        with self._database.write() as session:
            some = select(Media).where(wanted).order_by(col(Media.touched_at)).limit(limit)
            locked = [media.id for media in session.scalars(some.with_for_update(skip_locked=True))]
            # Once more under the lock: a job may have taken one between our look and our lock.
            still = session.scalars(select(Media).where(col(Media.id).in_(locked), wanted)).all()
            time = read_clock(session)
            for media in still:
                media.state = "deleting"
                media.touched_at = time
            return list(still)


def want_stored(session: Session, media: Media | None) -> None:
    """Raises InputMissing. The lock keeps the sweep from giving the media up while a job takes it."""
    if media is None:
        return
    row = _locked(session, media.id)
    if row is None or row.state != "stored" or row.account_id != media.account_id:
        raise InputMissing


def _locked(session: Session, media_id: str) -> Media | None:
    return session.get(Media, media_id, with_for_update=True)
