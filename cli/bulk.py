"""`stenopool bulk`: whole archives to text and subtitles, interrupted as often as you like, nothing heard or paid twice."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from filelock import FileLock, Timeout

from cli.archive.bucket_run import BucketRun, hear_in_bucket
from cli.archive.display import Display
from cli.archive.engine import Engine
from cli.archive.forecast import forecast
from cli.archive.hearer import Hearer, HearerOnDemand, LocalHearer, foreign_catalog, local_catalog
from cli.archive.job_hearer import JobHearer
from cli.archive.journal import Journal
from cli.archive.naming import NameCollision, ending, name_all
from cli.archive.plan import REPORT, Caps, Cutoff, Hearing, Layout, Order, Plan, diarizes
from cli.archive.report import kept_in
from cli.archive.throttle import FIRST, Throttle
from cli.client import Client
from cli.environment import settings
from cli.exits import BAD_INPUT, FAILED, INTERRUPTED, OK, ApiRefused
from cli.jobs import LOCAL, ApiKey, BaseUrl
from cli.listing.buckets import Buckets
from cli.listing.found import BUCKET, Found, Trouble
from cli.listing.selection import Selection
from cli.listing.sources import Sources
from cli.output import MOST_REMARKS, complain, print_json, remark
from pipeline import formats
from pipeline.errors import InvalidRequest, WrongState
from pipeline.money import micro_of, usd
from pipeline.text.languages import asked_language

app = typer.Typer(add_completion=False)

JOBS_AT_ONCE = 32  # as many as keep the workers of a server busy
CALLS_AT_ONCE = 8  # to a server without jobs
LOOK_AGAIN = 5.0  # seconds between two looks with --watch
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")
_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "": 3_600_000}


@app.command()
def bulk(
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="SOURCE…", help="Files, folders, globs, s3://bucket/prefix.")
    ] = None,
    *,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="The folder of the outputs, or s3://bucket/prefix.")
    ] = None,
    format_names: Annotated[
        str, typer.Option("--format", help=f"One or several by commas: {', '.join(formats.names())}.")
    ] = "srt",
    model: Annotated[str, typer.Option(help="As `stenopool models` lists them.")] = "whisper-1",
    language: Annotated[str | None, typer.Option(help="ISO 639-1, where known: en. auto: found out.")] = None,
    files_from: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="A list of recordings, one on each line.")
    ] = None,
    manifest: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="JSONL or CSV: source, and model, language, output, metadata of each."),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only these names; * within a folder, ** through folders."),
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="None of these names.")] = None,
    layout: Annotated[
        Layout, typer.Option(help="The tree of the source, beside each recording, or all in one folder.")
    ] = "mirror",
    suffix: Annotated[str, typer.Option(help="Before the ending of every output: .en")] = "",
    report: Annotated[
        Path | None, typer.Option(help="The folder of report and state.", show_default="_report in the outputs' folder")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done, how long and for how much.")
    ] = False,
    checksum: Annotated[
        bool, typer.Option("--checksum", help="Read every file again; size and time do not suffice.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Hear and pay everything again, and replace files.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also what has failed by its own fault before.")
    ] = False,
    max_cost: Annotated[str | None, typer.Option(metavar="USD", help="For all runs into this report together.")] = None,
    max_duration: Annotated[
        str | None, typer.Option(metavar="HOURS", help="Of sound, likewise: 10, 10h, 90m or 30s.")
    ] = None,
    max_files: Annotated[int | None, typer.Option(min=0, help="To be heard, likewise.")] = None,
    cutoff: Annotated[
        Cutoff,
        typer.Option(help="hard: nothing is begun that might pass a cap. soft: what runs when one is reached may."),
    ] = "hard",
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Do not wait for the next day's minutes; exit code 7.")
    ] = False,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Recordings at once.", show_default="as many as whoever hears them likes"),
    ] = None,
    order: Annotated[Order, typer.Option(help="Which come first: by name, the smallest, or the oldest.")] = "name",
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on looking for new recordings, each taken once it stands still.")
    ] = False,
    local: Annotated[bool, typer.Option("--local", help="Hear on this machine, with no server.")] = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="What happens as NDJSON on stdout.")] = False,
) -> None:
    """Turn whole archives into text and subtitles.

    Stop it when you like and start it again with the same words: nothing is heard or paid twice. What came of each recording
    stands in a report beside the outputs, with the state of it all.
    """
    words = tuple(sources or ())
    if not (words or files_from or manifest):
        raise typer.BadParameter("name a folder, a file, a glob or a bucket", param_hint="SOURCE")
    chosen = _formats(format_names)
    if output is not None and output.startswith(BUCKET):
        beyond = {"--suffix": suffix, "--report": report, "--max-duration": max_duration, "--max-files": max_files}
        beyond |= {"--local": local, "--watch": watch, "--checksum": checksum, "--no-wait": no_wait}
        raise typer.Exit(
            _from_bucket_to_bucket(
                _Server(local, base_url, api_key, concurrency),
                BucketRun(
                    {
                        "model": model,
                        **({"language": language} if language else {}),
                        "input": _input(words, files_from, manifest, include or (), exclude or ()),
                        "output": {"uri": output, "layout": layout, "formats": chosen},
                        **({"max_cost": usd(micro_of(max_cost, param="max_cost"))} if max_cost is not None else {}),
                        "dry_run": dry_run,
                        "force": force,
                        "retry_failed": retry_failed,
                    },
                    beyond=tuple(name for name, given in beyond.items() if given),
                    as_json=as_json,
                ),
            )
        )
    place = _output(output, layout, words)
    plan = Plan(
        output=place,
        report=report or place / REPORT,
        formats=chosen,
        hearing=Hearing(model, asked_language(language), diarizes(chosen)),
        layout=layout,
        suffix=suffix,
        checksum=checksum,
        force=force,
        retry_failed=retry_failed,
        order=order,
        caps=Caps(
            cost_micro=None if max_cost is None else micro_of(max_cost, param="max_cost"),
            audio_ms=None if max_duration is None else _milliseconds(max_duration),
            files=max_files,
            cutoff=cutoff,
        ),
        wait=not no_wait,
        watch=watch,
    )
    selection = Selection(include or (), exclude or ())
    asked = _Asked(
        plan,
        Sources(words, selection, files_from, manifest, avoid=(plan.output, plan.report)),
        _Server(local, base_url, api_key, concurrency),
        as_json=as_json,
    )
    raise typer.Exit(_foretold(asked) if dry_run else _run(asked))


@dataclass(frozen=True)
class _Server:
    """Who is to hear."""

    local: bool
    base_url: str | None
    api_key: str | None
    concurrency: int | None

    @property
    def at_once(self) -> int:
        """Recordings at once, at most."""
        return self.concurrency or (settings().cpu_processes if self.local else JOBS_AT_ONCE)

    def hearer(self, hearing: Hearing, throttle: Throttle, held: contextlib.ExitStack) -> Hearer:
        """Who hears, when somebody has to."""
        if self.local:
            found = HearerOnDemand(lambda: self._here(hearing, throttle))
        else:
            client = held.enter_context(Client(self.base_url or LOCAL, self.api_key))
            found = HearerOnDemand(lambda: self._there(client, hearing, throttle))
        held.callback(found.close)
        return found

    def _here(self, hearing: Hearing, throttle: Throttle) -> Hearer:
        """Raises ModelNotFound and so on."""
        processes, catalog = settings().cpu_processes, local_catalog(settings(), hearing)
        return LocalHearer(catalog, throttle, processes=processes, at_once=self.at_once)

    def _there(self, client: Client, hearing: Hearing, throttle: Throttle) -> Hearer:
        """Raises ApiAway, ApiRefused."""
        if _has_jobs(client):
            return JobHearer(client)
        calls = self.concurrency or CALLS_AT_ONCE
        throttle.limit(calls)
        return LocalHearer(
            foreign_catalog(client.base_url, self.api_key, hearing), throttle, processes=calls, at_once=calls
        )


@dataclass(frozen=True)
class _Asked:
    """The command's line."""

    plan: Plan
    sources: Sources
    server: _Server
    as_json: bool


def _from_bucket_to_bucket(server: _Server, asked: BucketRun) -> int:
    """The server does all of it, with credentials of its own; the exit code."""
    with Client(server.base_url or LOCAL, server.api_key) as client:
        try:
            return hear_in_bucket(client, asked)
        except KeyboardInterrupt:
            remark("The server goes on. The same command looks on again.")
            return INTERRUPTED


def _input(
    words: tuple[str, ...], files_from: str | None, manifest: str | None, include: Sequence[str], exclude: Sequence[str]
) -> dict[str, Any]:
    """Which recordings of a bucket. Raises InvalidRequest where they are not in one."""
    named = {"prefix": words[0] if len(words) == 1 else None, "list": files_from, "manifest": manifest}
    found = {mode: uri for mode, uri in named.items() if uri}
    mode, uri = next(iter(found.items())) if len(found) == 1 else ("", "")
    if not uri.startswith(BUCKET) or len(words) > 1:
        raise InvalidRequest("To a bucket there is one way: from one s3:// source, list or manifest.", param="output")
    return {"mode": mode, "uri": uri, "include": list(include), "exclude": list(exclude)}


def _run(asked: _Asked) -> int:
    """Until all is done, or once more and again with --watch; the exit code."""
    with contextlib.ExitStack() as held:
        held.enter_context(_only_one(asked.plan.output, asked.plan.report))
        journal = held.enter_context(contextlib.closing(Journal(kept_in(asked.plan.report))))
        buckets = held.enter_context(contextlib.closing(Buckets()))
        _list(asked, journal, buckets)
        if not asked.plan.watch and _is_empty(journal):
            return BAD_INPUT
        plan = replace(asked.plan, concurrency=asked.server.at_once)
        throttle = Throttle(plan.concurrency, first=plan.concurrency if asked.server.local else FIRST)
        hearer = asked.server.hearer(plan.hearing, throttle, held)
        for look in itertools.count(1):
            display = Display(journal, as_json=asked.as_json)
            engine = Engine(plan, journal, hearer, buckets=buckets, throttle=throttle, audience=display)
            code = _through(engine, display, as_json=asked.as_json, quiet=plan.watch and look > 1)
            if not plan.watch or engine.ending:
                return code
            _pause(LOOK_AGAIN)
            _list(asked, journal, buckets)
    raise AssertionError("unreachable: counting has no end")


def _through(engine: Engine, display: Display, *, as_json: bool, quiet: bool) -> int:
    """One run, its last report and its exit code."""
    try:
        with _stoppable(), display.shown():
            engine.run()
    except KeyboardInterrupt:
        _leave(engine)
    summary = engine.close()
    if as_json:
        print_json({"event": "summary", **summary})
    elif not quiet:
        remark(str(display.counted))
    if engine.ending:
        complain(engine.ending.error)
        return engine.ending.code
    return FAILED if summary["files"]["failed"] else OK


def _leave(engine: Engine) -> NoReturn:
    """Without waiting for what is being sent: whatever is half done is found by the next run."""
    engine.close()
    remark("Interrupted. The same command goes on where this one has stopped.")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _foretold(asked: _Asked) -> int:
    """What a run would do; nothing is written."""
    with contextlib.ExitStack() as held:
        journal = held.enter_context(contextlib.closing(Journal.copy_of(kept_in(asked.plan.report))))
        buckets = held.enter_context(contextlib.closing(Buckets()))
        _list(asked, journal, buckets)
        if _is_empty(journal):
            return BAD_INPUT
        hearer = asked.server.hearer(asked.plan.hearing, Throttle(1), held)
        found = forecast(asked.plan, journal, buckets, hearer.price(asked.plan.hearing))
    if asked.as_json:
        print_json(found.told())
    else:
        for line in found.lines():
            typer.echo(line)
    return FAILED if found.failing else OK


def _list(asked: _Asked, journal: Journal, buckets: Buckets) -> None:
    """What there is, and what its outputs are called."""
    with journal.listing():
        for one in asked.sources.listed(buckets):
            if isinstance(one, Trouble):
                journal.note_trouble(one)
            elif (other := journal.note(one)) is not None:
                journal.note_trouble(_same_name(one, other))
        remarks = name_all(journal, asked.plan)
    for text in remarks[:MOST_REMARKS]:
        remark(text)
    if len(remarks) > MOST_REMARKS:
        remark(f"and {len(remarks) - MOST_REMARKS} more of the same stem as another one")
    if not asked.plan.watch:
        for trouble in itertools.islice(journal.troubles(), MOST_REMARKS):
            remark(f"{trouble.name}: {trouble.message} [{trouble.code}]")


def _same_name(one: Found, other: Found) -> Trouble:
    told = f"{one.place} would have the outputs of {other.place}. Give the folder that holds both as the source."
    return Trouble(one.place, NameCollision.code, told)


def _is_empty(journal: Journal) -> bool:
    files, _ = journal.totals()
    if files or any(not trouble.harmless for trouble in journal.troubles()):
        return False
    complain(InvalidRequest("No recording is called as you say; see --include and --exclude.", param="source"))
    return True


def _has_jobs(client: Client) -> bool:
    """Whether a Stenopool answers, or another server that speaks the OpenAI audio API. Raises ApiAway, ApiRefused."""
    try:
        next(client.jobs(limit=1), None)
    except ApiRefused as error:
        if error.details["status"] in (404, 405):
            return False
        raise
    return True


@contextlib.contextmanager
def _only_one(output: Path, report: Path) -> Iterator[None]:
    """Nobody else works on this report meanwhile. Raises WrongState, InvalidRequest when it cannot be written."""
    try:
        for folder in (output, report / "parts"):
            folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(report / "lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise WrongState(f"Another `stenopool bulk` works on {report}.") from error
    except OSError as error:
        raise InvalidRequest(f"{report} cannot be written: {error.strerror}", param="output") from error
    with lock:
        for left in (report / "parts").iterdir():  # by a run that was killed
            left.unlink(missing_ok=True)
        yield


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM is as Ctrl-C, and a second one leaves at once."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGINT, _leave_now)
        signal.signal(signal.SIGTERM, _leave_now)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)


def _leave_now(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(INTERRUPTED)


def _pause(seconds: float) -> None:
    try:
        time.sleep(seconds)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _output(output: str | None, layout: Layout, words: tuple[str, ...]) -> Path:
    """The folder of the outputs. Raises InvalidRequest, typer.BadParameter."""
    if output is None:
        folder = next((Path(word) for word in words if Path(word).is_dir()), None)
        if layout != "adjacent" or folder is None:
            raise typer.BadParameter("say where the outputs go", param_hint="--output")
        return folder.absolute()
    if Path(output).exists() and not Path(output).is_dir():
        raise InvalidRequest(f"{output} is a file; outputs need a folder", param="output")
    return Path(output).absolute()


def _formats(names: str) -> tuple[str, ...]:
    """Raises UnsupportedValue, InvalidRequest for two whose files would be called alike."""
    chosen = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not chosen:
        raise typer.BadParameter("name at least one", param_hint="--format")
    endings = [ending(name) for name in chosen]
    if len(set(endings)) < len(endings):
        raise InvalidRequest(f"{', '.join(chosen)}: two of them end alike", param="format")
    return chosen


def _milliseconds(text: str) -> int:
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise typer.BadParameter("write it as 10, 10h, 90m or 30s", param_hint="--max-duration")
    return round(float(found[1]) * _UNITS_MS[found[2]])
