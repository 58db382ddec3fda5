"""The way of an archive: each recording looked at, sent once, written out, whichever of its steps an earlier run has done."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from cli.archive.caps import Budget, CapReached, Room, check_priced, room_for
from cli.archive.hearer import Answer, Hearer, NotKnown, Price, Recording, SourceChanged
from cli.archive.journal import Journal, Row
from cli.archive.plan import Caps, Hearing, Plan
from cli.archive.rendering import Keeper, NothingWritable, hash_of
from cli.archive.report import Report
from cli.archive.throttle import Stopped, Throttle
from cli.archive.verdict import TRIES, Kind, Verdict, verdict
from cli.exits import AWAY, BAD_INPUT, CAPPED
from cli.listing.buckets import Buckets
from cli.listing.found import SourceMissing, is_file
from cli.listing.sources import filename, opened
from pipeline.audio.duration.exact import measured_ms
from pipeline.cut.channel_chunks import Sound
from pipeline.errors import LimitExceeded, StenopoolError
from pipeline.transcript import Transcript, samples_to_ms

PATIENCE = 900.0  # seconds for which a server may be away before the command gives up
LONGEST_PAUSE = 60.0  # seconds between two tries
STILL = 2  # looks at which size and time were the same, with --watch
SMALL = 32 * 1024**2  # bytes; a larger file is decoded to find out how long it is


@dataclass(frozen=True)
class Ending:
    """Why a run ended before everything was done, and with which code the command leaves."""

    code: int
    error: StenopoolError


class Audience(Protocol):
    """Who is told what happens, from any thread."""

    def ended(self, row: Row, *, new: bool = True) -> None:
        """A recording is completed, has failed, or (not `new`) was done already."""
        ...

    def remark(self, text: str) -> None:
        """Something that people should know now."""
        ...


class Engine:
    """One run over all that is listed."""

    def __init__(
        self, plan: Plan, journal: Journal, hearer: Hearer, *, buckets: Buckets, throttle: Throttle, audience: Audience
    ) -> None:
        self._plan, self._journal, self._hearer = plan, journal, hearer
        self._buckets, self._throttle, self._audience = buckets, throttle, audience
        self._keeper = Keeper(plan, journal)
        self._report = Report(plan, journal)
        self._budget = Budget(plan.caps, journal.spent())
        self._same = _KeyLocks()
        self._prices: dict[Hearing, Price | None] = {}
        self._forced_since = _forced_since(plan, journal)
        self._away_since: float | None = None
        self._answers = 0  # so far, of whoever hears
        self.ending: Ending | None = None

    def run(self) -> None:
        """Until all is done, or `ending` says why not. Raises KeyboardInterrupt, InvalidRequest when nothing can be written."""
        check_priced(self._plan.caps, self._price_of(self._plan.hearing))
        self._report.start()
        begun = {row.name for row in self._journal.begun()}
        capped = self._plan.caps != Caps()
        if capped:  # what an earlier run has sent will cost what it costs: room for that comes first
            self._all(self._journal.begun())
        self._all(row for row in self._rows(begun) if not (capped and row.name in begun))
        if self.ending is None:
            self._journal.set_fact("forced_since", None)

    def _rows(self, begun: Collection[str]) -> Iterator[Row]:
        """Those that were sent before first: their jobs may have ended."""
        yield from self._journal.begun()
        yield from (row for row in self._journal.rows(self._plan.order) if row.name not in begun)

    def _all(self, rows: Iterable[Row]) -> None:
        room = threading.BoundedSemaphore(2 * self._plan.concurrency)
        pool = ThreadPoolExecutor(self._plan.concurrency, thread_name_prefix="recording")
        try:
            for row in rows:
                if self._throttle.is_shut:
                    break
                if not self._is_done(row):
                    room.acquire()
                    pool.submit(self._step, row, room)
            pool.shutdown()
        except BaseException:
            self.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise

    def stop(self) -> None:
        """Nothing more is begun, and nobody waits any more: what runs on a server is found there again."""
        self._throttle.stop()
        self._hearer.close()

    def close(self) -> dict[str, Any]:
        """The report is written; its summary."""
        return self._report.close()

    def _step(self, row: Row, room: threading.BoundedSemaphore) -> None:
        """Everything about one recording. No failure leaves it."""
        try:
            self._throttle.check()
            self._work(row)
        except Stopped:
            pass
        except CapReached as error:
            self._end(Ending(CAPPED, error))
        except NothingWritable as error:
            self._end(Ending(BAD_INPUT, error))
        except StenopoolError as error:
            self._failed(row, error)
        except OSError as error:
            self._failed(row, SourceMissing(f"It cannot be read: {error.strerror or error}."))
        except BaseException as error:
            self._end(Ending(AWAY, StenopoolError(f"{row.name}: {type(error).__name__}")))
            raise
        finally:
            room.release()

    def _work(self, row: Row) -> None:
        with opened(row.place, self._buckets) as path:
            row = self._identified(row, path)
            assert row.key is not None
            with self._same.held(row.key), self._noted(row):
                transcript = self._known(row)
                if transcript is None:
                    transcript = self._heard(row, path)
        self._keeper.write(row, transcript)
        self._completed(row)

    @contextmanager
    def _noted(self, row: Row) -> Iterator[None]:
        """A failure is known before the next recording of the same content begins."""
        try:
            yield
        except CapReached:
            raise
        except StenopoolError as error:
            self._note_failure(row, error)
            raise

    def _identified(self, row: Row, path: Path) -> Row:
        """With the hash of its bytes, and the key of its hearing. Raises SourceChanged, InputMissing."""
        digest = row.sha256 if row.is_as_hashed and not self._plan.checksum else None
        if digest is None:
            digest = hash_of(path)
            _unchanged(row)
        assert digest is not None
        hearing = self._plan.hearing.of_line(row.own)
        self._journal.hashed(row, digest, hearing.key(digest))
        found = self._journal.row(row.name)
        assert found is not None
        return found

    def _known(self, row: Row) -> Transcript | None:
        """What is kept of this content. Raises the failure of another recording with the same, if that was the content's fault."""
        assert row.key is not None
        if self._forced_since is not None and not self._journal.heard_since(row.key, self._forced_since):
            return None
        state, *_ = self._journal.hearing(row.key) or ("",)
        if state == "heard" and (kept := self._keeper.kept(row.key)):
            return kept
        failed = self._journal.own_failure(row.key)
        if failed and not self._is_retried:
            raise _SameFault(failed[1], code=failed[0])
        return None

    @property
    def _is_retried(self) -> bool:
        return self._plan.retry_failed or self._plan.force

    def _heard(self, row: Row, path: Path) -> Transcript:
        """Sent, heard, paid and kept, in this order. Raises CapReached, Stopped, what is wrong with it."""
        assert row.key is not None
        room = self._room(row, path)
        self._budget.take(room)
        used = Room(files=0)
        try:
            began = time.monotonic()
            answer = self._with_patience(row, path, room)
            used = Room(answer.cost_micro or 0, answer.duration_ms)
            self._journal.heard(
                row.key,
                duration_ms=answer.duration_ms,
                cost_micro=answer.cost_micro,
                seconds=round(time.monotonic() - began, 3),
            )
        finally:
            self._budget.settle(room, used)
        _unchanged(row)
        self._keeper.keep(row.key, answer.transcript)
        return answer.transcript

    def _asked(self, row: Row, path: Path) -> Recording:
        assert row.key is not None and row.sha256 is not None
        _, job_id, sent = self._journal.hearing(row.key) or ("", None, None)
        return Recording(
            path=path,
            filename=filename(row.name),
            name=row.name,
            key=row.key,
            sha256=row.sha256,
            hearing=self._plan.hearing.of_line(row.own),
            metadata=row.own.get("metadata") or {},
            job_id=job_id,
            again=self._is_retried,
            anew=self._forced_since is not None and (sent or 0) < self._forced_since,
        )

    def _room(self, row: Row, path: Path) -> Room:
        """What it takes at most, as far as caps need to know. Raises what is wrong with it."""
        if not self._plan.caps.measured:
            return Room()
        return room_for(sound_ms(path), self._price_of(self._plan.hearing.of_line(row.own)))

    def _price_of(self, hearing: Hearing) -> Price | None:
        if self._plan.caps.cost_micro is not None and hearing not in self._prices:
            self._prices[hearing] = self._hearer.price(hearing)
        return self._prices.get(hearing)

    def _waits(self, code: str, message: str) -> None:
        """A job of ours that nobody works on for now."""
        self._audience.remark(f"{message} Waiting for that.")
        if code == LimitExceeded.code and not self._plan.wait:
            self.ending = self.ending or Ending(CAPPED, CapReached(message))
            self.stop()

    def _with_patience(self, row: Row, path: Path, room: Room) -> Answer:
        """As often as it takes. Raises Stopped, what no other try helps against."""
        assert row.key is not None
        tries, answers, blocked = 0, self._answers, self._keeper.in_the_way(row)
        while True:
            tries += 1
            try:
                with self._throttle.turn():
                    _unchanged(row)
                    asked = replace(
                        self._asked(row, path),
                        max_cost_micro=room.cost_micro or None,
                        only_known=blocked is not None,
                    )
                    self._journal.sending(row.key, row.name)
                    answer = self._hearer.hear(asked, partial(self._journal.is_job, row.key), self._waits)
            except NotKnown as error:
                assert blocked is not None
                raise blocked from error
            except StenopoolError as error:
                self._cope(error, tries, others=self._answers > answers)
            else:
                self._away_since, self._answers = None, self._answers + 1
                self._throttle.went_well()
                return answer

    def _cope(self, error: StenopoolError, tries: int, *, others: bool) -> None:
        """Wait, and return for another try; or raise. `others` were heard meanwhile. Raises Stopped where it concerns all."""
        found = verdict(error)
        if found.kind == Kind.STOP:
            self._end(Ending(found.code, error))
            raise Stopped
        if found.kind == Kind.TOMORROW:
            self._wait_for_tomorrow(error, found)
        elif found.kind == Kind.PATIENT and not (found.blamed and others and tries >= TRIES):
            self._wait_for_server(error, found, tries)
        elif found.kind == Kind.AGAIN and tries < TRIES:
            self._throttle.sleep(found.seconds or _backoff(tries))
        else:
            raise error

    def _wait_for_tomorrow(self, error: StenopoolError, found: Verdict) -> None:
        if not self._plan.wait:
            self._end(Ending(CAPPED, error))
            raise Stopped
        self._audience.remark(f"{error.message} Waiting for that.")
        self._throttle.pause(found.seconds or LONGEST_PAUSE)

    def _wait_for_server(self, error: StenopoolError, found: Verdict, tries: int) -> None:
        now = time.monotonic()
        self._away_since = self._away_since or now
        if now - self._away_since > PATIENCE and found.seconds is None:
            self._end(Ending(AWAY, error))
            raise Stopped
        self._throttle.pause(found.seconds if found.seconds is not None else _backoff(tries))

    def _is_done(self, row: Row) -> bool:
        """Whether there is nothing to do for it, as far as one sees without reading it."""
        if self._plan.watch and row.looks < STILL:
            return True
        if row.base is None:  # it has no name for its outputs, and says so
            self._audience.ended(row, new=False)
            return True
        if row.state == "pending" or not row.is_as_hashed or self._plan.checksum:
            return False
        if row.key != self._plan.hearing.of_line(row.own).key(row.sha256 or ""):
            return False
        failed = row.state == "failed"
        done = row.own_fault and not self._is_retried if failed else self._is_written(row)
        if done:
            self._audience.ended(row, new=False)
        return done

    def _is_written(self, row: Row) -> bool:
        if self._forced_since is not None and not self._journal.heard_since(row.key or "", self._forced_since):
            return False
        try:
            return not self._keeper.missing(row)
        except StenopoolError:
            return False

    def _completed(self, row: Row) -> None:
        self._journal.end(row.name, "completed")
        self._tell(row)

    def _failed(self, row: Row, error: StenopoolError) -> None:
        self._note_failure(row, error)
        self._tell(row)

    def _note_failure(self, row: Row, error: StenopoolError) -> None:
        own = isinstance(error, _SameFault) or verdict(error).kind == Kind.OWN
        code = str(error.as_dict()["code"])
        self._journal.end(row.name, "failed", code, " ".join(error.message.split()), own=own)

    def _tell(self, row: Row) -> None:
        self._report.note()
        found = self._journal.row(row.name)
        assert found is not None
        self._audience.ended(found)

    def _end(self, ending: Ending) -> None:
        """The first reason counts. What a cap ends is let run; anything else stops all at once."""
        if self.ending is None:
            self.ending = ending
        if ending.code == CAPPED:
            self._throttle.shut()
        else:
            self.stop()


class _SameFault(StenopoolError):
    """Another recording with the same bytes has failed by its own fault. Details: code."""


class _KeyLocks:
    """One recording of each content at a time: the second one finds what the first has heard."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._changed = threading.Condition()

    @contextmanager
    def held(self, key: str) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: key not in self._held)
            self._held.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._held.discard(key)
                self._changed.notify_all()


def sound_ms(path: Path) -> int:
    """How long a recording sounds, as it would be billed. Raises what is wrong with it."""
    if path.stat().st_size <= SMALL and (known := measured_ms(path.read_bytes())) is not None:
        return known
    return samples_to_ms(Sound(path).measure())


def _unchanged(row: Row) -> None:
    """Raises SourceChanged where a file is no longer what was listed, OSError where there is none."""
    if not is_file(row.place):
        return
    facts = Path(row.place).stat()
    if (facts.st_size, facts.st_mtime) != (row.size, row.modified):
        raise SourceChanged


def _forced_since(plan: Plan, journal: Journal) -> float | None:
    """Since when all is heard anew, in epoch seconds: since the beginning of the first run that has not come to its end."""
    if not plan.force:
        return None
    known = journal.fact("forced_since")
    if known is None:
        known = str(time.time())
        journal.set_fact("forced_since", known)
    return float(known)


def _backoff(tries: int) -> float:
    """Seconds; not the same for all who wait."""
    return min(LONGEST_PAUSE, 2.0**tries) * (0.5 + (time.monotonic_ns() % 1000) / 2000)
