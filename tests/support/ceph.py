"""A real S3 server on loopback: one Ceph monitor, one OSD that keeps everything in memory, and the RADOS gateway.

It enforces what moto does not: signatures, checksums, the dates of uploads. Debian's packages radosgw, ceph-mon, ceph-osd and
ceph-common bring all of it; a start takes about 12 seconds.
"""

import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.ports import free_port
from tests.support.s3_server import S3Server

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
PACKAGES = "radosgw ceph-mon ceph-osd ceph-common"
MEMORY_BYTES = 6 * 1024**3  # what the store may hold; only what is stored is used
START_SECONDS = 120

GLOBAL = """
mon_initial_members = a
public_addr = 127.0.0.1
ms_bind_msgr2 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_supported = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 1000
"""


def missing_programs() -> list[str]:
    """Which of Ceph's programs this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextmanager
def ceph_gateway(home: Path) -> Iterator[S3Server]:
    """The gateway with its state in `home`; its three processes end with the context."""
    assert not missing_programs(), f"no {missing_programs()}: apt-get install --no-install-recommends {PACKAGES}"
    cluster = _Cluster(home, monitor_port=free_port(), gateway_port=free_port())
    with ExitStack() as running:
        cluster.start(running)
        yield S3Server(f"http://127.0.0.1:{cluster.gateway_port}", "testkey", "testsecret")


class _Cluster:
    def __init__(self, home: Path, monitor_port: int, gateway_port: int) -> None:
        self.home = home
        self.monitor_port = monitor_port
        self.gateway_port = gateway_port
        self.id = str(uuid.uuid4())
        self.config = home / "ceph.conf"

    def start(self, running: ExitStack) -> None:
        for name in ("mon", "osd", "rgw", "out"):
            (self.home / name).mkdir(parents=True)
        self._write_config()
        address = f"[v1:127.0.0.1:{self.monitor_port}]"
        self._run(
            "monmaptool", "--create", "--addv", "a", address, "--fsid", self.id, self.home / "monmap", config=False
        )
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", self.home / "monmap")
        self._daemon(running, "ceph-mon", "-i", "a")
        osd = str(uuid.uuid4())
        self._ask("ceph", "osd", "new", osd)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._serve(running, ("ceph-osd", "-i", "0"), ("radosgw", "-n", "client.rgw"))
        user = ("--uid=t", "--display-name=t", "--access-key=testkey", "--secret-key=testsecret")
        self._run("radosgw-admin", "-n", "client.rgw", "user", "create", *user)

    # Whoever asks the monitor before both have learned the cluster's id is refused (EPERM, "wrong fsid"): a race of Ceph's, met on
    # busy machines. So what can be asked twice is asked until it is granted, and a daemon that was sent away comes again.

    def _ask(self, *command: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while (refusal := self._refusal(*command)) is not None:
            assert time.monotonic() < deadline, refusal
            time.sleep(0.5)

    def _serve(self, running: ExitStack, *daemons: tuple[str, ...]) -> None:
        deadline = time.monotonic() + START_SECONDS
        started = {daemon: self._daemon(running, *daemon) for daemon in daemons}
        while not self._answers():
            for daemon, process in started.items():
                if process.poll() is not None:
                    started[daemon] = self._daemon(running, *daemon)
            assert time.monotonic() < deadline, self._said()
            time.sleep(0.1)

    def _write_config(self) -> None:
        home = self.home
        self.config.write_text(
            f"[global]\nfsid = {self.id}\nmon_host = v1:127.0.0.1:{self.monitor_port}{GLOBAL}"
            f"run_dir = {home}/out\nlog_file = {home}/out/$name.log\n"
            f"admin_socket = {home}/out/$name.$pid.asok\npid_file = {home}/out/$name.pid\n"
            f"[mon.a]\nmon_data = {home}/mon\nmon_addr = 127.0.0.1:{self.monitor_port}\n"
            f"[osd.0]\nosd_data = {home}/osd\nosd_objectstore = memstore\nmemstore_device_bytes = {MEMORY_BYTES}\n"
            f"osd_journal_size = 100\n"
            f"[client.rgw]\nrgw_data = {home}/rgw\nrgw_enable_usage_log = false\n"
            f"rgw_frontends = beast endpoint=127.0.0.1:{self.gateway_port}\n"
        )

    def _run(self, program: str, *arguments: str | Path, config: bool = True) -> None:
        refusal = self._refusal(program, *arguments, config=config)
        assert refusal is None, refusal

    def _refusal(self, program: str, *arguments: str | Path, config: bool = True) -> str | None:
        where = ["-c", str(self.config)] if config else []
        done = subprocess.run(
            [program, *where, *map(str, arguments)], capture_output=True, text=True, timeout=START_SECONDS, check=False
        )
        return f"{program} {arguments}: {done.stderr}" if done.returncode else None

    def _daemon(self, running: ExitStack, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        # setpriv (util-linux) makes the daemon end with the tests even where they are killed.
        parent_pipe = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        log = running.enter_context((self.home / "out" / f"{program}.stderr").open("ab"))
        process = subprocess.Popen(
            [*parent_pipe, program, "-f", "-c", str(self.config), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "TMPDIR": str(self.home)},
        )
        running.callback(_end, process)
        return process

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.gateway_port)) == 0

    def _said(self) -> str:
        return "Ceph did not come up:\n" + "\n".join(log.read_text() for log in (self.home / "out").glob("*.stderr"))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()  # everything it holds is thrown away; a polite end takes seconds
    process.wait(timeout=60)
