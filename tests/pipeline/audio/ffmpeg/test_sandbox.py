"""What the cell lets through, seen from inside by other programs than ffmpeg."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipeline.audio.decode import Decoding
from pipeline.audio.ffmpeg.binary import Ffmpeg, find_ffmpeg
from pipeline.audio.ffmpeg.process import Child
from pipeline.audio.ffmpeg.sandbox import Level, confined, launch, sandbox_level
from pipeline.errors import SandboxFailed
from tests.pipeline.audio.sounds import tones, wav
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

UNFINISHED = 0xFFFFFFFF  # no WAV of this length is read without ffmpeg


def inside(program: str, *arguments: str, level: Level, fds: bool = True) -> str:
    """What a program of the system says when it runs in the cell in ffmpeg's place."""
    tool = Ffmpeg(program, "0", (60, 0, 0) if fds else (59, 0, 0))
    with Child(tool, arguments, level=level, cpu_seconds=77, stdin=0) as child:
        return b"".join(iter(child.read, b"")).decode() + "\n".join(child.log.last)


def test_the_level_is_told_and_stays() -> None:
    assert sandbox_level() in ("bubblewrap", "limits")
    assert sandbox_level() is sandbox_level()


def test_the_environment_is_scrubbed(monkeypatch: pytest.MonkeyPatch, level: Level) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    names = {line.split("=")[0] for line in inside("/usr/bin/env", level=level).splitlines()}
    assert names <= {"PATH", "LC_ALL", "MALLOC_ARENA_MAX", "PWD"}


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_CPU"), reason="other systems do not tell another process' limits")
def test_limits_hold_before_the_program_starts(level: Level) -> None:
    with Decoding(
        wav(tones(16_000, seconds=60).tobytes() * 30, data_size=UNFINISHED), level=level, max_seconds=1000
    ) as sound:
        assert sound._link
        program = psutil.Process(sound._link._child.pid)
        program = next(reversed(program.children(recursive=True)), program)
        wanted = {"CPU": 500, "FSIZE": 0, "CORE": 0, "NOFILE": 64, "AS": 1536 * 2**20}
        limits = {name: program.rlimit(getattr(psutil, f"RLIMIT_{name}")) for name in wanted}
    assert limits == {name: (most, most) for name, most in wanted.items()}


def test_time_is_limited(level: Level) -> None:
    tool = Ffmpeg("/bin/sh", "0", (60, 0, 0))
    process = launch(tool, ["-c", "while :; do :; done"], level=level, cpu_seconds=1, stdin=0)
    process.communicate(timeout=300)
    assert process.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)


@pytest.mark.skipif("sandbox_level() != 'bubblewrap'", reason="bubblewrap does not run here")
class TestBubblewrap:
    def test_of_the_file_system_only_libraries(self) -> None:
        found = set(inside("/bin/ls", "/", level="bubblewrap").split())
        assert "ffmpeg" in found
        assert found <= {"ffmpeg", "etc", "lib", "lib32", "lib64", "usr"}
        assert "No such file" in inside("/bin/cat", "/etc/passwd", level="bubblewrap")
        assert "No such file" in inside("/bin/ls", str(Path(__file__).parent), level="bubblewrap")

    def test_nothing_can_be_written(self) -> None:
        assert "Read-only" in inside("/usr/bin/touch", "/x", level="bubblewrap")
        assert "Read-only" in inside("/usr/bin/touch", "/usr/lib/x", level="bubblewrap")

    def test_no_network_and_no_processes_but_its_own(self) -> None:
        devices = inside("/bin/cat", "/proc/net/dev", level="bubblewrap", fds=False)
        assert [line.split(":")[0].strip() for line in devices.splitlines()[2:]] in (["lo"], [])
        processes = [
            name for name in inside("/bin/ls", "/proc", level="bubblewrap", fds=False).split() if name.isdigit()
        ]
        assert processes == ["1"]

    def test_no_rights(self) -> None:
        status = inside("/bin/cat", "/proc/self/status", level="bubblewrap", fds=False)
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status


def test_without_bubblewrap_it_is_an_error_to_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxFailed, match="not installed"):
        confined(find_ffmpeg(), [], level="bubblewrap", cpu_seconds=1)
    assert sandbox_level.__wrapped__() == "limits"


def test_a_bubblewrap_that_does_not_work_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a container where user namespaces are off."""
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert sandbox_level.__wrapped__() == "limits"
    with pytest.raises(SandboxFailed, match="did not start"):
        Decoding(wav(bytes(32_000), data_size=UNFINISHED), level="bubblewrap").__enter__()


def test_a_program_that_is_gone(level: Level) -> None:
    with pytest.raises(SandboxFailed):
        Decoding(
            wav(bytes(32_000), data_size=UNFINISHED), level=level, tool=Ffmpeg("/nowhere/ffmpeg", "9", (62, 0, 0))
        ).__enter__()


def test_it_ends_when_our_process_is_killed(tmp_path: Path, level: Level) -> None:
    """Nobody is left to kill it: its pipe is closed, and that is enough."""
    (tmp_path / "long.wav").write_bytes(wav(tones(16_000, seconds=60).tobytes() * 60, data_size=UNFINISHED))
    code = (
        "import sys, time; from pathlib import Path; from pipeline.audio.decode import Decoding\n"
        f"with Decoding(Path({str(tmp_path / 'long.wav')!r}), level={level!r}) as sound:\n"
        "    print(sound._link._child.pid, flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        group = int(owner.stdout.readline())
        owner.kill()
    wait_until(lambda: is_gone(group))


def is_gone(group: int) -> bool:
    """Whether a process group has ended; a zombie that init has yet to reap counts as ended."""
    states = subprocess.run(["ps", "-o", "stat=", "-g", str(group)], capture_output=True, text=True).stdout.split()
    return all(state.startswith("Z") for state in states)
