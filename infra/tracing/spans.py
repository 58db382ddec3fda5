"""One trace from the request that made a job to the webhook that tells its end, by OpenTelemetry's usual variables.

A job's row says to which trace it belongs, and whoever works on it goes on with that: not the messages, which only wake somebody,
who then does what is next. Without one of the variables below nothing is traced, and only the bare interface is imported.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from infra.logs import log_context
from pipeline.measurement.process_counters import WATCH

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
TRACEPARENT = "traceparent"  # W3C Trace Context
_PROPAGATOR = TraceContextTextMapPropagator()


class Tracing:
    """Of one process; `tracer` is None where nothing is traced."""

    def __init__(self) -> None:
        self.tracer: Tracer | None = None

    def begin(self, tracer: Tracer | None) -> None:
        """Trace by this one from now on, or no more."""
        self.tracer = tracer
        WATCH.around = nullcontext if tracer is None else _provider_span


TRACING = Tracing()


def set_up_tracing(role: str, environ: Mapping[str, str]) -> None:
    """As the variables say. After a fork, never before: what sends the spans is a thread."""
    wanted = any(environ.get(name) for name in ENDPOINTS) and environ.get("OTEL_TRACES_EXPORTER", "otlp") != "none"
    if not wanted or environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or TRACING.tracer is not None:
        return
    try:
        TRACING.begin(_exporting(environ.get("OTEL_SERVICE_NAME") or f"stenopool-{role}"))
    except ImportError as error:
        log.warning("nothing is traced, for want of packages (%s): pip install 'stenopool[otel]'", error)


def _exporting(service: str) -> Tracer:
    sdk: Any = importlib.import_module("opentelemetry.sdk.trace")
    resources: Any = importlib.import_module("opentelemetry.sdk.resources")
    export: Any = importlib.import_module("opentelemetry.sdk.trace.export")
    otlp: Any = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    provider = sdk.TracerProvider(resource=resources.Resource.create({"service.name": service}))
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter()))
    tracer: Tracer = provider.get_tracer("stenopool")
    return tracer


@contextmanager
def span(name: str, *, parent: str | None = None, serves: bool = False, **facts: str | int | None) -> Iterator[None]:
    """Around a step. `parent` is a `traceparent`, in place of the span that is open; `serves`: a request of somebody else.

    Lines that are logged inside carry the trace's id.
    """
    if TRACING.tracer is None:
        yield
        return
    context = _PROPAGATOR.extract({TRACEPARENT: parent}) if parent else None
    known = {name: value for name, value in facts.items() if value is not None}
    kind = SpanKind.SERVER if serves else SpanKind.INTERNAL
    with TRACING.tracer.start_as_current_span(name, context, kind, known) as current, _logged(current):
        yield


def _logged(current: Span) -> AbstractContextManager[None]:
    return log_context(trace_id=format(current.get_span_context().trace_id, "032x"))


def rename_span(name: str, **facts: str | int) -> None:
    """The open span is called so, now that it is known."""
    if TRACING.tracer is not None:
        current = trace.get_current_span()
        current.update_name(name)
        current.set_attributes(facts)


def traceparent() -> str | None:
    """The open span, for a row; None where nothing is traced."""
    carrier: dict[str, str] = {}
    if TRACING.tracer is not None:
        _PROPAGATOR.inject(carrier)
    return carrier.get(TRACEPARENT)


@contextmanager
def _provider_span(provider: str) -> Iterator[None]:
    assert TRACING.tracer is not None
    with TRACING.tracer.start_as_current_span(f"provider {provider}", kind=SpanKind.CLIENT):
        yield
