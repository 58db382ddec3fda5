"""`stenopool bulk` on this machine and through somebody else's server: outputs, reports, and what is not done twice."""

import csv
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import srt
from filelock import FileLock

from cli import exits
from infra.storage.s3 import S3Storage
from tests.cli.conftest import Ran, Run
from tests.support.openai_upstream import upstream
from tests.support.recordings import short
from tests.support.s3_server import S3Server

pytestmark = pytest.mark.processes

Bulk = Callable[..., Ran]
NAMES = {"talk.mp3.wav": 1, "talk.wav": 2, "talk.mp3": 3, "a b/🎧 ünï.wav": 4, "a b/" + "x" * 200 + ".wav": 5}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five recordings, one of them twice, a text and an empty file."""
    made = tmp_path / "in"
    for name, number in {**NAMES, "again/talk.wav": 2}.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(short(number).wav)
    (made / "text.wav").write_text("this is no sound, whatever it is called\n" * 40)
    (made / "empty.wav").write_bytes(b"")
    return made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def bulk(run: Run, out: Path) -> Bulk:
    def command(*words: object) -> Ran:
        return run("bulk", *words, "--output", out, "--model", "oracle", "--local")

    return command


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was really heard."""
    names: list[str] = []
    from cli.archive import hearer

    real = hearer.transcribe

    def noted(source: Path, *given: Any, **more: Any) -> Any:
        names.append(source.name)
        return real(source, *given, **more)

    monkeypatch.setattr(hearer, "transcribe", noted)
    return names


def report(out: Path) -> dict[str, dict[str, Any]]:
    lines = (out / "_report" / "report.jsonl").read_text("utf-8").splitlines()
    return {line["source"]: line for line in map(json.loads, lines)}


def words_of(path: Path) -> list[str]:
    return " ".join(cue.content for cue in srt.parse(path.read_text("utf-8"), ignore_errors=False)).split()


def test_a_folder_becomes_a_tree_of_subtitles_and_a_report(
    bulk: Bulk, folder: Path, out: Path, heard: list[str]
) -> None:
    said = bulk(folder)
    assert said.code == exits.FAILED
    stems = {"talk.mp3.wav": "talk.mp3.wav", "talk.wav": "talk.wav", "talk.mp3": "talk.mp3"}
    for name, number in NAMES.items():
        base = stems.get(name, name.rpartition(".")[0])
        assert words_of(out / f"{base}.srt") == list(short(number).words), name
    lines = report(out)
    assert {name for name, line in lines.items() if line["state"] == "completed"} == {*NAMES, "again/talk.wav"}
    assert {lines[name]["error"]["code"] for name in ("text.wav", "empty.wav")} == {"unsupported_media", "empty_media"}
    assert len(heard) == len(NAMES) + 2, "the same bytes are heard once, what is broken was tried"
    table = list(csv.DictReader((out / "_report" / "report.csv").read_text("utf-8").splitlines()))
    assert {row["source"]: row["state"] for row in table} == {name: line["state"] for name, line in lines.items()}
    summary = json.loads((out / "_report" / "summary.json").read_text())
    assert summary["files"] == {"total": 8, "completed": 6, "failed": 2, "pending": 0, "skipped": 0}
    assert summary["cost_usd"] == 0
    assert not list(out.rglob("*.part"))


def test_a_second_run_hears_nothing_and_another_format_is_written(
    bulk: Bulk, folder: Path, out: Path, heard: list[str], tmp_path: Path
) -> None:
    bulk(folder)
    heard.clear()
    assert bulk(folder).code == exits.FAILED, "what is broken is still broken"
    assert bulk(folder, "--format", "srt,vtt,json,verbose_json", "--suffix", ".en").code == exits.FAILED
    assert heard == []
    base = out / "a b" / "🎧 ünï.en"
    assert json.loads(base.with_name(base.name + ".json").read_text())["text"].split() == list(short(4).words)
    assert json.loads(base.with_name(base.name + ".verbose.json").read_text())["words"]
    moved = shutil.move(out, tmp_path / "elsewhere")
    shutil.copytree(moved, out)
    (out / "talk.wav.srt").unlink()
    (folder / "renamed").mkdir()
    (folder / "talk.wav").rename(folder / "renamed" / "other.wav")
    bulk(folder, "--checksum")
    assert heard == [], "moved, removed and renamed: the transcript is kept"
    assert words_of(out / "renamed" / "other.srt") == list(short(2).words)


def test_what_changed_is_heard_anew_and_what_failed_only_when_asked(
    bulk: Bulk, folder: Path, out: Path, heard: list[str]
) -> None:
    bulk(folder)
    heard.clear()
    (folder / "talk.wav").write_bytes(short(9).wav)
    bulk(folder)
    assert heard == ["talk.wav"]
    assert words_of(out / "talk.wav.srt") == list(short(9).words)
    heard.clear()
    bulk(folder, "--retry-failed")
    assert sorted(heard) == ["empty.wav", "text.wav"]
    (folder / "text.wav").unlink()
    (folder / "empty.wav").unlink()
    assert bulk(folder).code == exits.OK
    heard.clear()
    assert bulk(folder, "--force").code == exits.OK
    assert len(heard) == len(NAMES) + 1


def test_dry_run_tells_what_would_be_done_and_does_nothing(
    bulk: Bulk, folder: Path, out: Path, heard: list[str]
) -> None:
    told = bulk(folder, "--dry-run", "--json")
    assert not out.exists()
    assert (told.json["files"], told.json["skipped"]) == (5, {"the same as another one": 1})
    assert sorted(one["source"] for one in told.json["failing"]) == ["empty.wav", "text.wav"]
    assert [one["source"] for one in told.json["skipped_files"]] == ["talk.wav"], "again/talk.wav comes first"
    bulk(folder)
    truth = {line["sha256"]: line["duration"] for line in report(out).values() if line["state"] == "completed"}
    assert told.json["audio_seconds"] == pytest.approx(sum(truth.values()), abs=1e-9)
    heard.clear()
    again = bulk(folder, "--dry-run", "--json").json
    assert (again["files"], again["audio_seconds"]) == (0, 0)
    assert again["skipped"]["heard already"] == 6
    assert heard == []


def test_a_dry_run_keeps_the_caps_and_tells_what_is_in_the_way(bulk: Bulk, folder: Path, out: Path) -> None:
    (out / "a b").mkdir(parents=True)
    (out / "a b" / "🎧 ünï.srt").write_text("mine")
    given = ("--exclude", "{text,empty}.wav", "--max-files", "2")
    told = bulk(folder, *given, "--dry-run", "--json")
    assert (told.code, told.json["files"], told.json["beyond_cap"]) == (exits.CAPPED, 2, 2)
    assert [(one["source"], one["code"]) for one in told.json["failing"]] == [("a b/🎧 ünï.wav", "output_exists")]
    assert "2 would not be heard. --max-files: 2" in bulk(folder, *given, "--dry-run").out
    assert bulk(folder, *given).code == exits.CAPPED
    assert len(list((out / "_report" / "transcripts").rglob("*.json"))) == told.json["files"]
    assert report(out)["a b/🎧 ünï.wav"]["error"]["code"] == "output_exists"


def test_a_time_to_come_needs_somebody_who_has_other_work(bulk: Bulk, folder: Path) -> None:
    late = ("--complete-by", "2100-01-01T00:00")
    for words, code in ((late, exits.BAD_INPUT), (("--complete-by", "soon"), exits.USAGE)):
        assert bulk(folder, *words).code == code
    said = bulk(folder, "--complete-by", "2001-01-01")
    assert (said.code, "is over" in said.err) == (exits.BAD_INPUT, True)


def test_caps_end_a_run_with_a_code_of_their_own_and_the_next_goes_on(bulk: Bulk, folder: Path, out: Path) -> None:
    assert bulk(folder, "--max-files", "2", "--exclude", "{text,empty}.wav").code == exits.CAPPED
    assert sum(line["state"] == "completed" for line in report(out).values()) >= 2
    assert sum(bool(line["attempts"]) for line in report(out).values()) == 2
    assert bulk(folder, "--max-duration", "3s", "--exclude", "{text,empty}.wav").code == exits.CAPPED
    heard = sum(line["duration"] for line in report(out).values() if line["attempts"])
    assert heard <= 3
    assert bulk(folder, "--exclude", "{text,empty}.wav").code == exits.OK


def test_somebody_elses_file_is_not_overwritten(bulk: Bulk, folder: Path, out: Path) -> None:
    out.mkdir()
    (out / "talk.mp3.srt").write_text("mine")
    said = bulk(folder / "talk.mp3", folder / "talk.wav")
    assert said.code == exits.FAILED
    assert (out / "talk.mp3.srt").read_text() == "mine"
    assert report(out)["talk.mp3"]["error"]["code"] == "output_exists"
    (out / "talk.mp3.srt").unlink()
    assert bulk(folder / "talk.mp3", folder / "talk.wav").code == exits.OK


def test_the_second_command_over_one_report_leaves(bulk: Bulk, folder: Path, out: Path) -> None:
    (out / "_report").mkdir(parents=True)
    with FileLock(out / "_report" / "lock"):
        said = bulk(folder)
    assert said.code == exits.NOT_THERE
    assert "Another `stenopool bulk`" in said.err


def test_what_makes_no_sense_is_told_before_any_work(
    bulk: Bulk, run: Run, folder: Path, out: Path, tmp_path: Path
) -> None:
    assert bulk().code == exits.USAGE
    assert run("bulk", folder, "--local").code == exits.USAGE
    assert bulk(tmp_path / "nothing").code == exits.BAD_INPUT
    assert bulk(folder, "--include", "*.flac").code == exits.BAD_INPUT
    assert bulk(folder, "--format", "papyrus").code == exits.BAD_INPUT
    assert bulk(folder, "--max-duration", "long").code == exits.USAGE
    flat = bulk(folder, "--layout", "flat")
    assert (flat.code, "talk.mp3.wav" in flat.err) == (exits.BAD_INPUT, True)
    unknown = run("bulk", folder / "talk.wav", "--output", out, "--model", "nobody", "--local")
    assert (unknown.code, "nobody" in unknown.err) == (exits.NOT_THERE, True)
    away = run("bulk", folder / "talk.wav", "--output", out, "--base-url", "http://127.0.0.1:9")
    assert away.code == exits.AWAY


def test_outputs_within_their_source_and_beside_it(run: Run, folder: Path) -> None:
    given = ("--model", "oracle", "--local", "--exclude", "{text,empty}.wav")
    assert run("bulk", folder, "--output", folder / "out", *given).code == exits.OK
    assert report(folder / "out")["out"]["error"]["code"] == "output_folder"
    assert run("bulk", folder, "--output", folder / "out", *given).code == exits.OK
    assert run("bulk", folder, "--layout", "adjacent", *given).code == exits.OK
    assert words_of(folder / "a b" / "🎧 ünï.srt") == list(short(4).words)
    assert run("bulk", folder, "--layout", "adjacent", *given).code == exits.OK


def test_events_for_scripts(bulk: Bulk, folder: Path) -> None:
    said = bulk(folder, "--json")
    events = [json.loads(line) for line in said.out.splitlines()]
    assert {event["event"] for event in events} == {"file", "progress", "summary"}
    assert len([event for event in events if event["event"] == "file"]) == 8
    assert events[-1]["files"]["completed"] == 6


def test_a_manifest_names_outputs(bulk: Bulk, folder: Path, out: Path, tmp_path: Path) -> None:
    lines = tmp_path / "manifest.jsonl"
    rows = [{"source": "talk.wav", "output": "x/one"}, {"source": "talk.mp3"}, {"source": "gone.wav"}]
    lines.write_text("\n".join(map(json.dumps, rows)))
    assert bulk(folder, "--manifest", lines).code == exits.FAILED
    assert words_of(out / "x" / "one.srt") == list(short(2).words)
    assert words_of(out / "talk.srt") == list(short(3).words)
    assert report(out)["gone.wav"]["error"]["code"] == "source_missing"


@pytest.fixture
def archive(folder: Path, moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in a bucket, below 2026/."""
    moto_s3.use(monkeypatch)
    bucket = S3Storage("archive")
    bucket.check()
    for path in sorted(folder.rglob("*.wav")):
        bucket._s3.put_object(Bucket="archive", Key=f"2026/{path.relative_to(folder)}", Body=path.read_bytes())
    bucket._s3.put_object(Bucket="archive", Key="2026x/other.wav", Body=b"not below the prefix")
    bucket.close()


@pytest.mark.usefixtures("archive")
def test_a_bucket(bulk: Bulk, out: Path, heard: list[str]) -> None:
    assert bulk("s3://archive/2026").code == exits.FAILED
    assert words_of(out / "a b" / "🎧 ünï.srt") == list(short(4).words)
    assert sum(line["state"] == "completed" for line in report(out).values()) == 5
    heard.clear()
    assert bulk("s3://archive/2026/", "--format", "srt,vtt").code == exits.FAILED
    assert heard == []
    assert bulk("s3://archive/nothing/").code == exits.BAD_INPUT
    assert bulk("s3://archive/2026/talk.wav", "--report", out / "other").code == exits.FAILED, "its output is there"


def test_a_zip_archive(bulk: Bulk, folder: Path, out: Path, tmp_path: Path, heard: list[str]) -> None:
    with zipfile.ZipFile(tmp_path / "calls.zip", "w") as archive:
        for path in sorted(folder.rglob("talk*")):
            archive.write(path, path.relative_to(folder).as_posix())
    assert bulk(tmp_path / "calls.zip").code == exits.OK
    assert words_of(out / "again" / "talk.srt") == list(short(2).words)
    assert len(heard) == 3, "one of them is there twice"
    assert bulk(tmp_path / "calls.zip").code == exits.OK
    assert bulk(tmp_path / "calls.zip", "--format", "text").code == exits.OK
    assert len(heard) == 3


def test_a_server_without_jobs_hears_chunk_by_chunk(run: Run, folder: Path, out: Path) -> None:
    with upstream() as server:
        given = ("--base-url", server.url, "--model", "whisper-1", "--exclude", "{text,empty}.wav")
        assert run("bulk", folder, "--output", out, *given).code == exits.OK
        assert len([asked for asked in server.got if asked["response_format"] == "json"]) == len(NAMES)
        refused = run("bulk", folder, "--output", out, *given, "--max-cost", "1")
        assert (refused.code, "--max-cost" in refused.err) == (exits.BAD_INPUT, True)
    assert words_of(out / "talk.wav.srt") == list(short(2).words)
    assert report(out)["talk.mp3"]["cost"] is None


def test_watching_takes_a_file_once_it_stands_still(
    bulk: Bulk, tmp_path: Path, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, whole = tmp_path / "drop", short(2).wav
    folder.mkdir()
    (folder / "still.wav").write_bytes(short(1).wav)
    growing, looks = folder / "growing.wav", [0]
    growing.write_bytes(b"")

    def pause(_seconds: float) -> None:
        looks[0] += 1
        if looks[0] <= 4:
            growing.write_bytes(whole[: len(whole) * looks[0] // 4])

    monkeypatch.setattr("cli.bulk_run.run.pause", pause)
    said = bulk(folder, "--watch", "--max-files", "1")
    assert (said.code, heard) == (exits.CAPPED, ["still.wav"])
    assert looks[0] == 5, "it was taken at the second look after the last change"
