"""`stenopool bulk`: whole archives to text and subtitles, interrupted as often as you like, nothing heard or paid twice."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.archive.bucket_run import BucketRun
from cli.archive.naming import ending
from cli.archive.plan import REPORT, Caps, Cutoff, Hearing, Layout, Order, Plan, diarizes
from cli.bulk_run.run import Asked, foretold, from_bucket_to_bucket, run
from cli.bulk_run.server import Server
from cli.jobs import ApiKey, BaseUrl
from cli.listing.found import BUCKET
from cli.listing.sources import Sources
from infra.buckets.selection import Selection
from pipeline import formats
from pipeline.errors import InvalidRequest
from pipeline.money import micro_of, usd
from pipeline.text.languages import asked_language

app = typer.Typer(add_completion=False)

_NUMBER = re.compile(r"\d{9,}(?:\.\d+)?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")
_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "": 3_600_000}


@app.command()
def bulk(
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE…", help="Files, folders, globs, zip archives, s3://bucket/prefix."),
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
    complete_by: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="When all should be done: 2027-01-04T08:00, or epoch seconds. Jobs rise in time."
        ),
    ] = None,
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
    due = None if complete_by is None else _moment(complete_by)
    chosen, server = _formats(format_names), Server(local, base_url, api_key, concurrency, due)
    cost_micro = None if max_cost is None else micro_of(max_cost, param="max_cost")
    if output is not None and output.startswith(BUCKET):
        beyond = {"--suffix": suffix, "--report": report, "--max-duration": max_duration, "--max-files": max_files}
        beyond |= {"--local": local, "--watch": watch, "--checksum": checksum, "--no-wait": no_wait}
        beyond |= {"--concurrency": concurrency, "--order": order != "name", "--cutoff": cutoff != "hard"}
        wanted = {
            "model": model,
            "language": language or None,
            "input": _input(words, files_from, manifest, include or (), exclude or ()),
            "output": {"uri": output, "layout": layout, "formats": chosen},
            "max_cost": None if cost_micro is None else usd(cost_micro),
            "complete_by": due,
            "dry_run": dry_run,
            "force": force,
            "retry_failed": retry_failed,
        }
        fields = {name: value for name, value in wanted.items() if value is not None}
        in_vain = tuple(name for name, given in beyond.items() if not (given is None or given is False or given == ""))
        raise typer.Exit(from_bucket_to_bucket(server, BucketRun(fields, in_vain, as_json=as_json)))
    place = _output(output, layout, words)
    milliseconds = None if max_duration is None else _milliseconds(max_duration)
    plan = Plan(
        output=place,
        report=report or place / REPORT,
        formats=chosen,
        hearing=Hearing(model, asked_language(language), diarizes(chosen)),
        caps=Caps(cost_micro=cost_micro, audio_ms=milliseconds, files=max_files, cutoff=cutoff),
        wait=not no_wait,
        layout=layout,
        suffix=suffix,
        order=order,
        watch=watch,
        checksum=checksum,
        force=force,
        retry_failed=retry_failed,
    )
    avoid, selection = (plan.output, plan.report), Selection(include or (), exclude or ())
    asked = Asked(plan, Sources(words, selection, files_from, manifest, avoid=avoid), server, as_json=as_json)
    raise typer.Exit(foretold(asked) if dry_run else run(asked))


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


def _moment(text: str) -> int:
    """Epoch seconds of a time to come; without an offset it is this machine's. Raises InvalidRequest, typer.BadParameter."""
    try:
        moment = float(text) if _NUMBER.fullmatch(text) else datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            "write it as 2027-01-04T08:00, or in epoch seconds", param_hint="--complete-by"
        ) from error
    if moment <= time.time():
        raise InvalidRequest(f"{text} is over; --complete-by is a time to come", param="complete_by")
    return round(moment)


def _milliseconds(text: str) -> int:
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise typer.BadParameter("write it as 10, 10h, 90m or 30s", param_hint="--max-duration")
    return round(float(found[1]) * _UNITS_MS[found[2]])
