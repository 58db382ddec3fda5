"""What an operator's tools ask a process, apart from its public door."""

import copy
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.metrics import Metrics
from infra.monitoring.listener import Address, MonitoringListener, address_of
from infra.settings import Settings
from infra.telemetry.pool_reports import PoolReports
from infra.wiring import Services, build
from pipeline.errors import InvalidRequest, StorageUnavailable, WrongState
from tests.support.waiting import wait_until

ANYWHERE = Address("127.0.0.1", 0)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with build(Settings(home=tmp_path)) as opened:
        yield opened


@pytest.fixture
def listener(services: Services) -> Iterator[MonitoringListener]:
    opened = MonitoringListener(ANYWHERE, "scheduler", lambda: services)
    opened.start()
    yield opened
    opened.close()


def read(listener: MonitoringListener, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{listener.port}{path}", timeout=60) as answer:
        return str(answer.read(), "utf-8")


def test_metrics_are_the_processs_and_the_installations(services: Services, listener: MonitoringListener) -> None:
    services.metrics.rescued.inc()
    text = read(listener, "/metrics")
    assert "jobs_rescued_total 1.0" in text and "python_gc_objects_collected_total" in text
    assert 'queue_audio_seconds{lane="archive"} 0.0' in text and "job_queue_age_seconds 0.0" in text
    assert "http_server_request" not in text, "what a scheduler never counts it does not say is 0"


def test_the_status_tells_of_each_part(
    services: Services, listener: MonitoringListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise StorageUnavailable

    monkeypatch.setattr(services.storage, "check", away)
    told: dict[str, Any] = json.loads(read(listener, "/status"))
    assert (told["role"], set(told["parts"])) == ("scheduler", {"database", "storage", "broker", "work"})
    assert told["parts"]["database"]["ok"] and told["parts"]["database"]["kind"] == "sqlite"
    assert told["embedded_models"]["transcription"] == ["pocketsphinx-en-us"]
    assert told["parts"]["work"] == {"ok": True, "waits_for": {}, "no_worker": []}
    assert (told["parts"]["storage"]["ok"], told["parts"]["storage"]["code"]) == (False, "storage_unavailable")


def test_a_process_without_services_tells_of_itself() -> None:
    listener = MonitoringListener(ANYWHERE, "cpu", lambda: None)
    listener.start()
    assert "python_info" in read(listener, "/metrics")
    assert json.loads(read(listener, "/status"))["parts"] == {}
    listener.close()


def test_pool_children_report_to_the_process_that_listens() -> None:
    """Of each child what has grown since it last reported; one that has gone stays counted."""
    reports, child, other = PoolReports(), Metrics(), Metrics()
    reports.start()
    listener = MonitoringListener(ANYWHERE, "cpu", lambda: None, reports)
    listener.start()
    child.attempts.labels("provider_busy").inc(2)
    child.job_duration.labels("completed").observe(3)
    reports.report(child.registry)
    reports.report(child.registry)
    child.attempts.labels("provider_busy").inc()
    reports.report(child.registry)
    successor = copy.copy(reports)
    successor._sent = {}
    other.attempts.labels("provider_busy").inc(4)
    successor.report(other.registry)
    wait_until(lambda: 'job_attempts_total{reason="provider_busy"} 7.0' in read(listener, "/metrics"))
    text = read(listener, "/metrics")
    assert 'job_duration_seconds_bucket{le="5.0",status="completed"} 1.0' in text
    assert 'job_duration_seconds_count{status="completed"} 1.0' in text
    assert "sweeper_last_run" not in text
    listener.close()
    reports.close()


def test_other_paths_are_not_there(listener: MonitoringListener) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        read(listener, "/other")
    assert refused.value.code == 404
    assert b"/metrics and /status" in refused.value.read()
    refused.value.close()


def test_a_port_that_is_taken_is_told(listener: MonitoringListener) -> None:
    with pytest.raises(WrongState, match="choose another with --metrics"):
        MonitoringListener(Address("127.0.0.1", listener.port), "api", lambda: None)


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9100", ("127.0.0.1", 9100)), ("[::1]:1", ("::1", 1)), ("host:65535", ("host", 65535))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["9100", ":9100", "host", "host:0", "host:65536", "host:x", "host:²", ""])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"--metrics .*127\.0\.0\.1:9100"):
        address_of(text)
