"""Graphs in ONNX's format, run in an engine's process; what loading or running one can raise."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
from onnxruntime import InferenceSession as Session
from onnxruntime.capi import onnxruntime_pybind11_state as failures

__all__ = ["FAILURES", "Session", "session"]

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


def session(model: Path, threads: int) -> Session:
    """On the processor. Raises one of FAILURES."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors: it warns of its own graph
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # waiting threads leave the processor to others
    return Session(str(model), options, providers=["CPUExecutionProvider"])
