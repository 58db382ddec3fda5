"""`stenopool doctor`: is everything there, and does it work?"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import socket
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.text import Text

from cli.embedded_notice import clear_voice, serving, stand_ins
from cli.environment import settings
from cli.exits import FAILED, OK
from cli.operator_database import AsJson
from cli.output import print_json, stdout
from infra.broker import JobQueue
from infra.database.connection_budget import connection_budget
from infra.database.session import Database, has_file, shown_url
from infra.diagnosis.broker_faults import broker_fault
from infra.diagnosis.database_faults import database_fault
from infra.diagnosis.fault import Fault
from infra.diagnosis.storage_faults import storage_fault
from infra.embedded_redis import private_redis_url, redis_server_path
from infra.encryption.key_file import FILE, HOW, secret_keys
from infra.environment.secret_files import by_file_name, is_by_file
from infra.jobs.store import JobStore
from infra.metrics import ALIVE_SECONDS
from infra.money.ledger import Ledger
from infra.settings import Settings, secret_variables
from infra.worker_heartbeats import WorkerStore
from pipeline.audio.ffmpeg.binary import LEAST_VERSION, ffmpeg_path, ffmpeg_version, find_ffmpeg
from pipeline.audio.ffmpeg.sandbox import sandbox_level
from pipeline.catalog.toml_file import key_variables
from pipeline.errors import CatalogBroken, DatabaseUnavailable, FfmpegUnusable, ProviderError, StenopoolError
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.providers import trouble
from pipeline.run import speak, transcribe
from pipeline.weights.voices import INSTALL

SUPPORTED = ((3, 11), (3, 13))
ROOMY, TIGHT = 5 * 1024**3, 512 * 1024**2  # bytes free: below the first a warning, below the second broken
GIB = 1024**3
VERIFY = "`stenopool models verify` tells whether weights are damaged; another engine hears until they are replaced"
STAY = "give them a route that stays in your catalog; without one the embedded engines serve these names"
SENTENCE = "We have a lot of people in the company."  # simple words
MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "broken": ("✗", "red")}

app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `state` is ok, warning or broken; `advice` says what to do."""

    name: str
    state: str
    detail: str
    advice: str = ""


def ok(name: str, detail: str) -> Finding:
    return Finding(name, "ok", detail)


def broken(name: str, fault: Fault) -> Finding:
    return Finding(name, "broken", fault.told, fault.advice)


@app.command()
def doctor(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port `stenopool up` shall use.")] = 8000,
    as_json: AsJson = False,
) -> None:
    """Look at everything Stenopool needs and try it. Exit code 1 when something that is needed is broken."""
    findings = []
    for finding in _examine(settings(), port):
        findings.append(finding)
        if not as_json:
            _show(finding)
    is_well = all(finding.state != "broken" for finding in findings)
    if as_json:
        print_json({"ok": is_well, "checks": [asdict(finding) for finding in findings]})
    raise typer.Exit(OK if is_well else FAILED)


def _examine(chosen: Settings, port: int) -> Iterator[Finding]:
    checks: dict[str, Callable[[], Finding]] = {
        "python": _python,
        "ffmpeg": lambda: ok(
            "ffmpeg", f"{ffmpeg_version()} at {ffmpeg_path()}; {LEAST_VERSION} is the oldest that does"
        ),
        "sandbox": _sandbox,
        "settings": lambda: _settings(chosen),
        "secrets": lambda: _secrets(chosen),
        "home": lambda: _home(chosen.home),
        "tmp": _temporary,
        "database": lambda: _database(chosen),
        "connections": lambda: _connections(chosen),
        "money": lambda: _money(chosen),
        "encryption": lambda: _encryption(chosen),
        "storage": lambda: _storage(chosen),
        "redis": lambda: _redis(chosen),
        "models": lambda: _models(chosen),
        "shutdowns": lambda: _shutdowns(chosen),
        "prices": lambda: _prices(chosen),
        "engines": lambda: _engines(chosen),
        "speakers": lambda: _speakers(chosen),
        "workers": lambda: _workers(chosen),
        "port": lambda: _port(port),
    }
    for name, check in checks.items():
        try:
            yield check()
        except DatabaseUnavailable:
            yield Finding(
                name, "broken", "the database cannot be used, so nothing is known of it", "see `database` above"
            )
        except FfmpegUnusable as error:
            known = name == "ffmpeg"
            told = error.message if known else "there is no ffmpeg to try it with"
            yield Finding(name, "broken", told, "" if known else "see `ffmpeg` above")
        except StenopoolError as error:
            yield Finding(name, "broken", f"{error.message} [{error.code}]")
        except Exception as error:  # noqa: BLE001 - a doctor who falls over at the first broken bone helps nobody
            yield Finding(name, "broken", f"{type(error).__name__}: {error}")


def _python() -> Finding:
    detail = f"{platform.python_version()} at {sys.executable}"
    if SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]:
        return ok("python", detail)
    return Finding("python", "warning", detail, "Stenopool is tested on Python 3.11 to 3.13")


def _sandbox() -> Finding:
    find_ffmpeg()  # without which none can be tried
    level = sandbox_level()
    if level == "bubblewrap":
        return ok("sandbox", "bubblewrap: ffmpeg sees no network, no files and no other process")
    advice = "install bubblewrap and allow unprivileged user namespaces, to isolate ffmpeg from files and network"
    return Finding("sandbox", "warning", f"{level}: ffmpeg runs under resource limits only", advice)


def _settings(chosen: Settings) -> Finding:
    """Variables that look like ours and have no effect; one that is nearly ours ends the command before."""
    if not chosen.unknown:
        return ok("settings", "every STENOPOOL_ variable that is set is known")
    return Finding(
        "settings", "warning", f"no such setting: {', '.join(chosen.unknown)}", "unset them: they have no effect"
    )


def _secrets(chosen: Settings) -> Finding:
    """Where each secret comes from; never what it is."""
    variables = list(secret_variables())
    with contextlib.suppress(CatalogBroken):  # which `models` tells
        variables += sorted(key_variables(chosen.catalog).values())
    by_file = [name for name in variables if is_by_file(os.environ, name)]
    plain = [name for name in variables if os.environ.get(name)]
    told = {"by file": by_file, "in the environment": plain}
    detail = "; ".join(f"{where}: {', '.join(names)}" for where, names in told.items() if names)
    return ok("secrets", detail or f"none is set; each may come by file: {', '.join(map(by_file_name, variables))}")


def _home(home: Path) -> Finding:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    probe = home / f".probe-{uuid.uuid4().hex}"
    probe.write_bytes(b"")
    probe.unlink()
    return _room("home", home, "make room: uploads will be refused")


def _temporary() -> Finding:
    """Where workers put recordings that an S3 store has, and the API the forms that it reads."""
    folder = Path(tempfile.gettempdir())  # has tried to write there
    return _room("tmp", folder, "make room, or name a larger disk with TMPDIR: jobs wait until there is some")


def _room(name: str, folder: Path, advice: str) -> Finding:
    free = shutil.disk_usage(folder).free
    detail = f"{folder}, {free / GIB:.1f} GiB free"
    if free < TIGHT:
        return Finding(name, "broken", detail, advice)
    return ok(name, detail) if free >= ROOMY else Finding(name, "warning", detail, "long recordings need more room")


def _database(chosen: Settings) -> Finding:
    if not has_file(chosen.database):
        return ok("database", f"none yet at {shown_url(chosen.database)}: the first start makes it")
    if (fault := database_fault(chosen.database)) is not None:
        return broken("database", fault)
    with contextlib.closing(Database(chosen.database)) as database:
        facts = database.check()
        exposed = database.exposed_file()
    detail = f"{shown_url(chosen.database)} answers in {facts['ms']} ms, schema {facts['migration'] or 'empty'}"
    if exposed is not None:
        mend = f"chown it to the user of the service, and chmod 600 {exposed}"
        return Finding("database", "warning", f"{exposed} can be read by others", mend)
    if facts["migration"] == facts["expected"]:
        return ok("database", detail)
    return Finding("database", "warning", detail, f"the next start brings it to {facts['expected']}")


def _connections(chosen: Settings) -> Finding:
    """What all processes may open together, against what the server allows."""
    if not has_file(chosen.database):
        return ok("connections", "none are counted yet: nothing was ever started here")
    with contextlib.closing(Database(chosen.database)) as database:
        if database.check()["migration"] is None:
            return ok("connections", "none are counted yet: nothing was ever started here")
        budget = connection_budget(database, ALIVE_SECONDS)
    if budget is None:
        return ok("connections", "SQLite is a file, and counts none")
    each = chosen.database_pool
    detail = (
        f"{budget.allowed} allowed, {budget.taken} open; {budget.workers} worker processes may open {budget.claimed} together, "
        f"each API process {each}{'; through a pooler' if budget.is_pooled else ''}"
    )
    if budget.suffices(each):
        return ok("connections", detail)
    advice = "lower STENOPOOL_DATABASE_POOL, raise max_connections, or put PgBouncer in between (docs/deployment.md)"
    return Finding("connections", "warning", detail, advice)


def _money(chosen: Settings) -> Finding:
    if not has_file(chosen.database):
        return ok("money", "no ledger yet: the first start makes it")
    with contextlib.closing(Database(chosen.database)) as database:
        facts = database.check()
        if facts["migration"] != facts["expected"]:
            return ok("money", "no ledger yet: the next start makes it")
        differences = Ledger(database).check()
    if not differences:
        return ok("money", "balances, ledger, holds and jobs agree")
    shown = "; ".join(differences[:3])
    return Finding(
        "money", "broken", f"{len(differences)} differences: {shown}", "compare with the receipts and adjust"
    )


def _encryption(chosen: Settings) -> Finding:
    """Whether they can be sealed, and who may read the file with the key."""
    keys, path = secret_keys(chosen), chosen.home / FILE
    if not keys:
        return Finding("encryption", "broken", "no STENOPOOL_SECRETS_KEY: secrets are kept in plain text", HOW)
    if path.exists() and path.stat().st_mode & 0o077:
        return Finding("encryption", "warning", f"others may read {path}", f"chmod 600 {path}")
    return ok("encryption", f"sealed in the database; {len(keys)} {'key' if len(keys) == 1 else 'keys'}")


def _storage(chosen: Settings) -> Finding:
    if (fault := storage_fault(chosen.storage, tries=True)) is not None:
        return broken("storage", fault)
    return ok("storage", f"{urlsplit(chosen.storage).scheme} storage keeps what it is given")


def _redis(chosen: Settings) -> Finding:
    if not chosen.redis_url and private_redis_url(chosen.home) is None:
        return ok("redis", f"`stenopool up` starts a private one: {redis_server_path()}")
    private = not chosen.redis_url
    if not private and (fault := broker_fault(chosen.redis_url)) is not None:
        return broken("redis", fault)
    with contextlib.closing(JobQueue(lambda: chosen.redis_url or private_redis_url(chosen.home))) as queue:
        try:
            facts = queue.check()
        except StenopoolError:
            if private:
                return ok("redis", "the private one is not running; `stenopool up` starts it")
            raise
    detail = f"answers, maxmemory-policy {facts['maxmemory_policy']}"
    if facts["keeps_messages"]:
        return ok("redis", detail)
    return Finding("redis", "broken", detail, "set maxmemory-policy noeviction: a full Redis must not drop messages")


def _models(chosen: Settings) -> Finding:
    """Who serves what, and which provider that the catalog counts on cannot work here."""
    catalog = chosen.load_catalog()
    routed = sorted({route.provider for model in catalog.models.values() for route in model.routes})
    said = {name: trouble(catalog.provider_kind(name), catalog.providers.get(name, {})) for name in routed}
    damaged = chosen.weights.cut_short
    said |= {name: f"damaged; `stenopool models install {name}` replaces it" for name in damaged}
    advice = "; ".join(f"{name}: {told}" for name, told in said.items() if told)
    tasks = ", ".join(f"{task}: {model}" for task, model in serving(catalog).items())
    return Finding(
        "models", "warning" if advice else "ok", f"{stand_ins(catalog, damaged)} ({tasks or 'none'})", advice
    )


def _shutdowns(chosen: Settings) -> Finding:
    """Which names that this installation serves end at their vendor, and when."""
    ending = chosen.load_catalog().ending()
    if not ending:
        return ok("shutdowns", "no model here is served by a vendor that has said when it ends")
    told = "; ".join(f"{model.id}: {model.shutdown.told}" for model in ending if model.shutdown)
    return Finding("shutdowns", "warning", f"their vendors end {told}", STAY)


def _prices(chosen: Settings) -> Finding:
    """Where the prices and limits in force were read, and when: vendors change them without telling anybody."""
    models = chosen.load_catalog().models.values()
    read = sorted({f"{model.facts.source} ({model.facts.as_of})" for model in models if model.facts})
    own = [model.id for model in models if not model.facts and any(price for _, price in model.prices)]
    told = f"as read from {'; '.join(read)}" if read else "none was read from a vendor"
    return ok("prices", f"{told}; your own: {', '.join(own)}" if own else told)


def _engines(chosen: Settings) -> Finding:
    """The embedded voice says something, through ffmpeg and its sandbox, and the embedded ear hears just that."""
    catalog = chosen.load_catalog()
    ear = serving(catalog).get("transcription", "")
    ear = ear if ear in catalog.models else "pocketsphinx-en-us"
    said = SpeechOptions(**clear_voice(catalog), input=SENTENCE, response_format="wav")
    with ProviderRegistry(catalog, engine_processes=1) as registry:
        speech = speak(said, registry)
        sound, voice = b"".join(speech), speech.model_used
        try:
            heard = transcribe(sound, TranscriptionOptions(model=ear, language="en"), registry)
        except ProviderError as error:
            return Finding("engines", "broken", f"{ear}: {error.message} [{error.code}]", VERIFY)
    detail = f"{voice} said “{SENTENCE}”, {ear} heard “{heard.text}”"
    if not heard.text:
        return Finding("engines", "broken", detail, VERIFY)
    if _words(heard.text) != _words(SENTENCE):
        return Finding(
            "engines", "warning", detail, "`stenopool models install whisper-base` gives an ear that hears better"
        )
    return ok("engines", detail)


def _speakers(chosen: Settings) -> Finding:
    """Whether the model that tells voices apart is there, and can be loaded."""
    with ProviderRegistry(chosen.load_catalog(), engine_processes=1) as registry:
        if registry.diarizer is None:
            off = chosen.embedded_engines == "off"
            told = "are not told apart here" + (" (STENOPOOL_EMBEDDED_ENGINES=off)" if off else "")
            return Finding(
                "speakers", "ok", told, "" if off else f"`{INSTALL}` tells who says what, without a provider"
            )
        try:
            both = registry.diarizer.warm()
        except ProviderError as error:
            return Finding("speakers", "broken", f"{error.message} [{error.code}]", f"`{INSTALL}` replaces it")
    if both:
        return ok("speakers", "are told apart here, by their voices")
    told = "are told apart here, but worse where several speak at once: the second network is not there, or damaged"
    return Finding("speakers", "warning", told, f"`{INSTALL}` replaces it")


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _workers(chosen: Settings) -> Finding:
    if not has_file(chosen.database):
        return ok("workers", "none yet: nothing was ever started here")
    with contextlib.closing(Database(chosen.database)) as database:
        facts = database.check()
        if facts["migration"] is None:
            return ok("workers", "none yet: nothing was ever started here")
        alive = WorkerStore(database).alive(ALIVE_SECONDS)
        jobs, is_ours = JobStore(database), facts["migration"] == facts["expected"]
        missed, away = (jobs.unserved(ALIVE_SECONDS), jobs.away()) if is_ours else ([], {})
    counted = {role: sum(worker.role == role for worker in alive) for role in sorted({worker.role for worker in alive})}
    detail = ", ".join(f"{number} {role}" for role, number in counted.items()) or "none is running"
    if missed:
        commands = " and ".join(f"`stenopool worker --role {role}`" for role in missed)
        return Finding("workers", "broken", f"{detail}; work waits for {' and '.join(missed)}", f"start {commands}")
    if away:
        told = ", ".join(f"{place} (away for {seconds:.0f} s)" for place, seconds in away.items())
        return Finding(
            "workers", "warning", f"{detail}; work waits for {told}", "it goes on by itself once that is back"
        )
    return ok("workers", detail)


def _port(port: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return Finding("port", "warning", f"{port}: {error.strerror}", "`stenopool up` needs another: --port")
    return ok("port", f"{port} is free")


def _show(finding: Finding) -> None:
    mark, colour = MARKS[finding.state]
    line = Text.assemble((mark, colour), f" {finding.name:<9} {finding.detail}")
    stdout().print(line, soft_wrap=True)
    if finding.advice:
        stdout().print(Text(f"             → {finding.advice}", style=colour), soft_wrap=True)
