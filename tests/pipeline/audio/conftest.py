import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.audio.ffmpeg.sandbox import Level, sandbox_level
from tests.pipeline.audio import sounds

LEVELS: tuple[Level, ...] = ("limits", "bubblewrap") if sandbox_level() == "bubblewrap" else ("limits",)


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> Level:
    """Each sandbox level that this machine can have."""
    found: Level = request.param
    return found


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that `sounds.make` makes."""
    folder = tmp_path_factory.mktemp("recordings")
    sounds.make(folder)
    return folder


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """No descriptor and no child process stays behind."""
    before = _descriptors(), _children()
    yield
    assert (_descriptors(), _children()) == before


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _children() -> set[str]:
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found.update((task / "children").read_text().split())
    return found
