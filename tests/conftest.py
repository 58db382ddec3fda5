"""The floor under every test: a scrubbed environment, no network beyond loopback, and in CI no skips."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from api.routes.account import webhooks
from infra import broker, embedded_redis
from infra.limits import rate_limits
from infra.storage import s3

pytest_plugins = (
    "tests.support.s3_fixtures",
    "tests.support.database_fixtures",
    "tests.support.side_by_side",
    "tests.support.processes",
)
# How long an example takes says how busy the machine is, and nothing of the example.
settings.register_profile("stenopool", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("stenopool")
SCRUBBED = ("STENOPOOL_", "AWS_", "OPENAI_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")
KEPT = {name: value for name, value in os.environ.items() if name.startswith("STENOPOOL_TEST_")}


@pytest.fixture(autouse=True)
def _scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No operator's setting reaches a test, except STENOPOOL_TEST_*, which point at servers for tests."""
    for name in list(os.environ):
        if name.startswith(SCRUBBED) and name not in KEPT:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="session")
def _patience() -> Iterator[None]:
    """What is asked for within a second in service may take a minute here: a machine that stands still is no broken part."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broker, "PATIENCE", 60.0)
        patch.setattr(embedded_redis, "START_SECONDS", 60.0)
        patch.setattr(rate_limits, "WAIT", 60.0)
        patch.setattr(s3, "PROBE_PATIENCE", 60.0)
        patch.setattr(webhooks, "PATIENCE", 600.0)
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever models are installed on this machine, for the tests there are none but those they make themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("STENOPOOL_MODELS", raising=False)
        yield


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    """Any connection of this process to an address that is not loopback is an error."""
    original = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            loopback = host in ("localhost", "") or ipaddress.ip_address(host.split("%")[0]).is_loopback
            assert loopback, f"a test connects to {host}"
        original(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """In CI a skip is a failure: what cannot run there is not proved."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {item.nodeid}: {report.longrepr}"
    return report
