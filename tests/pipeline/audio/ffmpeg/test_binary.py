"""Which ffmpeg is used, when there are several, odd ones or none."""

from pathlib import Path

import imageio_ffmpeg
import pytest

from pipeline.audio.ffmpeg.binary import Ffmpeg, ffmpeg_path, ffmpeg_version, find_ffmpeg
from pipeline.errors import SandboxFailed

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
    assert find_ffmpeg().libavformat >= (59, 0, 0)


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


def test_what_does_not_run_is_passed_over(search: Path) -> None:
    brought = imageio_ffmpeg.get_ffmpeg_exe()
    program(search, "99.0", "199.  1.100", status=1)
    assert find().path == brought
    (search / "ffmpeg").write_text("#!/bin/sh\necho something else\n")
    assert find().path == brought


def test_none_at_all_says_what_to_do(search: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(search))
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(search / "nothing"))
    with pytest.raises(SandboxFailed, match="imageio-ffmpeg"):
        find()
