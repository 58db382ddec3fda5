"""What the words of the command stand for, and what is told of what cannot be had."""

import itertools
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.listing.buckets import Buckets
from cli.listing.found import Found, SourceMissing, Trouble
from cli.listing.sources import Sources, opened
from infra.buckets.selection import Selection
from infra.storage import BucketObject
from pipeline.errors import InputMissing, InvalidRequest

Listed = Callable[..., tuple[list[str], list[tuple[str, str]]]]
ODD = ["a b.mp3", "🎧/ünï.wav", "x" * 200 + ".mp3", "-dash.wav", "new\nline.wav", "quote'\".mp3", "100%.ogg"]


@pytest.fixture
def listed() -> Listed:
    """The names that were found, and (name, code) of what could not be."""

    def sources(
        *words: object, include: tuple[str, ...] = (), **more: object
    ) -> tuple[list[str], list[tuple[str, str]]]:
        made = Sources(tuple(str(word) for word in words), Selection(include), **more)
        found = list(made.listed(Buckets()))
        names = [one.name for one in found if isinstance(one, Found)]
        return names, [(one.name, one.code) for one in found if isinstance(one, Trouble)]

    return sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    for name in (*ODD, "notes.txt", ".hidden/a.mp3"):
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound")
    return made


def test_a_folder_has_its_recordings_by_their_path(listed: Listed, folder: Path) -> None:
    names, troubles = listed(folder)
    assert (sorted(names), troubles) == (sorted(ODD), [])


def test_a_file_that_is_named_is_taken_whatever_it_is_called(listed: Listed, folder: Path) -> None:
    assert listed(folder / "notes.txt", folder / "a b.mp3") == (["notes.txt", "a b.mp3"], [])


def test_a_glob(listed: Listed, folder: Path) -> None:
    names, _ = listed(folder / "**" / "*.wav")
    assert sorted(names) == sorted(name for name in ODD if name.endswith(".wav"))


def test_a_folder_that_is_called_like_a_glob_is_that_folder(listed: Listed, tmp_path: Path) -> None:
    (tmp_path / "talks [1]").mkdir()
    (tmp_path / "talks [1]" / "a.mp3").write_bytes(b"sound")
    assert listed(tmp_path / "talks [1]") == (["a.mp3"], [])


def test_a_source_that_is_not_there_is_refused(listed: Listed, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no such file or folder"):
        listed(tmp_path / "nothing")


def test_a_zip_archive_is_a_folder_in_one_file(listed: Listed, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "calls.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (*ODD, "notes.txt", ".hidden/a.mp3", "a.mp3.part"):
            archive.write(folder / "a b.mp3", name)
    assert listed(path) == (ODD, [])
    assert listed(path, include=("/🎧/*",)) == (["🎧/ünï.wav"], [])
    assert listed(tmp_path / "*.zip") == ([f"calls.zip/{name}" for name in ODD], []), "one of several"
    (found,) = Sources((str(path),), Selection(["*ünï*"])).listed(Buckets())
    assert isinstance(found, Found)
    with opened(found.place, Buckets()) as copy:
        assert copy.read_bytes() == b"sound"
    assert not copy.exists()


def test_what_cannot_be_read_of_a_zip_archive_is_told(listed: Listed, tmp_path: Path) -> None:
    path = tmp_path / "calls.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.wav", b"sound")
        archive.writestr("b.wav", b"sound")
    held = bytearray(path.read_bytes())
    held[held.index(b"PK\x01\x02") + 8] |= 1  # the first of the directory's entries is encrypted
    held[held.rindex(b"sound")] ^= 1
    path.write_bytes(held)
    assert listed(path) == (["b.wav"], [("a.wav", "encrypted")])
    found = next(one for one in Sources((str(path),), Selection()).listed(Buckets()) if isinstance(one, Found))
    with pytest.raises(InvalidRequest, match="CRC"), opened(found.place, Buckets()):
        pass


class Endless:
    """A bucket that has no last key."""

    def head(self, _: str) -> None:
        """No object is called like the prefix."""

    def objects(self, folder: str) -> Iterator[BucketObject]:
        for number in itertools.count():
            yield BucketObject(f"{folder}{number}.wav", 1, "tag", 1.0)


def test_keys_come_one_after_the_other_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket: Any = Endless()
    monkeypatch.setattr("cli.listing.buckets.open_bucket", lambda _: bucket)
    found = Sources(("s3://calls/2026",), Selection()).listed(Buckets())
    assert [one.name for one in itertools.islice(found, 3)] == ["0.wav", "1.wav", "2.wav"]


def test_an_object_that_vanishes_before_it_is_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Emptied(Endless):
        def blocks(self, _: str) -> Iterator[bytes]:
            raise InputMissing

    bucket: Any = Emptied()
    monkeypatch.setattr("cli.listing.buckets.open_bucket", lambda _: bucket)
    with pytest.raises(SourceMissing), opened("s3://calls/2026/0.wav", Buckets()):
        pass


def test_a_folder_that_cannot_be_read_is_told(listed: Listed, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def refused(path: Path) -> Any:
        if Path(path).name == "🎧":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refused)
    names, troubles = listed(folder)
    assert troubles == [("🎧", "folder_unreadable")]
    assert len(names) == len(ODD) - 1


def test_a_loop_of_links_ends_and_is_told(listed: Listed, folder: Path) -> None:
    (folder / "🎧" / "back").symlink_to(folder)
    names, troubles = listed(folder)
    assert (sorted(names), troubles) == (sorted(ODD), [("🎧/back", "link_loop")])


def test_links_are_followed_and_those_that_lead_nowhere_told(listed: Listed, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.mp3").write_bytes(b"sound")
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    (folder / "gone.mp3").symlink_to(tmp_path / "gone")
    names, troubles = listed(folder)
    assert "more/b.mp3" in names
    assert troubles == [("gone.mp3", "source_missing")]


def test_a_folder_of_outputs_is_not_searched(listed: Listed, folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "a.mp3").write_bytes(b"sound")
    names, troubles = listed(folder, avoid=(folder / "out",))
    assert "out/a.mp3" not in names
    assert troubles == [("out", "output_folder")]


def test_what_is_no_file_is_told(listed: Listed, folder: Path) -> None:
    os.mkfifo(folder / "pipe.wav")
    assert listed(folder)[1] == [("pipe.wav", "not_a_file")]


def test_a_name_of_any_bytes(listed: Listed, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff\xfe.wav")).write_bytes(b"sound")
    names, _ = listed(tmp_path)
    assert names == ["\\xff\\xfe.wav"]


def test_a_list_of_files(listed: Listed, folder: Path, tmp_path: Path) -> None:
    lines = tmp_path / "list"
    lines.write_text(f"# mine\na b.mp3\n\n🎧/ünï.wav\n{tmp_path}/gone.mp3\n")
    names, troubles = listed(folder, files_from=str(lines))
    assert names == ["a b.mp3", "🎧/ünï.wav"]
    assert troubles == [(f"{tmp_path}/gone.mp3".lstrip("/"), "source_missing")]


def test_a_manifest_says_more_of_each(folder: Path, tmp_path: Path) -> None:
    lines = tmp_path / "manifest.jsonl"
    row = {"source": "a b.mp3", "language": "de", "output": "one", "metadata": {"case": "7"}}
    lines.write_text(json.dumps(row) + "\n")
    (found,) = Sources((str(folder),), Selection(), manifest=str(lines)).listed(Buckets())
    assert isinstance(found, Found)
    assert dict(found.own) == {"language": "de", "output": "one", "metadata": {"case": "7"}}
    table = tmp_path / "manifest.csv"
    table.write_text('source,language,output,metadata\n"a b.mp3",de,one,"{""case"": ""7""}"\n')
    (again,) = Sources((str(folder),), Selection(), manifest=str(table)).listed(Buckets())
    assert again == found


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 2 is no JSON"),
        ("[]", "line 2 is no object"),
        ('{"source": "a", "speed": 2}', "line 2 has speed"),
        ('{"language": "de"}', "line 2 needs a `source`"),
        ('{"source": "a", "metadata": {"a": 1}}', "line 2 has metadata"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(line: str, told: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"source": "a b.mp3"}\n' + line + "\n")
    with pytest.raises(InvalidRequest, match=told):
        list(Sources((str(folder),), Selection(), manifest=str(path)).listed(Buckets()))
