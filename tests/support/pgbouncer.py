"""A real PgBouncer in transaction mode before the PostgreSQL server of the run. Debian's package pgbouncer brings it."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import make_url

from tests.support.ports import free_port
from tests.support.waiting import wait_until

CONNECTIONS = 2  # to the server: whoever has a session has another one in nearly every transaction
CONFIG = """
[databases]
{database} = host={host} user={user} dbname={database}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 200
logfile = {home}/pgbouncer.log
"""


def find_pgbouncer() -> str:
    """The program. Fails with what to install."""
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, "no pgbouncer: apt-get install --no-install-recommends pgbouncer"
    return found


@contextmanager
def pgbouncer(url: str) -> Iterator[str]:
    """The URL by which a database is reached through it; it ends with the context."""
    server = make_url(url)
    folder = Path(str(server.query["host"]))
    owner = next(folder.glob(".s.PGSQL.*")).stat()  # it refuses to be root, and the server's socket is its user's
    home, port = Path(tempfile.mkdtemp(prefix="steno-bouncer-")), free_port()
    facts = {"database": server.database, "host": folder, "user": server.username, "listen": port, "home": home}
    config = home / "pgbouncer.ini"
    config.write_text(CONFIG.format(connections=CONNECTIONS, **facts))
    for path in (home, config):
        os.chown(path, owner.st_uid, owner.st_gid)
    running = subprocess.Popen([find_pgbouncer(), "-q", config], user=owner.st_uid, group=owner.st_gid)
    try:
        wait_until(partial(_listens, port, running))
        yield f"postgresql://somebody@127.0.0.1:{port}/{server.database}"
    finally:
        running.terminate()
        running.wait(60)
        shutil.rmtree(home)


def _listens(port: int, running: "subprocess.Popen[bytes]") -> bool:
    assert running.poll() is None, "it has ended"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
