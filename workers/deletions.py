"""What the sweep deletes: sound that was heard, results and recordings past their time, whole accounts, what dead writers left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

from infra.database.tables.uploads import Media
from infra.media import objects_of
from infra.privacy.account_erasure import folder_of
from infra.wiring import Services
from pipeline.errors import StenopoolError
from workers.housekeeping import LONGEST_PAUSE

log = logging.getLogger(__name__)

UPLOAD_GIVEN_UP = 3600.0  # seconds without a byte
MOST_FAILURES = 3
AT_ONCE = 500  # things that one deletion takes away
BATCHES = 20  # in one pass: what is due first is not kept waiting by many of another kind
FOLDERS = 25  # deleted in one go
ERASERS = 8  # of which so many side by side

Thing = TypeVar("Thing")


class Look(Protocol):
    """What is due, `without` what was tried in this pass."""

    def __call__(self, *, without: Collection[str]) -> list[str]: ...


def drop_sound(services: Services) -> bool:
    """The sound of chunks that are heard goes at once."""
    if sounds := services.jobs.sound_to_drop(AT_ONCE):
        services.storage.delete(*(sound.sound_key for sound in sounds))
        services.jobs.sound_dropped(sounds)
    return len(sounds) == AT_ONCE


def purge(services: Services) -> bool:
    """Jobs past their retention lose their results: here in the database, whatever the store does, by `erase` there."""
    return _batch_by_batch(services.jobs.due_for_purge, services.jobs.purged)


def clear(services: Services) -> bool:
    """The rows of purged jobs say no more than they may: those of before, and those whose webhook is delivered by now."""
    return _batch_by_batch(services.jobs.to_clear, services.jobs.cleared)


def erase(services: Services) -> bool:
    """What nothing refers to any more leaves the store."""

    def lose_folders(places: Sequence[str]) -> None:
        services.storage.delete_prefix(*places)
        services.jobs.erased(places)

    def lose_objects(keys: Sequence[str]) -> None:
        services.storage.delete(*keys)
        services.jobs.erased(keys)

    places = services.jobs.to_erase(limit=AT_ONCE)
    folders = [place for place in places if place.endswith("/")]
    _together([place for place in places if not place.endswith("/")], lose_objects)
    shares = [folders[start : start + FOLDERS] for start in range(0, len(folders), FOLDERS)]
    _each(shares, lambda share: _together(share, lose_folders))
    return len(places) == AT_ONCE


def drop_media(services: Services) -> bool:
    """Recordings that no job needs: given up in mid-upload, never used, or past their time after the job's end."""

    def lose_all(media: Sequence[Media]) -> None:
        services.storage.delete(*(key for row in media for key in objects_of(row)))
        _each(media, lambda row: services.media.forget(row.id))
        services.metrics.orphans.inc(len(media))

    given_up = services.media.orphans(UPLOAD_GIVEN_UP, AT_ONCE)
    unneeded = services.media.unneeded(services.settings.media_retention_seconds, AT_ONCE)
    for media in (given_up, unneeded):
        _together(media, lose_all)
    return AT_ONCE in (len(given_up), len(unneeded))


def _batch_by_batch(look: Look, change: Callable[[Collection[str]], set[str]]) -> bool:
    """Rows alone, a transaction each time; one by one where that fails for all. True: there may be more."""
    skip_failing, left = SkipFailing(), set[str]()
    for _ in range(BATCHES):
        began = time.monotonic()
        if not (ids := look(without=left)):
            return False
        left |= set(ids) - _changed(change, ids, skip_failing)
        time.sleep(min(LONGEST_PAUSE, time.monotonic() - began))  # half of SQLite's one writer is left to the others
    return True


def _changed(
    change: Callable[[Collection[str]], set[str]], ids: Collection[str], skip_failing: SkipFailing
) -> set[str]:
    try:
        return change(ids)
    except StenopoolError as error:
        log.warning("one by one, because it failed for all: %s", error)
    done = set[str]()
    for one in ids:
        with skip_failing:
            done |= change([one])
    return done


def _together(things: Sequence[Thing], lose_all: Callable[[Sequence[Thing]], None]) -> None:
    """All in one; when that fails one by one, so that one which resists does not keep the others."""
    if not things:
        return
    try:
        lose_all(things)
    except StenopoolError as error:
        log.warning("one by one, because it failed for all: %s", error)
        _each(things, lambda thing: lose_all([thing]))


def _each(things: Iterable[Thing], lose: Callable[[Thing], object]) -> None:
    """Several side by side: what takes the time is to ask."""
    with ThreadPoolExecutor(ERASERS, thread_name_prefix="erase") as threads:
        for _ in threads.map(partial(_unless_it_resists, SkipFailing(), lose), things):
            pass


def _unless_it_resists(skip_failing: SkipFailing, lose: Callable[[Thing], object], thing: Thing) -> None:
    if not skip_failing.is_enough:
        with skip_failing:
            lose(thing)


def erase_accounts(services: Services) -> None:
    """Accounts that are to be forgotten: what whoever asked for it did not come to, and what came since."""
    for account_id in services.eraser.look_again():
        if not any(not services.eraser.step(account_id) for _ in range(BATCHES)):
            continue  # the next pass goes on
        services.storage.delete_prefix(folder_of(account_id))
        log.info("erased account %s", account_id, extra={"account_id": account_id})


class SkipFailing:
    """Lets a duty pass over a thing that resists, so that it cannot starve those behind it; three at a time are enough."""

    def __init__(self) -> None:
        self._failed = 0

    @property
    def is_enough(self) -> bool:
        """Nothing more should be tried in this pass."""
        return self._failed >= MOST_FAILURES

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, StenopoolError):
            return False
        self._failed += 1
        log.warning("left for the next pass: %s", error)
        return not self.is_enough


def abort_uploads(services: Services) -> None:
    """Parts that dead writers left in the object store."""
    services.metrics.orphans.inc(services.storage.abort_stale_uploads(UPLOAD_GIVEN_UP))
