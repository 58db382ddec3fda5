"""`stenopool demo`: the whole round as a newcomer sees it, and that it leaves nothing behind."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import exits
from cli.demo import PARAGRAPH
from infra.database.session import Database
from infra.embedded_redis import PrivateRedis
from infra.keys.accounts import Accounts
from infra.operator_queries import OperatorQueries
from infra.storage import open_storage
from tests.e2e.processes import Marked, marked
from tests.support.recordings import Recording, short
from tests.support.s3_server import S3Server

STEPS = ("start API", "make an API key", "as a job", "transcribe", "verify the webhook", "subtitles", "clean up")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Marked]:
    with marked(tmp_path) as place:
        yield place


def demo(place: Marked, *words: object) -> subprocess.CompletedProcess[str]:
    """Run it to its end; afterwards no process and no file of it is left."""
    command = [sys.executable, "-P", "-m", "cli", "demo", *map(str, words)]
    run = subprocess.run(command, env=place.environ, capture_output=True, text=True, timeout=240)
    place.assert_gone()
    assert list(Path(place.environ["TMPDIR"]).iterdir()) == []
    assert "Traceback" not in run.stderr
    return run


def test_it_speaks_listens_tells_and_shows(place: Marked) -> None:
    run = demo(place)
    assert run.returncode == 0, run.stderr
    assert "1\n00:00:00," in run.stdout
    said, heard = (set(re.findall("[a-z]+", text.lower())) for text in (PARAGRAPH, run.stdout))
    assert len(said & heard) >= 0.7 * len(said), "eSpeak and PocketSphinx are not the same from run to run, but near"
    assert all(step in run.stdout for step in (*STEPS, "speak a paragraph", "together"))
    assert "audio.job.completed" in run.stderr
    assert "signature verified" in run.stderr


def test_a_recording_of_ones_own_on_servers_of_ones_own(
    tmp_path: Path, postgres_url: str, moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL, a Redis that was there before, and S3 are used, and left as they were but for a revoked key."""
    (tmp_path / "mine.wav").write_bytes(short(4).wav)
    (tmp_path / "redis").mkdir()
    with PrivateRedis(tmp_path / "redis") as redis:
        urls = {"REDIS_URL": redis.url, "DATABASE_URL": postgres_url, "STORAGE_URL": "s3://demo/below"}
        given = {f"STENOPOOL_{name}": url for name, url in urls.items()} | moto_s3.environ
        with marked(tmp_path, **given) as place:
            run = demo(place, tmp_path / "mine.wav", "--model", "oracle")
        assert run.returncode == 0, run.stderr
        assert " ".join(short(4).words) in words(run.stdout)
        assert redis.pid is not None
    with contextlib.closing(Database(postgres_url)) as database:
        assert OperatorQueries(database).jobs(limit=10) == []
        accounts = Accounts(database)
        (key,) = accounts.list_keys(accounts.list_accounts()[0].id)
        assert key.revoked_at is not None
    moto_s3.use(monkeypatch)
    with contextlib.closing(open_storage("s3://demo/below")) as storage:
        assert list(storage.list("")) == []


def test_no_speech_is_said_so(place: Marked, tmp_path: Path) -> None:
    (tmp_path / "quiet.wav").write_bytes(silenced(short(4)))
    run = demo(place, tmp_path / "quiet.wav")
    assert run.returncode == 0, run.stderr
    assert "the transcript is empty" in run.stdout
    assert "no provider was asked" in run.stderr


def test_what_is_no_recording_ends_with_a_clear_line(place: Marked, tmp_path: Path) -> None:
    (tmp_path / "notes.mp3").write_text("This is no music.")
    run = demo(place, tmp_path / "notes.mp3")
    assert run.returncode == exits.BAD_INPUT
    assert run.stderr.strip().splitlines()[-1].endswith("[unsupported_media]")


def silenced(recording: Recording) -> bytes:
    return recording.wav[:44] + bytes(len(recording.wav) - 44)


def words(subtitles: str) -> str:
    """The text of subtitles in one line."""
    return " ".join(line for line in subtitles.splitlines() if "-->" not in line and not line.isdigit())
