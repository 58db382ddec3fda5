"""Uploaded recordings: a row before the first byte, so that whatever happens their bytes can be found and removed."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import ColumnElement, and_, bindparam, exists, or_, select
from sqlalchemy.orm import Session
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.erasures import erase
from infra.database.ids import new_id
from infra.database.session import Database
from infra.database.tables.jobs import Job
from infra.database.tables.uploads import Media
from infra.keys.account_limits import change_stored, take_stored
from pipeline.errors import InputMissing, NotFound
from pipeline.lifecycle import LIVE

AHEAD = 64 * 1024**2  # bytes that are reserved at once for an upload of unknown length, at most
# The account's own, which no sweep gives up and no job's end takes away: a file's, and that of an upload part by part.
KEPT, EXPECTED = "kept", "expected"
OWN = (KEPT, EXPECTED)
USABLE = ("stored", KEPT)
GIVE_UP_AGAIN = 60.0  # seconds until media that was to be deleted, and was not forgotten, is handed out once more


class MediaStore:
    """The rows of what was uploaded or fetched; the bytes are in the object store under `storage_key`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, account_id: str, filename: str | None, *, expected: int = 0, at_least: int = 0) -> Media:
        """A committed row, state pending, with the storage key to write to, and room reserved for the bytes that are expected.

        Raises LimitExceeded where not even `at_least` bytes have room; more than was expected is what `grow` is for.
        """
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
            media.counted = take_stored(session, account_id, expected, at_least=at_least)
        return media

    def grow(self, media: Media, size: int) -> Media:
        """The media with room for `size` bytes, and for as many again as long as nobody knows how many will come.

        Raises LimitExceeded, InputMissing when the sweep has given the upload up.
        """
        with self._database.write() as session:
            row = _pending(session, media.id)
            more = size - row.counted
            if more > 0:
                row.counted += take_stored(session, row.account_id, more + min(size, AHEAD), at_least=more)
            row.touched_at = read_clock(session)
        return row

    def touch(self, media_id: str) -> None:
        """Say that bytes still arrive. Raises InputMissing when the sweep has given the upload up."""
        with self._database.write() as session:
            _pending(session, media_id).touched_at = read_clock(session)

    def stored(self, media_id: str, size: int, sha256: str) -> Media:
        """All `size` bytes are in storage, and count. Raises LimitExceeded, InputMissing when the sweep has given the upload up."""
        with self._database.write() as session:
            media = _pending(session, media_id)
            mark_stored(session, media, size, sha256)
        return media

    def copied(self, media_id: str, size: int) -> None:
        """Its copy for browsers is in storage, and counts. Raises LimitExceeded, InputMissing where it has gone meanwhile."""
        with self._database.write() as session:
            media = _locked(session, media_id)
            if media is None or media.state not in USABLE:
                raise InputMissing
            before, media.copied = media.copied, size
            _recount(session, media, media.counted - before + size)

    def get(self, account_id: str, media_id: str) -> Media:
        """Raises NotFound: unknown and foreign look the same."""
        with self._database.read() as session:
            media = session.scalars(_MEDIA, {"of_media": media_id}).one_or_none()
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
            media.copied = 0
            _recount(session, media, 0)
            _delete_unnamed(session, media)

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

    def give_up(self, media_id: str) -> None:
        """Whoever fetched it has stopped before a job names it: it leaves the quota now, and the store within a minute."""
        with self._database.write() as session:
            media = _locked(session, media_id)
            if media is not None and media.state in ("pending", "stored") and not _is_named(session, media):
                let_go(session, media)

    def _give_up(self, due: ColumnElement[bool], kind: ColumnElement[bool], limit: int) -> list[Media]:
        again = and_(col(Media.state) == "deleting", col(Media.touched_at) < now() - GIVE_UP_AGAIN, kind)
        wanted = or_(and_(col(Media.state).in_(("pending", "stored")), kind, due), again)
        with self._database.write() as session:
            some = select(Media).where(wanted).order_by(col(Media.touched_at)).limit(limit)
            locked = [media.id for media in session.scalars(some.with_for_update(skip_locked=True))]
            # Once more under the lock: a job may have taken one between our look and our lock.
            still = session.scalars(select(Media).where(col(Media.id).in_(locked), wanted)).all()
            time = read_clock(session)
            freed: Counter[str] = Counter()
            for media in still:
                media.state = "deleting"
                media.touched_at = time
                freed[media.account_id] += media.counted
                media.counted = 0
            for account_id in sorted(freed):  # two of us wait for each other never in a circle
                change_stored(session, account_id, -freed[account_id])
            return list(still)


def copy_key(media: Media) -> str:
    """Where its copy for browsers is."""
    return f"t/{media.account_id}/copies/{media.id}"


def objects_of(media: Media) -> list[str]:
    """The keys of all that is stored of it."""
    return [media.storage_key, copy_key(media)] if media.copied else [media.storage_key]


def want_stored(session: Session, media: Media | None) -> None:
    """Raises InputMissing. The lock keeps the sweep from giving the media up while a job takes it."""
    if media is None:
        return
    row = _locked(session, media.id)
    if row is None or row.state not in USABLE or row.account_id != media.account_id:
        raise InputMissing


def mark_stored(session: Session, media: Media, size: int, sha256: str) -> None:
    """Its lock is ours, and all its bytes are in storage. Raises LimitExceeded."""
    media.state = "stored"
    media.bytes = size
    media.sha256 = sha256
    media.touched_at = read_clock(session)
    _recount(session, media, size)


def give_room(session: Session, media: Media, size: int) -> None:
    """Its lock is ours: it counts `size` bytes, where those are more than it counts already. Raises LimitExceeded."""
    if size > media.counted:
        _recount(session, media, size)


def let_go(session: Session, media: Media) -> None:
    """Its lock is ours, and nobody needs it any more: it leaves the quota now, and the store within a minute."""
    time = read_clock(session)
    for key in objects_of(media):
        erase(session, key, time)
    media.state, media.copied = "deleted", 0
    _recount(session, media, 0)
    _delete_unnamed(session, media)


def _delete_unnamed(session: Session, media: Media) -> None:
    """The row stays where a job still names it, and says no more than that."""
    media.filename = media.sha256 = None
    if not _is_named(session, media):
        session.delete(media)


def _is_named(session: Session, media: Media) -> bool:
    return bool(session.execute(select(exists().where(col(Job.media_id) == media.id))).scalar_one())


def _recount(session: Session, media: Media, size: int) -> None:
    """It counts `size` bytes from now on. Raises LimitExceeded where those are more than before."""
    if size > media.counted:
        take_stored(session, media.account_id, size - media.counted)
    else:
        change_stored(session, media.account_id, size - media.counted)
    media.counted = size


def _pending(session: Session, media_id: str) -> Media:
    media = _locked(session, media_id)
    if media is None or media.state != "pending":
        raise InputMissing("The upload paused for too long and was given up.")
    return media


def _locked(session: Session, media_id: str) -> Media | None:
    return session.scalars(_LOCKED, {"of_media": media_id}).one_or_none()


_MEDIA = select(Media).where(col(Media.id) == bindparam("of_media"))
_LOCKED = _MEDIA.with_for_update()
