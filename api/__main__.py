"""`python -m api --host --port`: the HTTP door as a process."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from functools import partial

from fastapi import FastAPI

from api.connection.descriptor_bound import raise_limit
from api.connection.server import GRACE_SECONDS, server
from api.dependencies import AppContext
from api.http.peers import Peers
from api.main import create_app
from infra.diagnosis.startup import EXIT_CODE, PartsWait
from infra.logs import log_everything, set_up_logs
from infra.memory_tuning import tune_memory
from infra.monitoring.listener import MonitoringListener, address_of
from infra.settings import Settings
from infra.tracing.spans import set_up_tracing
from infra.wiring import Services
from pipeline.audio.ffmpeg.binary import find_ffmpeg
from pipeline.errors import StenopoolError

log = logging.getLogger("stenopool.api")

NOT_STARTED = 4
INTERRUPTED = 130  # 128 + SIGINT, as shells count


def main() -> int:
    """Serve until SIGINT or SIGTERM. Returns 3 for what waiting does not mend (settings, a wrong password, a newer schema, an
    ffmpeg that is too old), 4 when the server could not start, mostly because its port is taken."""
    parser = argparse.ArgumentParser(prog="python -m api", description="Stenopool's HTTP API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--grace", type=int, default=GRACE_SECONDS, help="seconds for running requests at the end")
    parser.add_argument("--metrics", help="HOST:PORT of a listener for metrics and details; off by default")
    arguments = parser.parse_args()
    set_up_logs()
    try:
        settings = Settings.from_env(os.environ)
        set_up_logs(settings.log_level)
        find_ffmpeg()
        app = create_app(settings=settings)
        _monitor(app, arguments.metrics)
        PartsWait(settings).for_a_role()
        set_up_tracing("api", os.environ)
    except StenopoolError as error:
        log.critical("%s [%s]", error.message, error.code)
        return EXIT_CODE
    except KeyboardInterrupt:
        return INTERRUPTED
    logging.getLogger("uvicorn.error").addFilter(_without_colours)
    tune_memory()
    raise_limit()
    peers = Peers(settings.trusted_proxies)
    serving = server(app, host=arguments.host, port=arguments.port, grace=arguments.grace, peers=peers)
    serving.run()
    return 0 if serving.started else NOT_STARTED


def _monitor(app: FastAPI, place: str | None) -> None:
    """Raises InvalidRequest for what is no address, WrongState where nobody can listen."""
    if place is not None:
        MonitoringListener(address_of(place), "api", partial(_services, app)).start()


def _services(app: FastAPI) -> Services | None:
    context: AppContext | None = getattr(app.state, "context", None)
    return context.services if context is not None else None


def _without_colours(record: logging.LogRecord) -> bool:
    """uvicorn says some lines twice, the second time for a terminal."""
    record.__dict__.pop("color_message", None)
    return True


if __name__ == "__main__":
    log_everything()
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)  # work in a thread that nobody waits for any more must not keep the process
