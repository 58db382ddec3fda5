"""One run over what is listed: what is tried again, what ends all, and what is said of files that do not keep still."""

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from cli import exits
from cli.archive import engine as engine_module
from cli.archive import rendering
from cli.archive.engine import Engine
from cli.archive.hearer import Answer, Hearing, JobFailed, Price, Recording
from cli.archive.journal import Journal, Row
from cli.archive.naming import name_all
from cli.archive.plan import Caps, Plan
from cli.archive.throttle import Throttle
from cli.exits import ApiAway, ApiRefused
from cli.listing.buckets import Buckets
from cli.listing.found import Found
from cli.listing.sources import Sources
from infra.buckets.selection import Selection
from pipeline.errors import InvalidRequest, StenopoolError
from pipeline.transcript import Segment, Transcript
from tests.support.recordings import short

DAY = {"status": 429, "code": "limit_exceeded", "param": "transcription_minutes_per_day", "retry_after": 3600.0}
Says = Callable[[Recording], StenopoolError | None]


class Ear:
    """Hears everything, but fails as it is told to; what was asked of it stands in `asked`."""

    def __init__(self, says: Says = lambda _: None) -> None:
        self.asked: list[Recording] = []
        self.waits: tuple[str, str] | None = None
        self._says, self._lock = says, threading.Lock()

    def hear(self, recording: Recording, is_job: Callable[[str], None], waits: Callable[[str, str], None]) -> Answer:
        with self._lock:
            self.asked.append(recording)
        if self.waits:
            waits(*self.waits)
        if (error := self._says(recording)) is not None:
            raise error
        is_job(f"job_{recording.filename}")
        return Answer(Transcript((Segment(recording.filename, 0, 900),), 1000), 1000, 100)

    def price(self, hearing: Hearing) -> Price:
        return Price(Fraction(1, 10))

    def close(self) -> None:
        """Nothing is held."""

    def names(self) -> list[str]:
        return sorted(recording.filename for recording in self.asked)


class Listener:
    """An Audience."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.told: list[str] = []

    def ended(self, row: Row, *, new: bool = True) -> None:
        self.rows.append(row)

    def remark(self, text: str) -> None:
        self.told.append(text)


class Archive:
    """Three recordings, and runs over them."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.source, self.out, self.journal = folder / "in", folder / "out", journal
        self.source.mkdir()
        for number, name in enumerate(("a.wav", "b.wav", "c.wav")):
            (self.source / name).write_bytes(short(number).wav)

    def run(self, ear: Ear, between: Callable[[], None] = lambda: None, **plan: Any) -> Engine:
        asked = Plan(self.out, self.out / "_report", ("text",), Hearing("m"), **plan)
        asked.parts.mkdir(parents=True, exist_ok=True)
        with self.journal.listing():
            for one in Sources((str(self.source),), Selection()).listed(Buckets()):
                assert isinstance(one, Found)
                self.journal.note(one)
            name_all(self.journal, asked)
        between()
        self.listener = Listener()
        made = Engine(
            asked, self.journal, ear, buckets=Buckets(), throttle=Throttle(asked.concurrency), audience=self.listener
        )
        made.run()
        made.close()
        return made

    def states(self) -> dict[str, str]:
        return {row.name: row.state if row.code is None else row.code for row in self.journal.rows()}


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    monkeypatch.setattr(engine_module, "_backoff", lambda _tries: 0.0)
    with closing(Journal(tmp_path / "state.sqlite")) as journal:
        yield Archive(tmp_path, journal)


def at(name: str, *errors: StenopoolError | None) -> Says:
    """These for that file, one after the other and the last one for ever; nothing for others."""
    left = list(errors)

    def says(recording: Recording) -> StenopoolError | None:
        if recording.filename != name:
            return None
        return left.pop(0) if len(left) > 1 else left[0]

    return says


def test_what_may_pass_is_tried_again_and_by_the_next_run_too(archive: Archive) -> None:
    lost = JobFailed("The worker died.", code="worker_lost", retryable=True)
    assert archive.run(Ear(at("b.wav", lost, lost, None))).ending is None
    assert archive.states() == dict.fromkeys(("a.wav", "b.wav", "c.wav"), "completed")
    (archive.source / "d.wav").write_bytes(short(7).wav)
    ear = Ear(at("d.wav", lost))
    archive.run(ear)
    assert (ear.names(), archive.states()["d.wav"]) == (["d.wav"] * 3, "worker_lost")
    again = Ear()
    archive.run(again)
    assert (again.names(), archive.states()["d.wav"]) == (["d.wav"], "completed")


def test_its_own_fault_is_not_sent_again_nor_are_its_copies(archive: Archive) -> None:
    (archive.source / "copy.wav").write_bytes((archive.source / "b.wav").read_bytes())
    broken = JobFailed("No sound.", code="unsupported_media", retryable=False)
    ear = Ear(lambda recording: broken if recording.filename in ("b.wav", "copy.wav") else None)
    archive.run(ear)
    assert len(ear.asked) == 3
    assert archive.states() == {
        "a.wav": "completed", "b.wav": "unsupported_media", "c.wav": "completed", "copy.wav": "unsupported_media",
    }  # fmt: skip
    for force, names in (({}, []), ({"retry_failed": True}, ["b.wav", "copy.wav"])):
        ear = Ear(at("", None))
        archive.run(ear, **force)
        assert ear.names() in (names, names[:1])


@pytest.mark.parametrize("error", [ApiAway("away"), ApiRefused("no", status=500, code="internal_error", param=None)])
def test_a_recording_at_which_a_server_fails_does_not_hold_up_the_others(
    archive: Archive, error: StenopoolError
) -> None:
    assert archive.run(Ear(at("a.wav", error)), concurrency=2).ending is None
    assert {name for name, state in archive.states().items() if state == "completed"} == {"b.wav", "c.wav"}


def test_an_empty_balance_ends_all(archive: Archive) -> None:
    empty = ApiRefused("The balance is used up.", status=402, code="insufficient_balance", param=None)
    ear = Ear(at("a.wav", empty))
    ending = archive.run(ear).ending
    assert ending is not None
    assert (ending.code, ear.names()) == (exits.NOT_ALLOWED, ["a.wav"])
    assert set(archive.states().values()) == {"pending"}


def test_the_days_minutes_are_waited_for_unless_that_is_not_wanted(archive: Archive) -> None:
    ending = archive.run(Ear(at("b.wav", ApiRefused("Used up.", **DAY))), wait=False).ending
    assert ending is not None
    assert (ending.code, archive.states()["b.wav"]) == (exits.CAPPED, "pending")
    soon = ApiRefused("Used up.", **{**DAY, "retry_after": 0.001})
    assert archive.run(Ear(at("b.wav", soon, None))).ending is None
    assert archive.listener.told == ["Used up. Waiting for that."]


def test_a_job_that_waits_for_tomorrow_ends_a_run_that_does_not(archive: Archive) -> None:
    ear = Ear()
    ear.waits = ("limit_exceeded", "The day's minutes are used up.")
    ending = archive.run(ear, wait=False).ending
    assert ending is not None
    assert ending.code == exits.CAPPED


def test_files_that_change_or_vanish_meanwhile_are_told_and_taken_later(archive: Archive) -> None:
    def meddle() -> None:
        (archive.source / "a.wav").unlink()
        (archive.source / "b.wav").write_bytes(short(9).wav + b"more")

    archive.run(Ear(), meddle)
    assert archive.states() == {"a.wav": "source_missing", "b.wav": "source_changed", "c.wav": "completed"}
    archive.run(Ear())
    assert archive.states() == {"b.wav": "completed", "c.wav": "completed"}


def test_a_full_disk_ends_all_and_blames_nobody(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(target: Path, blocks: Any, *, parts: Path | None = None) -> int:
        raise InvalidRequest("full", param="output") from OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(rendering, "write_whole", full)
    ending = archive.run(Ear()).ending
    assert ending is not None
    assert ending.code == exits.BAD_INPUT
    monkeypatch.undo()
    ear = Ear()
    archive.run(ear)
    assert set(archive.states().values()) == {"completed"}


def test_a_job_may_cost_what_its_length_says_and_hardly_more(archive: Archive) -> None:
    ear = Ear()
    ending = archive.run(ear, caps=Caps(cost_micro=250)).ending
    assert ending is not None
    assert (ending.code, len(ear.asked)) == (exits.CAPPED, 2)
    assert all(100 <= (recording.max_cost_micro or 0) <= 125 for recording in ear.asked)
    assert archive.journal.spent()[0] == 200


def test_what_an_earlier_run_has_begun_comes_first(archive: Archive) -> None:
    archive.run(Ear(at("c.wav", JobFailed("Cancelled.", code="cancelled", retryable=True))), concurrency=1)
    row = archive.journal.row("c.wav")
    assert row is not None
    assert row.key is not None
    archive.journal.sending(row.key, "c.wav")
    archive.journal.end("c.wav", "pending")
    for name in ("a.wav", "b.wav"):
        (archive.source / name).write_bytes(short(20 + ord(name[0])).wav)
    ear = Ear()
    archive.run(ear, concurrency=1)
    assert ear.asked[0].filename == "c.wav"
