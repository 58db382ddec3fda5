"""`stenopool transcribe`: recordings to text on this machine, with no service running."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli.atomic_output import write_whole
from cli.environment import settings
from cli.exits import OK, exit_code
from cli.output import complain, print_json, remark, remark_on_omissions, stderr
from pipeline import formats
from pipeline.audio.raw_sound import MOST_CHANNELS, RATES, RawFormat
from pipeline.cut.channel_chunks import WHOLE
from pipeline.cut.time_range import Part
from pipeline.errors import InvalidRequest, StenopoolError
from pipeline.formats.base import Format, RenderOptions
from pipeline.options import Channels, SpeechGate, TranscriptionOptions, asked_speakers, asked_track
from pipeline.provider_registry import ProviderRegistry
from pipeline.quality.omissions import caution_as_dict, gap_as_dict, told
from pipeline.run import Progress as OnProgress
from pipeline.run import transcribe as run_transcribe
from pipeline.text.languages import asked_language
from pipeline.transcript import Transcript, transcript_as_dict

STDIN = "-"

app = typer.Typer(add_completion=False)
_RANGE = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)?")


def _part(text: str) -> Part:
    """Raises typer.BadParameter, which is a wrong use of the command."""
    found = _RANGE.fullmatch(text.strip())
    if not found or (found[2] and float(found[2]) <= float(found[1])):
        raise typer.BadParameter('write it in seconds, as in "12.5-60" or "12.5-"')
    return Part.of_seconds(float(found[1]), float(found[2]) if found[2] else None)


@app.command()
def transcribe(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Recordings of any kind; - for standard input.")],
    *,
    model: Annotated[str, typer.Option(help="As `stenopool models` lists them.")] = "whisper-1",
    format_name: Annotated[str, typer.Option("--format", help=f"One of {', '.join(formats.names())}.")] = "text",
    language: Annotated[str | None, typer.Option(help="ISO 639-1, where known: en. auto: found out.")] = None,
    channels: Annotated[
        Channels, typer.Option(help="separate: each channel by itself, and the text says which.")
    ] = "mix",
    audio_track: Annotated[
        str | None, typer.Option(metavar="NUMBER|all", help="Of a file with several, from 1; all: each by itself.")
    ] = None,
    stretch: Annotated[
        Part | None,
        typer.Option(
            "--range", parser=_part, metavar="FROM-TO", help="Only these seconds: 10-20.5, or 90- to the end."
        ),
    ] = None,
    speech_gate: Annotated[
        SpeechGate, typer.Option(help="off: silence and steady noise are heard, too, not left out.")
    ] = "auto",
    speakers: Annotated[
        str | None,
        typer.Option(metavar="NUMBER|auto", help="Say who speaks: so many there are, or as many as are heard."),
    ] = None,
    input_format: Annotated[
        RawFormat | None, typer.Option(help="What recordings without a header are; they are not looked at then.")
    ] = None,
    input_sample_rate: Annotated[
        int | None, typer.Option(min=RATES[0], max=RATES[1], help="Samples per second, with --input-format.")
    ] = None,
    input_channels: Annotated[
        int | None, typer.Option(min=1, max=MOST_CHANNELS, help="Interleaved channels, with --input-format.")
    ] = None,
    paragraphs: Annotated[
        bool, typer.Option("--paragraphs", help="Text in paragraphs, a new one after a pause.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A file, or a folder for several.", show_default="standard output"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per recording on stdout, errors included.")
    ] = False,
) -> None:
    """Turn recordings into text, subtitles or JSON. Needs no server, no Redis, no database.

    Several recordings go on after one that fails; the exit code is that of the first failure.
    """
    chosen = settings()
    form = formats.load(format_name)
    options = TranscriptionOptions(
        model=model,
        language=asked_language(language),
        response_format=format_name,
        timestamp_granularities=("word", "segment"),
        channels=channels,
        audio_track=asked_track(audio_track),
        speech_gate=speech_gate,
        speakers=asked_speakers(speakers),
        input_format=input_format,
        input_sample_rate=input_sample_rate,
        input_channels=input_channels,
    )
    _ = options.raw  # a missing part is told before any work
    catalog = chosen.load_catalog()
    catalog.routes_for(options)  # a wrong model, a language that it does not hear: told before any work
    catalog.check_format_of(options)
    asked = RenderOptions(granularities=("word", "segment"), paragraphs=paragraphs)
    targets = _targets(files, output, form)
    first_failure = OK
    with ProviderRegistry(catalog, engine_processes=chosen.cpu_processes) as registry:
        hear = partial(
            run_transcribe,
            options=options,
            registry=registry,
            workers=chosen.cpu_processes,
            part=stretch or WHOLE,
        )
        for name in files:
            try:
                transcript, seconds = _heard(name, hear)
                shown = _Shown(transcript, form.render(transcript, asked))
                _deliver(name, shown, targets.get(name), several=len(files) > 1, as_json=as_json)
                _remark_on(name, transcript, seconds)
            except StenopoolError as error:
                first_failure = first_failure or exit_code(error)
                _tell_failure(name, error, as_json=as_json)
    raise typer.Exit(first_failure)


def _heard(name: str, hear: Callable[..., Transcript]) -> tuple[Transcript, float]:
    """The transcript, and the seconds it took; with progress meanwhile."""
    began = time.monotonic()
    with _progress(name) as on_progress:
        transcript = hear(_source(name), on_progress=on_progress)
    return transcript, time.monotonic() - began


def _remark_on(name: str, transcript: Transcript, seconds: float) -> None:
    heard = f"by {transcript.model_used}" if transcript.segments else "without speech in it"
    remark(f"{name}: {transcript.audio_ms / 1000:.1f} s of sound in {seconds:.1f} s, {heard}")
    gaps = [gap_as_dict(gap) for gap in transcript.gaps]
    remark_on_omissions(name, gaps, [caution_as_dict(caution) for caution in transcript.warnings])


def _source(name: str) -> Path | bytes:
    if name == STDIN:
        return sys.stdin.buffer.read()
    path = Path(name)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise InvalidRequest(_problem(path), param="file")
    return path


def _problem(path: Path) -> str:
    if path.is_dir():
        return f"this is a folder; use: stenopool bulk {shlex.quote(str(path))} --local --output FOLDER"
    return "it cannot be read" if path.exists() else "there is no such file"


def _targets(files: list[str], output: Path | None, form: Format) -> dict[str, Path]:
    """Where each recording's text goes; none for standard output. Raises InvalidRequest when two would collide."""
    if output is None:
        return {}
    if len(files) == 1 and not output.is_dir() and not str(output).endswith("/"):
        return {files[0]: output}
    if output.exists() and not output.is_dir():
        raise InvalidRequest(f"{output} is a file; several recordings need a folder", param="output")
    stems = {name: "stdin" if name == STDIN else Path(name).stem for name in files}
    names = {name: stems[name] if list(stems.values()).count(stems[name]) == 1 else Path(name).name for name in files}
    first: dict[str, str] = {}
    for name in files:
        if (other := first.setdefault(names[name], name)) != name:
            told = f"{other} and {name} have the same name; give each run its own --output, or use: stenopool bulk"
            raise InvalidRequest(told, param="output")
    output.mkdir(parents=True, exist_ok=True)
    return {name: output / f"{stem}.{form.extension.lstrip('.')}" for name, stem in names.items()}


@contextmanager
def _progress(name: str) -> Iterator[OnProgress | None]:
    """A bar on stderr for people; nothing in a pipe. What is decoded so far is the end that is known."""
    console = stderr()
    if not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[clock]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task(Path(name).name.replace("[", r"\["), total=None, clock="")

        def on_progress(done_ms: int, decoded_ms: int) -> None:
            bar.update(task, completed=done_ms, total=decoded_ms, clock=f"{_clock(done_ms)} of {_clock(decoded_ms)}")

        yield on_progress


def _clock(milliseconds: int) -> str:
    minutes, seconds = divmod(milliseconds // 1000, 60)
    return f"{minutes}:{seconds:02d}"


@dataclass(frozen=True)
class _Shown:
    """A transcript, and how it is written."""

    transcript: Transcript
    rendered: str


def _deliver(name: str, shown: _Shown, target: Path | None, *, several: bool, as_json: bool) -> None:
    rendered = shown.rendered
    if target is not None:
        write_whole(target, [rendered.encode()])
    if as_json:
        print_json(_as_dict(name, shown.transcript, target))
    elif target is None:
        heading = f"==> {name} <==\n" if several else ""
        typer.echo(heading + rendered, nl=not rendered.endswith("\n"))


def _as_dict(name: str, transcript: Transcript, target: Path | None) -> dict[str, Any]:
    return {
        "file": name,
        "ok": True,
        "output": str(target) if target else None,
        "text": transcript.text,
        "duration_seconds": transcript.duration / 1000,
        "audio_seconds": transcript.audio_ms / 1000,
        **told(transcript),
        "language": transcript.language,
        "model_used": transcript.model_used,
        "transcript": transcript_as_dict(transcript),
    }


def _tell_failure(name: str, error: StenopoolError, *, as_json: bool) -> None:
    complain(type(error)(f"{name}: {error.message}", **error.details))
    if as_json:
        print_json({"file": name, "ok": False, "error": error.as_dict()})
