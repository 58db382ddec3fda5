"""`stenopool speak`: text to sound on this machine, with no service running."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from cli.atomic_output import write_whole
from cli.environment import settings
from cli.output import print_json, remark
from pipeline import formats
from pipeline.errors import InvalidRequest
from pipeline.formats.base import Format, RenderOptions
from pipeline.options import SPEECH_FORMATS, SpeechOptions
from pipeline.provider_registry import ProviderRegistry
from pipeline.run import speak as run_speak
from pipeline.text.languages import asked_language
from pipeline.text.text_splitter import PASSAGE, passages
from pipeline.tts.long_text import Reading
from pipeline.tts.passage import recital_from_bytes, recital_to_bytes, recite

STDIN = STDOUT = "-"

app = typer.Typer(add_completion=False)


@app.command()
def speak(
    text: Annotated[str, typer.Argument(help="What to say; - reads it from standard input.")],
    *,
    model: Annotated[str, typer.Option(help="As `stenopool models` lists them.")] = "tts-1",
    voice: Annotated[
        str, typer.Option(help="alloy, echo, fable, onyx, nova, shimmer … or a provider's own.")
    ] = "alloy",
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format", help=f"One of {', '.join(SPEECH_FORMATS)}.", show_default="by --output's ending, else mp3"
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="The text's language, as de or german.", show_default="as the text looks")
    ] = None,
    speed: Annotated[float, typer.Option(min=0.25, max=4.0)] = 1.0,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="A file, or - for standard output.", show_default="-"),
    ] = None,
    captions: Annotated[
        Path | None,
        typer.Option(help="A .srt, .vtt, .ttml, .json or .txt of what is said when, written beside the sound."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Facts about the written file as JSON on stdout.")] = False,
) -> None:
    """Say something. Needs no server, no Redis, no database."""
    target = _target(output, as_json=as_json)
    chosen = settings()
    given = {"model": model, "voice": voice, "speed": speed, "language": asked_language(language)}
    options = _options(text, given | {"response_format": format_name or _by_ending(target)})
    catalog = chosen.load_catalog()
    catalog.routes(options.model, "speech")  # a wrong model is told before any work
    form = _form(captions) if captions else None
    with ProviderRegistry(catalog, engine_processes=1) as registry:
        if captions and form:
            reading = Reading()
            written = _write(target, _read_aloud(options, registry, reading))
            transcript, model_used = reading.transcript(), reading.model_used
            write_whole(captions, [form.render(transcript, RenderOptions(granularities=("word", "segment"))).encode()])
        else:
            with contextlib.closing(run_speak(options, registry)) as speech:
                written = _write(target, speech)
                model_used = speech.model_used
    if as_json:
        facts = {"output": str(target), "bytes": written, "format": options.response_format, "model_used": model_used}
        print_json(facts)
    remark(f"{written} bytes of {options.response_format} by {model_used}")


def _form(captions: Path) -> Format:
    ending = captions.suffix.lower()
    names = {".json": "verbose_json", ".txt": "text"}
    name = names.get(ending, ending.lstrip("."))
    if name not in ("verbose_json", "text", "srt", "vtt", "ttml"):
        raise typer.BadParameter("name a file that ends in .srt, .vtt, .ttml, .json or .txt", param_hint="--captions")
    return formats.load(name)


def _read_aloud(options: SpeechOptions, registry: ProviderRegistry, reading: Reading) -> Iterator[bytes]:
    """As a job does it, passage by passage; they wait on the disk, because some headers tell the length of the whole."""
    with tempfile.TemporaryFile() as kept:
        sizes, samples = list[int](), 0
        for passage in passages(options.input, longest=PASSAGE):
            recital = recite(options.model_copy(update={"input": passage}), registry)
            sizes.append(kept.write(recital_to_bytes(recital)))
            samples += recital.samples
        kept.seek(0)
        recitals = (recital_from_bytes(kept.read(size)) for size in sizes)
        yield from reading.file(recitals, options.response_format, samples=samples)


def _target(output: str | None, *, as_json: bool) -> Path | None:
    """None is standard output."""
    if output not in (None, STDOUT):
        return Path(output)
    if as_json:
        raise typer.BadParameter(
            "--json needs a file: the sound and the JSON cannot share stdout", param_hint="--output"
        )
    if output is None and sys.stdout.isatty():
        raise typer.BadParameter("sound is not written to a terminal; name a file", param_hint="--output")
    return None


def _by_ending(target: Path | None) -> str:
    ending = target.suffix.lstrip(".").lower() if target else ""
    return {"ogg": "opus"}.get(ending, ending) if ending in (*SPEECH_FORMATS, "ogg") else "mp3"


def _options(text: str, given: dict[str, Any]) -> SpeechOptions:
    said = sys.stdin.read() if text == STDIN else text
    if not said.strip():
        raise InvalidRequest("input text is required", param="input")
    try:
        return SpeechOptions.model_validate({"input": said, **given})
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidRequest(f"{first['loc'][0]}: {first['msg']}", param=str(first["loc"][0])) from error


def _write(target: Path | None, blocks: Iterator[bytes]) -> int:
    if target is not None:
        return write_whole(target, blocks)
    written = 0
    for block in blocks:
        written += sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
    return written
