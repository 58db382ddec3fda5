"""One trace from upload to webhook, as real processes send it to a real receiver of OpenTelemetry's protocol."""

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from infra.keys.accounts import Accounts
from tests.e2e.stack import Stack
from tests.support.receiver import Receiver, receiving
from tests.support.recordings import short
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

THEIRS = "4bf92f3577b34da6a3ce929d0e0e4736"  # the example of W3C Trace Context
ROLES = ("api", "cpu", "io", "scheduler")


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def stack(collector: Receiver, tmp_path: Path) -> Iterator[Stack]:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    made = Stack(tmp_path, environ=environ)
    try:
        made.start(*ROLES)
        yield made
    finally:
        made.stop()


def spans(collector: Receiver) -> dict[str, dict[str, set[str]]]:
    """By trace and service, the names of what came."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for headers, body in list(collector.got):
        assert headers["content-type"] == "application/x-protobuf"
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            (service,) = [one.value.string_value for one in sent.resource.attributes if one.key == "service.name"]
            for one in (span for scope in sent.scope_spans for span in scope.spans):
                found[one.trace_id.hex()][service].add(one.name)
    return found


def logged(stack: Stack, role: str) -> bool:
    """Whether a line of the role carries the trace's id."""
    for line in (stack.home / f"{role}.log").read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):  # the one that is being written
            if json.loads(line).get("trace_id") == THEIRS:
                return True
    return False


def test_one_trace_from_upload_to_webhook(stack: Stack, collector: Receiver) -> None:
    key, _ = Accounts(stack.services.database, stack.services.settings.peppers).create_key(stack.account, "tracing")
    with receiving() as hook:
        answer = httpx2.post(
            f"http://127.0.0.1:{stack.port('api')}/v1/audio/jobs",
            files={"file": ("talk.wav", short(1).wav)},
            data={"model": "far", "webhook": json.dumps({"url": hook.url})},
            headers={"authorization": f"Bearer {key}", "traceparent": f"00-{THEIRS}-00f067aa0ba902b7-01"},
            timeout=60,
            trust_env=False,
        )
        assert answer.status_code == 202, answer.text
        wait_until(lambda: hook.got)
        wait_until(lambda: "webhook" in spans(collector)[THEIRS]["stenopool-io"])
    ours = wait_until(lambda: (found := spans(collector)[THEIRS]) and len(found) == 3 and found)
    assert set(ours) == {"stenopool-api", "stenopool-cpu", "stenopool-io"}
    assert "POST /v1/audio/jobs" in ours["stenopool-api"]
    assert any(name.startswith("job ") for name in ours["stenopool-cpu"])
    assert {"provider far", "webhook"} <= ours["stenopool-io"]
    for role in ("api", "cpu", "io"):
        assert wait_until(lambda role=role: logged(stack, role)), role
