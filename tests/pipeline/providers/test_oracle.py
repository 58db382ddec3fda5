"""The oracle's scripted faults, also across processes that die of them; its log counts every call."""

import hashlib
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline import providers
from pipeline.errors import (
    EngineLost,
    ProviderBusy,
    ProviderError,
    ProviderNonsense,
    ProviderRefused,
    ProviderUnavailable,
)
from pipeline.options import SpeechOptions, TranscriptionOptions
from pipeline.oracle.speech import say
from pipeline.provider_protocol import Transcriber

PCM, OTHER = say(["river", "garden"]), say(["castle"])


def oracle(folder: Path) -> Transcriber:
    """A new one each time, as in a new process."""
    opened = providers.load("oracle", {"scripted": True, "log": str(folder / "calls")}).transcriber
    assert opened
    return opened


def ordering(orders: str) -> TranscriptionOptions:
    return TranscriptionOptions(model="oracle", prompt=f"Names: Ann, Bob. oracle: {orders}")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("refused", ProviderRefused),
        ("unavailable", ProviderUnavailable),
        ("busy", ProviderBusy),
        ("nonsense", ProviderNonsense),
        ("lost", EngineLost),
    ],
)
def test_it_fails_as_ordered_as_often_as_ordered(name: str, error: type[ProviderError], tmp_path: Path) -> None:
    options = ordering(f"fail=2 error={name}")
    for _ in range(2):
        with pytest.raises(error):
            oracle(tmp_path).hear(PCM, options, "oracle")
    assert oracle(tmp_path).hear(PCM, options, "oracle").segments


def test_each_chunk_counts_by_itself_and_at_points_to_one(tmp_path: Path) -> None:
    options = ordering("fail=1 at=castle")
    assert oracle(tmp_path).hear(PCM, options, "oracle").segments
    with pytest.raises(ProviderUnavailable):
        oracle(tmp_path).hear(OTHER, options, "oracle")
    assert oracle(tmp_path).hear(OTHER, options, "oracle").segments


def test_it_waits_for_a_file_and_only_where_it_is_told_to(tmp_path: Path) -> None:
    waiting, heard = ordering("until=open at=castle"), oracle(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(heard.hear, OTHER, waiting, "oracle")
        assert heard.hear(PCM, waiting, "oracle").segments[0].text == "river garden"
        assert not other.done()
        (tmp_path / "open").touch()
        assert other.result(60).segments[0].text == "castle"


def test_the_log_has_one_line_per_call_however_many_at_once(tmp_path: Path) -> None:
    ear = oracle(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda pcm: ear.hear(pcm, ordering(""), "oracle"), [PCM, OTHER] * 20))
    lines = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    assert sorted(digest for _, digest in lines) == sorted([hashlib.sha1(pcm).hexdigest() for pcm in (PCM, OTHER)] * 20)
    assert all(float(moment) > 0 for moment, _ in lines)


def test_without_a_log_it_counts_in_memory() -> None:
    ear = providers.load("oracle", {"scripted": True}).transcriber
    assert ear
    with pytest.raises(ProviderUnavailable):
        ear.hear(PCM, ordering("fail=1"), "oracle")
    assert ear.hear(PCM, ordering("fail=1"), "oracle").segments


DYING = """
import sys
from pipeline import providers
from pipeline.options import TranscriptionOptions
from pipeline.oracle.speech import say
ear = providers.load("oracle", {"scripted": True, "log": sys.argv[1]}).transcriber
options = TranscriptionOptions(model="oracle", prompt="oracle: die=1")
print(len(ear.hear(say(["river"]), options, "oracle").segments))
"""


@pytest.mark.processes
def test_it_kills_the_process_that_hears_and_lives_the_next_time(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DYING, str(tmp_path / "calls")]
    assert subprocess.run(command, capture_output=True, timeout=300).returncode == -signal.SIGKILL
    again = subprocess.run(command, capture_output=True, timeout=300)
    assert (again.returncode, again.stdout) == (0, b"1\n")


def test_its_settings_shape_its_chunks_and_its_place() -> None:
    ear = providers.load("oracle", {"max_s": 5, "min_s": 1.5, "remote": True}).transcriber
    assert ear
    assert (ear.profile.max_s, ear.profile.min_s, ear.local) == (5.0, 1.5, False)


def test_speech_takes_orders_from_its_instructions() -> None:
    voice = providers.load("oracle", {"scripted": True}).speaker
    assert voice
    options = SpeechOptions(model="oracle", input="river", instructions="oracle: fail=1 error=busy")
    with pytest.raises(ProviderBusy):
        voice.speak(options, "oracle")
    assert b"".join(voice.speak(options, "oracle"))
