"""Every way in which a part can refuse us, made by breaking just that: its own words, and whether waiting may mend it."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from sqlalchemy import make_url, text

from infra.database.session import Database, is_there
from infra.diagnosis.broker_faults import broker_fault
from infra.diagnosis.database_faults import database_fault
from infra.diagnosis.fault import Fault
from infra.diagnosis.storage_faults import storage_fault
from infra.embedded_redis import PrivateRedis
from pipeline.errors import DatabaseUnavailable, InvalidRequest
from tests.support.database_servers import PostgresServer, private_server
from tests.support.ports import free_port
from tests.support.s3_server import S3Server
from tests.support.tcp_server import http, scripted

NOWHERE = "nowhere.invalid"
REFUSED = "<Error><Code>{}</Code><Message>No.</Message></Error>"


def told(fault: Fault | None) -> tuple[str, bool]:
    assert fault is not None
    assert fault.advice
    return fault.told, fault.heals


@pytest.fixture(scope="module")
def strict() -> Iterator[str]:
    """The URL of a server that wants a password from all but its owner."""
    with private_server() as server:
        url = make_url(server.get_uri())
        owner = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'right'")
            connection.execute("CREATE ROLE guest LOGIN PASSWORD 'right'")
            (rules,) = connection.execute("SHOW hba_file").fetchone() or ("",)
            with Path(rules).open("r+", encoding="utf-8") as file:
                before = file.read()
                file.seek(0)
                file.write(f"local all stranger scram-sha-256\nlocal all guest reject\n{before}")
            connection.execute("SELECT pg_reload_conf()")
        yield owner


def of(url: str, **parts: Any) -> str:
    return make_url(url).set(**parts).render_as_string(hide_password=False)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"username": "stranger", "password": "wrong"}, "refuses the user or the password"),
        ({"username": "stranger"}, "refuses the user or the password"),
        ({"username": "nobody_knows"}, "refuses the user or the password"),
        ({"database": "none_such"}, "has no database of that name"),
        ({"username": "guest", "password": "right"}, "lets nobody in from this machine|lets us not in"),
    ],
)
def test_postgresql_refuses_us(strict: str, parts: dict[str, str], words: str) -> None:
    fault = database_fault(of(strict, **parts))
    assert fault is not None
    assert any(word in fault.told for word in words.split("|")), fault
    assert not fault.heals or "lets us not in" in fault.told
    assert "right" not in fault.sentence and "wrong" not in fault.sentence, "no password is told"


@pytest.mark.processes
def test_who_may_make_no_tables_is_told_so(strict: str) -> None:
    with psycopg.connect(strict, autocommit=True) as connection:
        connection.execute("CREATE DATABASE closed")
        connection.execute("REVOKE ALL ON DATABASE closed FROM PUBLIC; GRANT CONNECT ON DATABASE closed TO stranger")
    inside = of(strict, database="closed")
    with psycopg.connect(inside, autocommit=True) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    assert told(database_fault(of(inside, username="stranger", password="right"), migrate=True)) == (
        "the database's user may not make tables",
        False,
    )


def test_a_server_that_is_away_and_a_host_that_is_unknown_are_two_things() -> None:
    port = free_port()
    for part, fault in (
        ("PostgreSQL", database_fault(f"postgresql://u:p@127.0.0.1:{port}/d")),
        ("Redis", broker_fault(f"redis://127.0.0.1:{port}/0")),
    ):
        assert told(fault)[0].startswith(f"{part} is not running at 127.0.0.1 port {port}")
        assert told(fault)[1]
    for fault in (database_fault(f"postgresql://u:p@{NOWHERE}/d"), broker_fault(f"redis://{NOWHERE}/0")):
        assert told(fault)[0].startswith(f"no host is called '{NOWHERE}'")
        assert told(fault)[1]


@pytest.mark.parametrize("migrate", [False, True])
def test_a_newer_schema_waits_for_an_update(database_url: str, migrate: bool) -> None:
    with contextlib.closing(Database(database_url)) as database, database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'tomorrow'"))
    words, heals = told(database_fault(database_url, migrate=migrate))
    assert "tomorrow" in words
    assert not heals


def test_a_server_that_has_no_room_to_let_anybody_in() -> None:
    fields = b"SFATAL\0VFATAL\0C53100\0Mcould not write init file\0\0"

    def refuse(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)  # PostgreSQL's ErrorResponse

    with scripted(refuse, greets=False) as server:
        fault = database_fault(f"postgresql://me@127.0.0.1:{server.port}/name?sslmode=disable&gssencmode=disable")
    assert told(fault) == ("the disk of PostgreSQL is full", True)


BROKEN = (
    "127.0.0.1:5432/name",
    "postgresql://me:hunter2@127.0.0.1:port/name",
    "postgresql://me:hunter2@127.0.0.1:70000/name",
    "postgresql://me:hunter@2@127.0.0.1/name",
    "postgresql://me:hunter@2/3@127.0.0.1/name",
)


@pytest.mark.parametrize("url", BROKEN)
def test_what_is_no_url_is_told_before_any_host_is_asked(url: str) -> None:
    with pytest.raises(InvalidRequest, match="in a password write @ as %40") as refused:
        database_fault(url)
    assert "hunter" not in refused.value.message


@pytest.mark.parametrize("password", ["hunter/2", "hunter#2", "hunter?2"])
def test_a_password_of_strange_letters_does_not_hide_which_server_is_away(password: str) -> None:
    port = free_port()
    words, _ = told(database_fault(f"postgresql://me:{password}@127.0.0.1:{port}/name"))
    assert words.startswith(f"PostgreSQL is not running at 127.0.0.1 port {port}")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("Dear diary, " * 1000)
    words, heals = told(database_fault(f"sqlite:///{tmp_path}/notes.db"))
    assert "is no SQLite database" in words
    assert not heals
    with pytest.raises(DatabaseUnavailable):
        is_there(f"sqlite:///{tmp_path}/notes.db")


def test_a_database_that_can_be_used_has_no_fault(database_url: str) -> None:
    assert database_fault(database_url) is None


@pytest.mark.processes
def test_redis_refuses_us(tmp_path: Path) -> None:
    with PrivateRedis(tmp_path) as server:
        place = urlsplit(server.url)
        assert broker_fault(server.url) is None
        for url in (f"redis://:wrong@127.0.0.1:{place.port}/0", f"redis://127.0.0.1:{place.port}/0"):
            assert told(broker_fault(url)) == ("Redis refuses the password, or wants one", False)
        assert told(broker_fault(server.url.removesuffix("/0") + "/7"))[0] == "Redis has no database of that number"
        with redis.Redis.from_url(server.url) as client:
            client.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "+get", "~*")
        words, heals = told(broker_fault(f"redis://reader:secret@127.0.0.1:{place.port}/0"))
        assert "may not do what is needed" in words
        assert not heals


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("InvalidAccessKeyId", "refuses the key"),
        ("SignatureDoesNotMatch", "refuses the key"),
        ("AccessDenied", "may not use the bucket 'mine'"),
    ],
)
def test_an_s3_server_that_refuses_us_is_asked_why(monkeypatch: pytest.MonkeyPatch, code: str, words: str) -> None:
    refusal = http(403, "Content-Type: application/xml\r\n", REFUSED.format(code).encode())
    with scripted(http(403), refusal) as server:
        S3Server(server.url, "key", "secret").use(monkeypatch)
        fault, heals = told(storage_fault("s3://mine/below"))
    assert words in fault
    assert not heals


def test_a_bucket_that_is_missing_and_may_not_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = http(403, "Content-Type: application/xml\r\n", REFUSED.format("AccessDenied").encode())
    with scripted(http(404), refusal) as server:
        S3Server(server.url, "key", "secret").use(monkeypatch)
        assert told(storage_fault("s3://mine/below")) == ("there is no bucket 'mine'", False)


@pytest.mark.parametrize(
    ("endpoint", "bucket", "words"),
    [
        ("", "No_Bucket!", "no bucket can be called 'No_Bucket!'"),
        ("s3.example.org", "mine", "AWS_ENDPOINT_URL is a URL"),
    ],
)
def test_a_name_or_an_address_that_cannot_be(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, bucket: str, words: str
) -> None:
    S3Server(endpoint or f"http://127.0.0.1:{free_port()}", "key", "secret").use(monkeypatch)
    try:
        fault = storage_fault(f"s3://{bucket}")
    except InvalidRequest as error:
        assert words in error.message
    else:
        assert told(fault) == (words, False)


def test_a_name_that_this_server_takes_for_no_bucket(monkeypatch: pytest.MonkeyPatch, moto_s3: S3Server) -> None:
    """Another one might; so it is not told before the server is asked, and not that the bucket should be made."""
    moto_s3.use(monkeypatch)
    name = "a" * 64
    assert told(storage_fault(f"s3://{name}")) == (f"no bucket can be called {name!r}", False)


def test_an_endpoint_that_is_set_to_nothing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As compose files write what may be left out."""
    S3Server(f"http://127.0.0.1:{free_port()}", "key", "secret").use(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "")
    assert told(storage_fault("s3://mine"))[0].startswith("the S3 server is not running")


def test_an_s3_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    S3Server(f"http://127.0.0.1:{port}", "key", "secret").use(monkeypatch)
    words, heals = told(storage_fault("s3://mine"))
    assert words.startswith(f"the S3 server is not running at 127.0.0.1 port {port}")
    assert heals


def test_no_key_for_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    S3Server(f"http://127.0.0.1:{free_port()}", "key", "secret").use(monkeypatch)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", os.devnull)
    assert told(storage_fault("s3://mine")) == ("no key for the bucket is configured", False)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words, heals = told(storage_fault(f"file://{tmp_path}/file/below"))
    assert f"{tmp_path}/file/below cannot be" in words
    assert not heals


def test_a_full_disk_is_told_and_waited_for(monkeypatch: pytest.MonkeyPatch, moto_s3: S3Server) -> None:
    moto_s3.use(monkeypatch)
    assert storage_fault("s3://full-bucket") is None
    moto_s3.full.set()
    try:
        assert told(storage_fault("s3://full-bucket", tries=True)) == ("the storage is full", True)
    finally:
        moto_s3.full.clear()
    assert storage_fault("s3://full-bucket", tries=True) is None


@pytest.mark.processes
def test_the_server_of_these_tests_has_no_fault(postgres: PostgresServer) -> None:
    with postgres.fresh() as url:
        assert database_fault(url, migrate=True) is None
