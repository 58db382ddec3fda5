"""One trace from the request that made a job to the webhook about its end, across processes that know nothing but the rows."""

import logging
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from infra.logs import HANDLER, set_up_logs
from infra.tracing.spans import TRACING, set_up_tracing, span, traceparent
from tests.support.receiver import receiving
from tests.support.recordings import short
from tests.workers.conftest import WorkerHarness
from workers import sweep
from workers.steps.deliver import deliver

pytestmark = pytest.mark.processes

THEIRS = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"  # the example of W3C Trace Context


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    TRACING.begin(provider.get_tracer("test"))
    yield exporter
    TRACING.begin(None)
    provider.shutdown()


def trace_of(one: ReadableSpan) -> str:
    assert one.context is not None
    return format(one.context.trace_id, "032x")


def test_one_trace_from_upload_to_webhook(
    harness: WorkerHarness, exported: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    with receiving() as receiver:
        with span("request", parent=THEIRS, serves=True):
            job_id = harness.submit(short(1), webhook_url=f"{receiver.url}/hook")
        assert harness.job(job_id).trace is not None
        harness.work()
        sweep.deliver_due(harness.services)
        for _, message_id in harness.messages.sent[-1:]:
            deliver(harness.worker("io"), str(message_id))
        assert len(receiver.got) == 1
    spans = exported.get_finished_spans()
    assert {trace_of(one) for one in spans} == {THEIRS.split("-")[1]}
    assert {"request", "provider oracle", "webhook"} < {one.name for one in spans}
    assert any(one.name.startswith("job ") for one in spans)


def test_a_log_line_carries_the_traces_id(exported: InMemorySpanExporter, capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    set_up_logs()
    try:
        with span("request", parent=THEIRS):
            logging.getLogger("anybody").info("here")
    finally:
        root.handlers = [one for one in root.handlers if one.get_name() != HANDLER] or before
        root.setLevel(level)
    assert '"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"' in capfd.readouterr().err


def test_without_the_usual_variables_nothing_is_traced(harness: WorkerHarness) -> None:
    for environ in ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}):
        set_up_tracing("cpu", environ)
        assert TRACING.tracer is None
    with span("request", parent=THEIRS):
        assert traceparent() is None
        job_id = harness.submit(short(1))
    harness.work()
    assert harness.job(job_id).trace is None
    assert harness.job(job_id).status == "completed"
