"""One engine for all who call on this machine: shared, in turns, alone with itself, and back when it is killed."""

import os
import signal
import socket
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from pipeline.concurrency.shares import Owner, work_for
from pipeline.concurrency.stopping import stopped_by
from pipeline.engines.door import Door
from pipeline.engines.engine_protocol import EngineSpec
from pipeline.engines.process_pool import EnginePool
from pipeline.engines.shared_engine import SharedEngine
from pipeline.errors import EngineLost, JobCancelled, ProviderError
from tests.pipeline.engines.test_process_pool import CALCULATOR, until_gone
from tests.support.waiting import pause, wait_until

pytestmark = pytest.mark.processes

RECORDER = "tests.pipeline.engines.engine_targets:Recorder"
Open = Callable[..., SharedEngine]


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("e") / "run" / "engines.sock"


@pytest.fixture
def engine(place: Path) -> Iterator[Open]:
    """Makes callers: each is as one in a process of its own."""
    with ExitStack() as opened:

        def make(target: str = CALCULATOR, **spec: object) -> SharedEngine:
            made = SharedEngine(EngineSpec("shared", target, **spec), Door(place))
            opened.callback(made.close)
            return made

        yield make


def host_of(place: Path) -> int:
    """The process that listens there."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(place))
        length = int.from_bytes(connection.recv(12)[:4], "big")
        return int(connection.recv(length).split(b":")[1].strip(b" }"))


def test_callers_share_one_engine_that_stays_warm(engine: Open) -> None:
    first, second = engine(), engine()
    assert [caller.call("add", timeout=60) for caller in (first, second, first)] == [1, 2, 3]
    assert first.call("pid", timeout=60) == second.call("pid", timeout=60)


def test_other_settings_are_another_engine_in_another_process(engine: Open) -> None:
    one, ten = engine(arguments=(1,)), engine(arguments=(10,))
    assert (one.call("add", timeout=60), ten.call("add", timeout=60), one.call("add", timeout=60)) == (1, 10, 2)
    assert one.call("pid", timeout=60) != ten.call("pid", timeout=60)


def test_nobody_else_can_open_the_socket(engine: Open, place: Path) -> None:
    engine().call("add", timeout=60)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


def test_a_folder_in_which_others_may_write_is_refused(engine: Open, place: Path) -> None:
    place.parent.mkdir()
    place.parent.chmod(0o777)
    with pytest.raises(EngineLost, match="not a folder of this user alone"):
        engine().call("add", timeout=60)


def test_many_who_come_at_once_start_one(engine: Open) -> None:
    callers = [engine() for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        totals = list(threads.map(lambda caller: caller.call("add", timeout=60), callers))
    assert sorted(totals) == list(range(1, 9))


def test_it_ends_with_the_last_who_uses_it(engine: Open, place: Path) -> None:
    first, second = engine(), engine()
    child = first.call("pid", timeout=60)
    second.call("add", timeout=60)
    host = host_of(place)
    first.close()
    assert second.call("pid", timeout=60) == child
    second.close()
    until_gone(host)
    until_gone(child)
    assert not place.exists()
    assert engine().call("pid", timeout=60) != child


def test_it_outlives_whoever_started_it(engine: Open, place: Path) -> None:
    engine().call("add", timeout=60)
    process = psutil.Process(host_of(place))
    assert process.ppid() != os.getpid()
    assert os.getsid(process.pid) != os.getsid(0)


@pytest.mark.parametrize("killed", ["engine", "host"])
def test_what_is_killed_under_ten_callers_serves_all(engine: Open, place: Path, tmp_path: Path, killed: str) -> None:
    diary, hold = tmp_path / "diary", tmp_path / "hold"
    hold.touch()
    names = [str(number) for number in range(10)]
    with ThreadPoolExecutor(10) as threads:
        calls = [threads.submit(list, noted(engine(RECORDER, processes=1), [name], diary, hold)) for name in names]
        wait_until(diary.exists)
        os.kill(host_of(place) if killed == "host" else at_work(place), signal.SIGKILL)
        hold.unlink()
        assert all(len(call.result(60)) == 1 for call in calls)
    done = Counter(diary.read_text().split())
    assert set(done) == set(names)
    assert sum(done.values()) <= 11, "only the one at work is done again"


def at_work(place: Path) -> int:
    """The engine's process."""
    (child,) = psutil.Process(host_of(place)).children()
    return child.pid


def noted(caller: SharedEngine, pieces: list[str], diary: Path, hold: Path, together: int = 1) -> Iterator[int]:
    return caller.each("note", pieces, str(diary), str(hold), together=together, timeout=60, costs=[1.0] * len(pieces))


def test_an_archive_lets_a_clip_pass_after_one_piece(engine: Open, tmp_path: Path) -> None:
    diary, hold = tmp_path / "diary", tmp_path / "hold"
    hold.touch()
    archive, clip = engine(RECORDER, processes=1), engine(RECORDER, processes=1)

    def work(owner: str, caller: SharedEngine, pieces: list[str]) -> None:
        work_for(Owner(owner))
        assert len(list(noted(caller, pieces, diary, hold))) == len(pieces)

    with ThreadPoolExecutor(3) as threads:
        calls = [threads.submit(work, "archive", archive, [f"a{number}" for number in range(6)])]
        wait_until(diary.exists)
        calls.append(threads.submit(work, "archive", archive, [f"b{number}" for number in range(6)]))
        calls.append(threads.submit(work, "clip", clip, ["clip"]))
        wait_until(lambda: connections(place_of(clip)) >= 3)
        pause(1)  # until what they have asked is in the line: nothing tells of that
        hold.unlink()
        for call in calls:
            call.result(60)
    order = diary.read_text().split()
    assert order.index("clip") <= 2, "behind the piece at work, and at most one that was there before"
    assert len(order) == 13


def place_of(caller: SharedEngine) -> Path:
    return caller._door._path


def connections(place: Path) -> int:
    """How many callers the host has accepted."""
    host = psutil.Process(host_of(place))
    return host.num_threads() - 2  # its main one, and that of our question


def test_pieces_are_taken_together_while_nobody_waits(engine: Open, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    caller = engine(RECORDER, processes=1)
    assert len(list(noted(caller, list("abcdefghi"), diary, tmp_path / "none", together=4))) == 9
    assert diary.read_text().split() == list("abcdefghi")


def test_whoever_leaves_is_not_worked_for(engine: Open, tmp_path: Path) -> None:
    diary, hold, gone = tmp_path / "diary", tmp_path / "hold", threading.Event()
    hold.touch()
    busy, leaving, last = (engine(RECORDER, processes=1) for _ in range(3))

    def check() -> None:
        if gone.is_set():
            raise JobCancelled

    def leave() -> None:
        with stopped_by(check):
            list(noted(leaving, ["left1", "left2"], diary, hold))

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(list, noted(busy, ["busy"], diary, hold))
        wait_until(diary.exists)
        second = threads.submit(leave)
        gone.set()
        with pytest.raises(JobCancelled):
            second.result(60)
        hold.unlink()
        first.result(60)
    list(noted(last, ["last"], diary, hold))
    assert diary.read_text().split() == ["busy", "last"]


def test_after_the_piece_at_work_nothing_more_is_done_for_whoever_leaves(engine: Open, tmp_path: Path) -> None:
    diary, hold, gone = tmp_path / "diary", tmp_path / "hold", threading.Event()
    hold.touch()
    caller, last = engine(RECORDER, processes=1), engine(RECORDER, processes=1)

    def check() -> None:
        if gone.is_set():
            raise JobCancelled

    def leave() -> None:
        with stopped_by(check):
            list(noted(caller, [str(number) for number in range(9)], diary, hold))

    with ThreadPoolExecutor(1) as threads:
        leaving = threads.submit(leave)
        wait_until(diary.exists)
        gone.set()
        with pytest.raises(JobCancelled):
            leaving.result(60)
        hold.unlink()
    list(noted(last, ["last"], diary, hold))
    assert diary.read_text().split() == ["0", "last"]


def test_an_engine_has_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, EnginePool(EngineSpec("cut off", RECORDER)) as engine:
        port = server.getsockname()[1]
        for method, arguments in (("dial", ("127.0.0.1", port)), ("look_up", ("localhost",))):
            with pytest.raises(ProviderError) as failure:
                engine.call(method, *arguments, timeout=60)
            assert "an engine's process has no network" in str(failure.value.__cause__)
        assert engine.call("environment", "HF_HUB_OFFLINE", timeout=60) == "1"


def test_one_that_fetches_its_own_model_has() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with EnginePool(EngineSpec("fetching", RECORDER, network=True)) as engine:
            engine.call("dial", "127.0.0.1", server.getsockname()[1], timeout=60)
        server.accept()[0].close()


def test_closed_it_says_so_to_who_waits_and_who_comes(engine: Open, tmp_path: Path) -> None:
    diary, hold = tmp_path / "diary", tmp_path / "hold"
    hold.touch()
    caller, other = engine(RECORDER, processes=1), engine(RECORDER, processes=1)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(list, noted(caller, ["held"], diary, hold))
        wait_until(diary.exists)
        caller.close()
        assert isinstance(waiting.exception(60), EngineLost)
        with pytest.raises(EngineLost):
            caller.call("environment", "HOME", timeout=60)
        hold.unlink()
        assert other.call("environment", "NOTHING_OF_THE_KIND", timeout=60) is None
