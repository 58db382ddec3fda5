"""What a process counts of its own work: each call and each program once, with how it ended."""

from collections.abc import Iterator

import pytest

from infra.metrics import Metrics, counted_by
from pipeline.audio.decode import decode
from pipeline.errors import ProviderBusy, StenopoolError
from pipeline.measurement import process_counters
from pipeline.measurement.process_counters import BOUNDS, Counts, Durations, provider_call
from tests.pipeline.audio.sounds import tones, wav


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Counted from nought, where ffmpeg is started."""
    fresh = Counts()
    for module in ("pipeline.audio.ffmpeg.process", "pipeline.audio.ffmpeg.sandbox"):
        monkeypatch.setattr(f"{module}.FFMPEG_RUNS", fresh)
    return fresh


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Durations]:
    fresh = Durations()
    monkeypatch.setattr(process_counters, "PROVIDER_CALLS", fresh)
    monkeypatch.setattr("infra.metrics.PROVIDER_CALLS", fresh)
    yield fresh


@pytest.mark.processes
def test_an_ffmpeg_that_ended_is_counted_once_by_how_it_did(runs: Counts) -> None:
    sound = wav(tones(44_100).tobytes(), sample_rate=44_100)
    with decode(sound) as decoding:
        assert sum(map(len, decoding)) > 0
    assert runs.read() == {("ok",): 1}
    with decode(wav(tones(44_100).tobytes() * 200, sample_rate=44_100)) as decoding:
        next(iter(decoding))
    assert runs.read() == {("ok",): 1, ("stopped",): 1}
    with pytest.raises(StenopoolError), decode(b"fLaC" + b"\0" * 4000) as decoding:
        list(decoding)
    assert sum(runs.read().values()) >= 3
    assert runs.read()["ok",] == 1


def test_a_call_to_a_provider_is_counted_by_what_came_of_it(calls: Durations) -> None:
    with provider_call("mine"):
        pass
    with pytest.raises(ProviderBusy), provider_call("mine"):
        raise ProviderBusy
    with pytest.raises(KeyboardInterrupt), provider_call("mine"):
        raise KeyboardInterrupt
    found = {labels: sum(spread.buckets) for labels, spread in calls.read().items()}
    assert found == {("mine", "ok"): 1, ("mine", ProviderBusy.code): 1, ("mine", "stopped"): 1}


def test_durations_are_told_in_prometheus_buckets(calls: Durations) -> None:
    for seconds in (0.01, 0.02, BOUNDS[-1] + 1):
        calls.note(seconds, "mine", "ok")
    text = counted_by("io", Metrics().registry).decode()
    series = 'provider_request_duration_seconds_{}{{{}outcome="ok",provider="mine"}} {}'
    for bound, count in (("0.01", 1.0), ("0.05", 2.0), ("1800.0", 2.0), ("+Inf", 3.0)):
        assert series.format("bucket", f'le="{bound}",', count) in text
    assert series.format("count", "", 3.0) in text
