"""What the words of the command stand for, and what is told of what cannot be had."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.listing.buckets import Buckets
from cli.listing.found import Found, Trouble
from cli.listing.selection import Selection
from cli.listing.sources import Sources
from pipeline.errors import InvalidRequest

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
