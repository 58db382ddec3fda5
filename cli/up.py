"""`stenopool up`: everything on this machine as children of one process; one command, one Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Annotated

import typer

from cli.client import Client
from cli.console import note_address
from cli.embedded_notice import stand_ins
from cli.environment import as_typed, settings
from cli.exits import INTERRUPTED
from cli.forked_role import CAN_FORK, load_roles
from cli.output import remark
from cli.roles import METRICS, listens, role_command
from cli.supervisor import POLL_SECONDS, Role, Supervisor
from infra.broker import JobQueue
from infra.console.sign_in_links import SignInLinks, local_account
from infra.database.session import Database
from infra.diagnosis.startup import PartsWait
from infra.embedded_redis import PrivateRedis, only_one
from infra.keys.accounts import Accounts
from infra.settings import Settings
from infra.worker_heartbeats import WorkerStore
from pipeline.audio.ffmpeg.binary import find_ffmpeg
from pipeline.audio.ffmpeg.sandbox import sandbox_level
from pipeline.catalog.catalog import Catalog
from pipeline.errors import StenopoolError, WrongState

START_SECONDS = 90.0
HOPELESS = 4  # deaths in a row of one role before anything was ready: it will not come up
PORT_PATIENCE = 2.0  # seconds; the API of a killed predecessor may be a moment from its end
API_GRACE = 2  # seconds for running requests; the whole stop stays below five
BEAT_SECONDS = 30.0
WORKERS = ("cpu", "io", "scheduler")

app = typer.Typer(add_completion=False)


class DidNotStart(StenopoolError):
    """A role does not stay up."""

    code = "did_not_start"


class StopRequests:
    """Counts Ctrl-C, SIGTERM and the closing of the terminal; the second one must not wait for anything."""

    def __init__(self) -> None:
        self.count = 0
        self.on_second: Callable[[], None] = lambda: None

    def listen(self) -> None:
        """From now on, instead of the default actions."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN or number != signal.SIGHUP:  # nohup means it
                signal.signal(number, self._heard)

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            self.on_second()
            os._exit(INTERRUPTED)


@dataclass(frozen=True)
class Place:
    """Where the API listens, and where one asks it from this machine."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """For people and for our own questions: an address that listens everywhere is asked on loopback."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104 - mapped away
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


@app.command()
def up(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    metrics: Annotated[str | None, typer.Option(metavar="HOST:PORT", help=METRICS)] = None,
) -> None:
    """Start API, workers, scheduler and, unless STENOPOOL_REDIS_URL is set, a private Redis. Ctrl-C stops it all.

    A second Ctrl-C does not wait. On a terminal each start shows a link that signs in at the
    console, once and within 15 minutes; the first one also makes an account with a key and shows the key once.
    """
    requests = StopRequests()
    requests.listen()
    chosen = settings()
    place = Place(host, port)
    with only_one(chosen.home):
        _check_port(place, requests)
        catalog = chosen.load_catalog()
        find_ffmpeg()
        PartsWait(chosen, is_stopped=lambda: requests.count > 0, say=remark).for_all()
        if requests.count:
            return
        _check_redis(chosen)
        with _running(_supervisor(chosen, place, metrics), requests) as supervisor:
            _wait_until_ready(place, supervisor, chosen, requests)
            if not requests.count:
                note_address(chosen.home, place.url)
                with contextlib.closing(Database(chosen.database)) as database:
                    key, link = _keys_for_a_terminal(database, chosen, place)
                typer.echo(_welcome(chosen, place, catalog, key, link))
                sys.stdout.flush()
            while not requests.count:
                time.sleep(POLL_SECONDS)
                supervisor.tend()
    remark("stopped")


def _supervisor(chosen: Settings, place: Place, metrics: str | None) -> Supervisor:
    listening = ("--host", place.host, "--port", str(place.port))
    roles = [
        _role("the API", "api", *listening, "--grace", str(API_GRACE), *listens(metrics)),
        *(_role(f"the {name}", "workers", name.split()[0]) for name in ("cpu worker", "io worker", "scheduler")),
    ]
    if CAN_FORK:
        load_roles()
    quiet = {"STENOPOOL_LOG_LEVEL": "WARNING"} if sys.stderr.isatty() else {}  # people want the block below, not a log
    environ = {**quiet, **os.environ, "STENOPOOL_HOME": str(chosen.home.absolute())}
    redis = None if chosen.redis_url else PrivateRedis(chosen.home.absolute())
    return Supervisor(roles, redis=redis, environ=environ, say=remark)


def _role(name: str, module: str, *words: str) -> Role:
    return Role(name, words, module) if CAN_FORK else Role(name, role_command(module, *words))


@contextlib.contextmanager
def _running(supervisor: Supervisor, requests: StopRequests) -> Iterator[Supervisor]:
    """Started inside, stopped after, whatever happens inside."""
    requests.on_second = supervisor.abandon
    try:
        supervisor.start()
        yield supervisor
    finally:
        remark("stopping; Ctrl-C again does not wait")
        supervisor.stop()


def _wait_until_ready(place: Place, supervisor: Supervisor, chosen: Settings, requests: StopRequests) -> None:
    """Until the API is ready and every worker role has said that it lives. Raises DidNotStart."""
    deadline = time.monotonic() + START_SECONDS
    with Client(place.url, None) as client:
        while not requests.count and not (client.ready()[0] and _alive(chosen, supervisor)):
            supervisor.tend()
            dying = supervisor.failing(HOPELESS)
            if dying is not None:
                raise DidNotStart(f"{dying.name} does not stay up; its own words are above")
            if time.monotonic() > deadline:
                raise DidNotStart(f"not ready after {START_SECONDS:.0f} s; see the messages above")
            time.sleep(POLL_SECONDS)


def _alive(chosen: Settings, supervisor: Supervisor) -> bool:
    """Rows of an earlier run do not count: it must be our own children (or a pool child of theirs) that say so.

    The database is open no longer than that: a role may have to be forked the next moment.
    """
    groups = {role.process.pid for role in supervisor.roles if role.process is not None}
    with contextlib.closing(Database(chosen.database)) as database:
        alive = WorkerStore(database).alive(BEAT_SECONDS)
    mine = [worker for worker in alive if worker.host == socket.gethostname()]
    return {worker.role for worker in mine if _group(worker.pid) in groups} >= set(WORKERS)


def _group(pid: int) -> int | None:
    """The process group of a process; each role leads one."""
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _check_redis(chosen: Settings) -> None:
    """Whether it keeps what it is given."""
    if not chosen.redis_url:
        return
    with contextlib.closing(JobQueue(lambda: chosen.redis_url)) as queue:
        facts = queue.check()
    if not facts["keeps_messages"]:
        remark(f"warning: Redis has maxmemory-policy {facts['maxmemory_policy']}; set noeviction, or it drops messages")


def _check_port(place: Place, requests: StopRequests) -> None:
    """Raises WrongState when somebody else listens there; the API itself would say it less clearly."""
    deadline = time.monotonic() + PORT_PATIENCE
    while True:
        problem = _cannot_listen(place)
        if problem is None or requests.count:
            return
        if time.monotonic() > deadline:
            raise WrongState(f"cannot listen on {place.host} port {place.port}: {problem}; choose another with --port")
        time.sleep(POLL_SECONDS)


def _cannot_listen(place: Place) -> str | None:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(place.host or None, place.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the API does: TIME_WAIT is no obstacle
            probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _keys_for_a_terminal(database: Database, chosen: Settings, place: Place) -> tuple[str | None, str | None]:
    """(the first key of a home without any account, a link that signs in at the console), and only to a terminal: neither must
    end up in a log file."""
    if not sys.stdout.isatty():
        return None, None
    accounts = Accounts(database, chosen.peppers)
    first = not accounts.list_accounts()
    local = local_account(database, accounts)
    key = accounts.create_key(local, "made by the first start")[0] if first else None
    return key, SignInLinks(database, accounts).make(local, place.url)


def _welcome(chosen: Settings, place: Place, catalog: Catalog, key: str | None, link: str | None) -> str:
    level = sandbox_level()
    advice = (
        "" if level == "bubblewrap" else " (resource limits only; with bubblewrap installed, ffmpeg is isolated too)"
    )
    lines = [
        ("Base URL", f"{place.url}/v1"),
        (
            "API key",
            f"{key}   shown this once; no rate limits, 1,000 USD of play money"
            if key
            else as_typed("keys create --tier pro --balance 10", chosen),
        ),
        (
            "Console",
            f"{place.url}/console"
            + ("" if link else f"   `{as_typed('console link', chosen)}` makes a link that signs in"),
        ),
        ("API docs", f"{place.url}/docs"),
        ("Data", str(chosen.home)),
        ("Sandbox", level + advice),
        ("Engines", stand_ins(catalog, chosen.weights.cut_short)),
    ]
    body = "\n".join(f"  {name:<10}{value}" for name, value in lines)
    signs_in = f"Open this in a browser, once and within 15 minutes, to be signed in:\n\n{link}\n\n" if link else ""
    return f"\nStenopool is ready.\n\n{body}\n\n{signs_in}Ctrl-C stops it.\n"
