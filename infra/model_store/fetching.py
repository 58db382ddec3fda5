"""Fetch what a source publishes: by pip from whichever index it is configured for, or from the Hugging Face hub.

Both run as a process of their own, whose folder is watched for the progress. pip gets wheels only: to look into a source archive it
would run code of the package. What has arrived whole stays until the model is installed, so that a second try goes on there.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from infra.model_store.errors import SourceFailed
from infra.parent_death import tied_to_parent
from pipeline.weights.description import Package, Source

OnFetched = Callable[[str, int, int], None]  # (what, bytes so far, bytes in all)
_HUB_CLIENT = str(Path(__file__).with_name("hub_client.py"))
_LOOK_EVERY = 0.2  # seconds
_LONGEST_REASON = 300  # characters of what the tool said


def fetch(source: Source, kept: Path, on_fetched: OnFetched) -> tuple[Path, ...]:
    """The archives, or the folder, in which the source's files are; they are under `kept`. Raises SourceFailed."""
    if source.kind == "hub":
        return (_from_hub(source, kept / "hub", on_fetched),)
    return tuple(_from_registry(package, kept, on_fetched) for package in source.packages)


def _from_registry(package: Package, kept: Path, on_fetched: OnFetched) -> Path:
    here, arriving = kept / "packages" / package.name, kept / "arriving"
    for whole in here.glob("*.whl"):
        return whole
    shutil.rmtree(arriving, ignore_errors=True)
    arriving.mkdir(parents=True)
    if importlib.util.find_spec("pip") is None:
        raise SourceFailed("pip is not in this environment")
    quiet = ("--quiet", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-cache-dir")
    wanted = ("--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--dest", str(arriving))
    named = f"{package.name}=={package.version}"
    command = [sys.executable, "-P", "-m", "pip", "download", *quiet, *wanted, *_archive_of(package), named]
    _run(command, arriving, {"TMPDIR": str(arriving)}, _counted(on_fetched, package.name, package.size))
    found = list(arriving.glob("*.whl"))
    if len(found) != 1:
        raise SourceFailed(f"pip brought {len(found) or 'no'} wheels of {package.name} {package.version}")
    here.mkdir(parents=True, exist_ok=True)
    return found[0].rename(here / found[0].name)


def _archive_of(package: Package) -> tuple[str, ...]:
    """Which of its archives, where that is said; else the one for this machine."""
    if not package.python:
        return ()
    interpreter = f"cp{package.python.replace('.', '')}"
    return ("--python-version", package.python, "--abi", interpreter, "--platform", package.platform)


def _from_hub(source: Source, folder: Path, on_fetched: OnFetched) -> Path:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise SourceFailed("huggingface_hub is not in this environment")
    folder.mkdir(parents=True, exist_ok=True)
    names = [file.name for file in source.files]
    client = [sys.executable, "-P", _HUB_CLIENT]
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [*client, source.repository, source.revision, str(folder), *names]
    _run(command, folder, quiet, _counted(on_fetched, source.repository, source.size))
    return folder


def _counted(on_fetched: OnFetched, what: str, total: int) -> Callable[[int], None]:
    return lambda done: on_fetched(what, min(done, total), total)


def _run(command: Sequence[str], folder: Path, environ: Mapping[str, str], on_bytes: Callable[[int], None]) -> None:
    """Until it has ended. Raises SourceFailed with its own last words."""
    said = folder.parent / "said"
    with said.open("w+", encoding="utf-8", errors="replace") as words:
        child = subprocess.Popen(
            tied_to_parent(command),
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=words,
        )
        try:
            while child.poll() is None:
                on_bytes(sum(_sizes(folder)))
                time.sleep(_LOOK_EVERY)
        finally:
            child.kill()
            child.wait()
    reason = said.read_text("utf-8", errors="replace")
    said.unlink()
    if child.returncode != 0:
        raise SourceFailed(_last_words(reason) or f"it ended with {child.returncode}")


def _sizes(folder: Path) -> Iterator[int]:
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                yield (Path(place) / name).stat().st_size
            except OSError:  # it was moved or thrown away while we looked
                continue


def _last_words(text: str) -> str:
    """pip's last ERROR line, else the last line of all."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return next(reversed(errors or lines), "")[:_LONGEST_REASON]
