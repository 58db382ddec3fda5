"""`stenopool doctor`: what works, what is worth a warning, and what is broken."""

import contextlib
import os
import shutil
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
from sqlalchemy import update
from sqlmodel import col

from cli import exits
from cli.doctor import _connections as look_at_connections
from cli.doctor import _database as look_at_database
from cli.doctor import _encryption as look_at_encryption
from cli.doctor import _home as look_at_home
from cli.doctor import _python as look_at_python
from cli.doctor import _redis as look_at_redis
from cli.doctor import _sandbox as look_at_sandbox
from cli.doctor import _secrets as look_at_secrets
from cli.doctor import _settings as look_at_settings
from cli.doctor import _speakers as look_at_speakers
from infra.database.session import Database
from infra.database.tables.accounts import Account
from infra.database.tables.jobs import Job
from infra.database.tables.workers import Worker
from infra.embedded_redis import PrivateRedis
from infra.encryption.key_file import FILE
from infra.encryption.secret_box import new_key
from infra.jobs.store import JobStore, Lease, NewJob
from infra.settings import Settings
from pipeline.audio.ffmpeg.binary import find_ffmpeg
from pipeline.audio.ffmpeg.sandbox import sandbox_level
from pipeline.errors import ProviderRefused, StorageUnavailable
from pipeline.lifecycle import Dependency
from pipeline.weights.voices import INSTALL, MODEL, SEGMENTS
from tests.cli.conftest import Ran, Run
from tests.support import tiny_voices

pytestmark = pytest.mark.processes


def states(ran: Ran) -> dict[str, str]:
    return {check["name"]: check["state"] for check in ran.json["checks"]}


def test_a_new_home_is_in_good_health(run: Run) -> None:
    run("keys", "create")
    shown = run("doctor")
    assert shown.code == 0, shown.out
    assert "pocketsphinx-en-us heard" in shown.out
    assert "Traceback" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("heard", "state"),
    [("We have a lot of people, in the company", "ok"), ("we have a lot of people", "warning"), ("", "broken")],
)
def test_the_engines_are_well_when_what_was_heard_is_what_was_said(
    run: Run, monkeypatch: pytest.MonkeyPatch, heard: str, state: str
) -> None:
    monkeypatch.setattr("cli.doctor.transcribe", lambda *_: SimpleNamespace(text=heard))
    ran = run("doctor", "--json")
    (engines,) = [check for check in ran.json["checks"] if check["name"] == "engines"]
    assert (engines["state"], ran.code) == (state, exits.FAILED if state == "broken" else 0), engines["detail"]
    assert ("models install whisper-base" in engines["advice"]) == (state == "warning")


def test_an_ear_that_cannot_be_loaded_is_broken_and_says_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def unloadable(*_: object) -> None:
        raise ProviderRefused("The model cannot be loaded", provider="whisper-base")

    monkeypatch.setattr("cli.doctor.transcribe", unloadable)
    ran = run("doctor", "--json")
    (engines,) = [check for check in ran.json["checks"] if check["name"] == "engines"]
    assert (engines["state"], ran.code) == ("broken", exits.FAILED)
    assert "models verify" in engines["advice"]


def test_a_full_disk_for_temporary_files_is_broken_and_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    free = {str(tmp_path): 100 * 1024**2}
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=free.get(str(path), 1024**4)))
    ran = run("doctor", "--json")
    (tmp,) = [check for check in ran.json["checks"] if check["name"] == "tmp"]
    assert (tmp["state"], states(ran)["home"], ran.code) == ("broken", "ok", exits.FAILED)
    assert str(tmp_path) in tmp["detail"] and "TMPDIR" in tmp["advice"]


def test_everything_broken_is_found_at_once(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "catalog.toml").write_text("broken")
    monkeypatch.setenv("STENOPOOL_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("STENOPOOL_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("STENOPOOL_STORAGE_URL", f"file://{tmp_path}/file/below")
    monkeypatch.setenv("STENOPOOL_CATALOG", str(tmp_path / "catalog.toml"))
    ran = run("doctor", "--json")
    assert ran.code == exits.FAILED
    assert not ran.json["ok"]
    broken = {name for name, state in states(ran).items() if state == "broken"}
    assert broken == {
        "connections",
        "database",
        "money",
        "encryption",
        "redis",
        "storage",
        "models",
        "shutdowns",
        "prices",
        "engines",
        "speakers",
        "workers",
    }


def test_books_that_do_not_agree_are_broken(run: Run) -> None:
    account = run("keys", "create", "--balance", "10", "--json").json["account_id"]
    assert states(run("doctor", "--json"))["money"] == "ok"
    with contextlib.closing(Database(Settings.from_env(os.environ).database)) as database, database.write() as session:
        session.execute(update(Account).values(balance_micro=1))
    ran = run("doctor", "--json")
    assert (ran.code, states(ran)["money"]) == (exits.FAILED, "broken")
    assert account in ran.out


def test_secrets_without_a_key_are_broken_and_the_line_says_how_to_make_one(tmp_path: Path) -> None:
    elsewhere = Settings(home=tmp_path, database_url="postgresql://nobody@127.0.0.1:1/none")
    said = look_at_encryption(elsewhere)
    assert (said.state, "openssl rand -base64 32" in said.advice) == ("broken", True)
    assert look_at_encryption(elsewhere.model_copy(update={"secrets_key": new_key()})).state == "ok"
    here = Settings(home=tmp_path)
    assert look_at_encryption(here).state == "ok"
    (tmp_path / FILE).chmod(0o644)
    assert (look_at_encryption(here).state, look_at_encryption(here).advice) == (
        "warning",
        f"chmod 600 {tmp_path / FILE}",
    )


def test_a_redis_that_drops_messages_is_broken(tmp_path: Path) -> None:
    with PrivateRedis(tmp_path) as server:
        settings = Settings(home=tmp_path / "home", redis_url=server.url)
        assert look_at_redis(settings).state == "ok"
        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory", "10mb")
            client.config_set("maxmemory-policy", "allkeys-lru")
        said = look_at_redis(settings)
    assert said.state == "broken"
    assert "noeviction" in said.advice


def test_where_secrets_come_from_is_told_and_never_what_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = look_at_secrets(Settings(home=tmp_path)).detail
    assert "STENOPOOL_ADMIN_KEY_FILE" in told
    (tmp_path / "key").write_text("a secret of 32 characters or more")
    monkeypatch.setenv("STENOPOOL_ADMIN_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("STENOPOOL_KEY_PEPPER", "another secret")
    told = look_at_secrets(Settings.from_env(os.environ)).detail
    assert told == "by file: STENOPOOL_ADMIN_KEY; in the environment: STENOPOOL_KEY_PEPPER"


def test_whether_speakers_are_told_apart_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, models=tmp_path / "models")
    assert (look_at_speakers(settings).state, INSTALL in look_at_speakers(settings).advice) == ("ok", True)
    assert not look_at_speakers(settings.model_copy(update={"embedded_engines": "off"})).advice
    folder = tiny_voices.build(tmp_path / "models" / tiny_voices.NAME)
    described = {tiny_voices.NAME: tiny_voices.weights(folder)}
    monkeypatch.setattr("infra.settings.shipped_weights", described.copy)
    second = folder / SEGMENTS
    shutil.copy(folder / MODEL, second)
    assert look_at_speakers(settings).state == "ok"
    second.write_bytes(b"no graph")
    assert (look_at_speakers(settings).state, INSTALL in look_at_speakers(settings).advice) == ("warning", True)
    (folder / MODEL).write_bytes(bytes((folder / MODEL).stat().st_size))
    assert (look_at_speakers(settings).state, INSTALL in look_at_speakers(settings).advice) == ("broken", True)


def test_a_taken_port_is_a_warning(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = run("doctor", "--json", "--port", taken.getsockname()[1])
    assert states(ran)["port"] == "warning"
    assert ran.code == 0


def test_a_provider_that_cannot_work_here_is_a_warning(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STENOPOOL_FASTER_WHISPER_MODEL", "/nowhere/whisper")
    ran = run("doctor", "--json")
    assert states(ran)["models"] == "warning"
    (advice,) = [check["advice"] for check in ran.json["checks"] if check["name"] == "models"]
    assert advice == "faster-whisper: `model` is a folder that does not exist"
    assert ran.code == 0


def test_work_without_a_worker_is_broken(run: Run) -> None:
    account = run("keys", "create", "--json").json["account_id"]
    with contextlib.closing(Database(Settings.from_env(os.environ).database)) as database:
        store = JobStore(database)
        job, _ = store.create(NewJob(account_id=account, task="transcription", model="far", queue="io"))
        assert states(run("doctor", "--json"))["workers"] == "ok"
        lease = Lease(job.id, None, "token", 1)
        with database.write() as session:
            session.execute(update(Job).where(col(Job.id) == job.id).values(status="processing", lease_token="token"))
        store.wait(lease, Dependency.STORAGE, "storage", StorageUnavailable().as_dict())
        waits = run("doctor", "--json")
        assert (waits.code, states(waits)["workers"]) == (0, "warning")
        assert "work waits for storage (away for" in waits.out
        with database.write() as session:
            session.execute(update(Job).where(col(Job.id) == job.id).values(run_at=1.0))
    ran = run("doctor", "--json")
    assert (ran.code, states(ran)["workers"]) == (exits.FAILED, "broken")
    assert "stenopool worker --role io" in ran.out


def test_a_variable_that_is_no_setting_is_a_warning_and_named() -> None:
    said = look_at_settings(Settings.from_env({"STENOPOOL_HOME": "/nowhere", "STENOPOOL_WHATEVER_THIS_IS": "1"}))
    assert (said.state, "STENOPOOL_WHATEVER_THIS_IS" in said.detail) == ("warning", True)


def test_without_bubblewrap_the_sandbox_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox_level.cache_clear()
    try:
        said = look_at_sandbox()
    finally:
        sandbox_level.cache_clear()
    assert (said.state, "install bubblewrap" in said.advice) == ("warning", True)


def test_an_ffmpeg_that_is_too_old_is_told_once_and_nothing_else_is_blamed(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "ffmpeg"
    path.write_text("#!/bin/sh\necho 'ffmpeg version 4.4.2'; echo 'libavformat 58. 76.100 / 58. 76.100'\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(path))
    find_ffmpeg.cache_clear()
    try:
        ran = run("doctor", "--json")
    finally:
        find_ffmpeg.cache_clear()
    told = {check["name"]: check for check in ran.json["checks"] if check["state"] == "broken"}
    assert set(told) == {"ffmpeg", "sandbox", "engines"} and ran.code == exits.FAILED
    assert f"ffmpeg 4.4.2 at {path} is too old: install 5.1 or newer" in told["ffmpeg"]["detail"]
    assert told["sandbox"]["advice"] == told["engines"]["advice"] == "see `ffmpeg` above"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of somebody else")
def test_a_database_that_others_may_read_and_is_not_ours_is_a_warning(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with contextlib.closing(Database(settings.database)) as database:
        database.migrate()
    path = tmp_path / "stenopool.db"
    os.chown(path, 65534, -1)
    path.chmod(0o644)
    said = look_at_database(settings)
    assert (said.state, said.detail) == ("warning", f"{path} can be read by others")
    assert f"chmod 600 {path}" in said.advice


def test_another_python_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 14, 0))
    assert look_at_python().state == "warning"


@pytest.mark.parametrize(("free", "state"), [(100 * 1024**2, "broken"), (2 * 1024**3, "warning"), (1024**4, "ok")])
def test_a_full_disk_of_the_home_is_told_before_it_is_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, state: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    assert look_at_home(tmp_path).state == state


def test_a_home_that_cannot_be_is_broken(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STENOPOOL_HOME", str(tmp_path / "file"))
    ran = run("doctor", "--json")
    assert (ran.code, states(ran)["home"]) == (exits.FAILED, "broken")


def test_a_database_that_is_behind_is_a_warning(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with contextlib.closing(Database(settings.database)) as database:
        database.migrate()
        assert look_at_database(settings).state == "ok"
        database.go_back("0031")
    said = look_at_database(settings)
    assert (said.state, "the next start brings it to" in said.advice) == ("warning", True)


def test_more_connections_than_the_server_has_are_a_warning(postgres_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=postgres_url)
    assert look_at_connections(settings).state == "ok"
    with contextlib.closing(Database(postgres_url)) as database, database.write() as session:
        at = time.time()
        session.add(
            Worker(id="w", role="io", host="h", pid=1, started_at=at, seen_at=at + 60, facts={"connections": 10_000})
        )
    said = look_at_connections(settings)
    assert (said.state, "STENOPOOL_DATABASE_POOL" in said.advice) == ("warning", True)
