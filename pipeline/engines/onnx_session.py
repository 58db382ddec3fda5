"""Graphs in ONNX's format, run in an engine's process; what loading or running one can raise."""

from __future__ import annotations

import logging
from pathlib import Path

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as failures

FAILURES = (
    failures.EPFail,
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoSuchFile,
    failures.NotImplemented,
    failures.RuntimeException,
)

_LOG = logging.getLogger(__name__)


def session(model: Path, threads: int) -> onnxruntime.InferenceSession:
    """On the processor. Raises one of FAILURES."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors: it warns of its own graph
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # waiting threads leave the processor to others
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def session_if_there(model: Path, threads: int) -> onnxruntime.InferenceSession | None:
    """The same of a graph that can be done without; what is wrong with it, the log says."""
    try:
        return session(model, threads) if model.exists() else None
    except FAILURES as error:
        _LOG.warning("%s cannot be loaded, and is done without", model.name, exc_info=error)
        return None
