"""Answers on this machine's disk, for whoever goes on after the process that got them."""

import os
import stat
from pathlib import Path

import pytest

from infra.storage.answer_spool import AnswerSpool


@pytest.fixture
def spool(tmp_path: Path) -> AnswerSpool:
    return AnswerSpool(tmp_path / "answers")


def test_another_process_finds_what_one_has_kept(spool: AnswerSpool, tmp_path: Path) -> None:
    spool.keep("job_1.0.ab", b"heard")
    assert AnswerSpool(tmp_path / "answers").find("job_1.0.ab") == b"heard"


def test_what_is_stored_is_dropped(spool: AnswerSpool) -> None:
    spool.keep("job_1.0.ab", b"heard")
    spool.drop("job_1.0.ab")
    spool.drop("job_1.0.ab")
    assert spool.find("job_1.0.ab") is None


def test_nobody_else_may_read_it(spool: AnswerSpool, tmp_path: Path) -> None:
    spool.keep("job_1.0.ab", b"heard")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "answers", tmp_path / "answers" / "job_1.0.ab")]
    assert modes == [0o700, 0o600]


def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "answers").write_bytes(b"in the way")
    spool = AnswerSpool(tmp_path / "answers")
    spool.keep("job_1.0.ab", b"heard")
    assert spool.find("job_1.0.ab") is None


def test_what_nobody_comes_for_is_forgotten(spool: AnswerSpool, tmp_path: Path) -> None:
    spool.keep("old", b"")
    spool.keep("new", b"")
    os.utime(tmp_path / "answers" / "old", (0, 0))
    assert spool.forget(3600) == 1
    assert [path.name for path in (tmp_path / "answers").iterdir()] == ["new"]
