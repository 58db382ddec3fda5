"""What is known of an archive: rows in pages and orders, what stood still, money over all tries."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cli.archive.journal import PAGE, Journal
from cli.listing.found import Found, Trouble


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path / "state.sqlite")) as made:
        yield made


def note(journal: Journal, *found: Found) -> None:
    with journal.listing():
        for one in found:
            journal.note(one)


def sized(name: str, size: int = 1, modified: float = 1.0) -> Found:
    return Found(name, f"/in/{name}", size, modified)


def test_rows_come_in_pages_and_in_any_order(journal: Journal) -> None:
    count = 2 * PAGE + 3
    note(journal, *(sized(f"{number:05}", number * 7 % 11, number * 5 % 13) for number in range(count)))
    assert [row.name for row in journal.rows()] == [f"{number:05}" for number in range(count)]
    for order, facts in (("size", "size"), ("mtime", "modified")):
        rows = list(journal.rows(order))
        assert len({row.name for row in rows}) == count
        assert [(getattr(row, facts), row.name) for row in rows] == sorted(
            (getattr(row, facts), row.name) for row in rows
        )


def test_what_is_listed_no_more_is_left_out_but_not_what_was_heard(journal: Journal) -> None:
    note(journal, sized("a"), sized("b"))
    journal.end("a", "completed")
    note(journal, sized("c"))
    assert [row.name for row in journal.rows()] == ["c"]
    assert [row.name for row in journal.rows(everything=True)] == ["a", "c"]
    assert journal.totals() == (1, {"": 1})


def test_bytes_are_counted_by_ending(journal: Journal) -> None:
    note(journal, sized("a.mp3", 3), sized("b/c.MP3", 4), sized("d.e/f", 5), sized("g.flac", 70))
    assert journal.totals() == (4, {".mp3": 7, "": 5, ".flac": 70})


def test_a_file_stands_still_when_two_looks_are_alike(journal: Journal) -> None:
    looks = []
    for size in (1, 2, 2, 2, 3):
        note(journal, sized("a", size))
        looks.append(next(journal.rows()).looks)
    assert looks == [1, 1, 2, 3, 1]


def test_two_of_one_name_are_known_as_two(journal: Journal) -> None:
    with journal.listing():
        assert journal.note(sized("a")) is None
        other = journal.note(Found("a", "/elsewhere/a", 1, 1.0))
        assert journal.note(sized("a")) is None, "the same one twice is one"
        journal.note_trouble(Trouble("x", "code", "message", harmless=True))
    assert other is not None
    assert other.place == "/in/a"
    assert [trouble.name for trouble in journal.troubles()] == ["x"]


def test_what_every_job_has_cost_is_spent(journal: Journal) -> None:
    for job_id in ("job_1", "job_2"):
        journal.sending("key", "a")
        journal.is_job("key", job_id)
        for _ in range(2):  # told again after a crash
            journal.heard("key", duration_ms=1000, cost_micro=70, seconds=1.0)
    assert journal.spent() == (140, 1000, 1)
    facts = journal.hearing_facts("key")
    assert facts is not None
    assert facts[:4] == ("a", "job_2", 1000, 140)
    assert facts[5] == 2


def test_it_is_all_there_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with closing(Journal(path)) as first:
        note(first, sized("ü"))
        first.hashed(next(first.rows()), "digest", "key")
        first.set_fact("x", "1")
    assert not list(tmp_path.glob("*-wal")), "one file, which can be moved"
    with closing(Journal(path)) as second, closing(Journal.copy_of(path)) as copy:
        assert [row.key for row in second.rows()] == [row.key for row in copy.rows()] == ["key"]
        copy.set_fact("x", "2")
        assert second.fact("x") == "1"
