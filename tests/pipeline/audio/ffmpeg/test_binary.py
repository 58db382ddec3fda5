"""Which ffmpeg is used, when there are several, odd ones or none."""

import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import pytest

from infra.diagnosis.startup import EXIT_CODE
from pipeline.audio.ffmpeg.binary import LEAST_VERSION, Ffmpeg, ffmpeg_path, ffmpeg_version, find_ffmpeg
from pipeline.errors import FfmpegUnusable
from tests.support.repository import ROOT

pytestmark = pytest.mark.processes

BANNER = "ffmpeg version {} Copyright (c) 2000-2099 the FFmpeg developers\nlibavutil      60. 1.100\nlibavformat    {} / {}\n"


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only folder on PATH besides the system's own."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def program(folder: Path, version: str, libavformat: str, *, status: int = 0) -> Path:
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{BANNER.format(version, libavformat, libavformat)}END\nexit {status}\n")
    path.chmod(0o755)
    return path


def find() -> Ffmpeg:
    return find_ffmpeg.__wrapped__()


def test_the_one_in_use() -> None:
    assert Path(ffmpeg_path()).is_file()
    assert ffmpeg_version()
    assert find_ffmpeg().libavformat >= (59, 27, 100)


def test_the_newer_wins(search: Path) -> None:
    brought = Path(imageio_ffmpeg.get_ffmpeg_exe())
    program(search, "4.4.2-0ubuntu0.22.04.1", "58. 76.100")
    assert Path(find().path) == brought
    newer = program(search, "99.0", "199.  1.100")
    assert find() == Ffmpeg(str(newer), "99.0", (199, 1, 100))


def test_a_nightly_build_is_dated_by_its_library(search: Path) -> None:
    nightly = program(search, "N-118000-gabcdef0123-20990101", "198. 12.103")
    found = find()
    assert (found.path, found.version) == (str(nightly), "N-118000-gabcdef0123-20990101")
    assert found.reads_descriptors


@pytest.mark.parametrize(("libavformat", "reads"), [((59, 27, 100), False), ((60, 3, 100), True), ((63, 1, 102), True)])
def test_the_fd_protocol_came_with_6_0(libavformat: tuple[int, int, int], reads: bool) -> None:
    assert Ffmpeg("ffmpeg", "", libavformat).reads_descriptors is reads


@pytest.mark.parametrize(
    ("version", "libavformat"), [("4.4.2-0ubuntu0.22.04.1", "58. 76.100"), ("5.0.3", "59. 16.100")]
)
def test_one_that_is_too_old_is_named_with_the_least_that_does(
    search: Path, monkeypatch: pytest.MonkeyPatch, version: str, libavformat: str
) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(search / "nothing"))
    path = program(search, version, libavformat)
    with pytest.raises(FfmpegUnusable) as refused:
        find()
    assert f"ffmpeg {version} at {path} is too old: install {LEAST_VERSION} or newer" in refused.value.message
    program(search, "5.1.9-0+deb12u1", "59. 27.100")
    assert find().version == "5.1.9-0+deb12u1"


@pytest.mark.parametrize(
    "role", [("api",), ("workers", "cpu"), ("workers", "io"), ("workers", "scheduler"), ("cli", "up")]
)
def test_a_role_does_not_start_with_one_that_is_too_old(search: Path, role: tuple[str, ...]) -> None:
    path = program(search, "4.4.2", "58. 76.100")
    environ = {
        "PATH": f"{search}:/usr/bin:/bin",
        "IMAGEIO_FFMPEG_EXE": str(search / "nothing"),
        "STENOPOOL_HOME": str(search / "home"),
    }
    ran = subprocess.run([sys.executable, "-m", *role], env=environ, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == EXIT_CODE, ran.stderr
    assert f"ffmpeg 4.4.2 at {path} is too old: install {LEAST_VERSION} or newer" in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr


def test_what_does_not_run_is_passed_over(search: Path) -> None:
    brought = imageio_ffmpeg.get_ffmpeg_exe()
    program(search, "99.0", "199.  1.100", status=1)
    assert find().path == brought
    (search / "ffmpeg").write_text("#!/bin/sh\necho something else\n")
    assert find().path == brought


def test_none_at_all_says_what_to_do(search: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(search))
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(search / "nothing"))
    with pytest.raises(FfmpegUnusable, match="imageio-ffmpeg"):
        find()
