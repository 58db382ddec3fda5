"""The steps of the image in a plain folder, since no container engine is here: all is installed, and runs on a read-only root."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from pipeline.audio.ffmpeg.sandbox import sandbox_level
from tests.infra.test_deploy import dockerfile
from tests.support.ports import free_port
from tests.support.repository import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes
SUFFIXES = (".py", ".toml", ".html", ".css", ".js", ".mako", ".txt")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where /opt/stenopool would be. Dependencies are those of this environment: they come from a registry."""
    folder = tmp_path_factory.mktemp("image")
    source, target = folder / "src", folder / "opt"
    source.mkdir()
    steps = dockerfile()
    build = steps[: [name for name, _ in steps].index("FROM", 1)]
    for words in [shlex.split(arguments) for name, arguments in build if name == "COPY"]:
        for copied in words[:-1]:
            place = source / copied if (ROOT / copied).is_dir() else source
            copy = shutil.copytree if (ROOT / copied).is_dir() else shutil.copy
            copy(ROOT / copied, place)
    (install,) = [arguments for name, arguments in build if name == "RUN" and arguments.startswith("pip install")]
    assert "--constraint constraints.txt" in install and install.endswith(" .")
    run([sys.executable, "-m", "venv", "--without-pip", target], folder)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(target)}))
    (site / "registry.pth").write_text(sysconfig.get_path("purelib") + "\n")
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet"]
    run([target / "bin" / "python", "-m", "pip", *shlex.split(install)[1:-1], *offline, "."], source)
    shutil.rmtree(source)
    return target


def run(command: list[object], folder: Path, **environ: str) -> str:
    words = [str(word) for word in command]
    given = {"PATH": os.environ["PATH"], **environ}
    ran = subprocess.run(words, env=given, cwd=folder, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_all_that_the_program_reads_is_installed(image: Path) -> None:
    """Migrations, catalog, page and weights' descriptions are data of the packages."""
    installed = {path.relative_to(site(image)) for path in site(image).rglob("*") if path.is_file()}
    for floor in ("api", "cli", "infra", "pipeline", "workers"):
        ours = [path for path in (ROOT / floor).rglob("*") if path.suffix in SUFFIXES]
        missing = {path.relative_to(ROOT) for path in ours} - installed
        assert missing == set()


def test_it_says_what_it_is(image: Path, tmp_path: Path) -> None:
    assert run([image / "bin" / "stenopool", "--version"], tmp_path).startswith("stenopool ")


@pytest.fixture
def write_protected(tmp_path: Path) -> Callable[[list[object]], list[str]]:
    """How a command is run on a root that is read-only, but for a home and a folder for temporary files."""
    data, temporary = tmp_path / "data", tmp_path / "tmp"
    data.mkdir()
    temporary.mkdir()
    bare = [
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--bind",
        temporary,
        temporary,
        "--bind",
        data,
        data,
    ]
    return lambda command: [str(word) for word in ("bwrap", *bare, "--die-with-parent", "--", *command)]


@pytest.fixture
def served(image: Path, tmp_path: Path, write_protected: Callable[[list[object]], list[str]]) -> Iterator[int]:
    """The port of what the image starts with."""
    given = dict(dockerfile())
    words = [*json.loads(given["ENTRYPOINT"]), *json.loads(given["CMD"])]
    port = free_port()
    command = write_protected([image / "bin" / words[0], *words[1:], "--port", port])
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "data"), "STENOPOOL_HOME": str(tmp_path / "data")}
    environ |= {"STENOPOOL_MODELS": str(tmp_path / "none"), "TMPDIR": str(tmp_path / "tmp")}
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(command, env=environ, cwd=tmp_path / "data", stdout=log, stderr=log)
    try:
        wait_until(lambda: running.poll() is not None or answers(port))
        assert running.poll() is None, (tmp_path / "log").read_text(errors="replace")
        yield port
    finally:
        running.terminate()
        running.wait(60)


def answers(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=60, trust_env=False).is_success
    except httpx2.HTTPError:
        return False


@pytest.mark.skipif(
    sandbox_level() != "bubblewrap" and not os.environ.get("CI"), reason="bubblewrap makes the root read-only"
)
def test_it_runs_on_a_read_only_root_and_tells_that_it_is_well(image: Path, served: int, tmp_path: Path) -> None:
    words = dict(dockerfile())["HEALTHCHECK"].partition("CMD ")[2].replace("127.0.0.1:8000", f"127.0.0.1:{served}")
    program, *rest = json.loads(words)
    run([image / "bin" / program, *rest], tmp_path)


def site(image: Path) -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(image)}))
