"""An S3 server that a test talks to, and how to tell boto3 of it."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

NO_ROOM = b"<Error><Code>XMinioStorageFull</Code><Message>The drive has too little room.</Message></Error>"


@dataclass(frozen=True)
class S3Server:
    """Where it listens and who may in. While `full` is set it stores nothing. `requests`: how many of each method."""

    endpoint: str
    access_key: str
    secret_key: str
    full: threading.Event = field(default_factory=threading.Event)
    requests: Counter[str] = field(default_factory=Counter, compare=False)

    @property
    def environ(self) -> dict[str, str]:
        """The AWS variables that point a process at it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Point this process at it for the rest of the test."""
        for name, value in self.environ.items():
            monkeypatch.setenv(name, value)


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """moto's server over HTTP, in a thread. (Its decorators do not see clients that have an endpoint_url.)"""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        made = S3Server(f"http://{host}:{port}", "testkey", "testsecret")
        assert server._server
        server._server.app = _refusing_when_full(server._server.app, made)
        yield made
    finally:
        server.stop()


def _refusing_when_full(app: Callable[..., Iterable[bytes]], server: S3Server) -> Callable[..., Iterable[bytes]]:
    """What moto has no word for: a disk without room. Counts what it is asked."""

    def answer(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        server.requests[environ["REQUEST_METHOD"]] += 1
        stores = environ["REQUEST_METHOD"] == "PUT" or "upload" in environ["QUERY_STRING"]
        if not (server.full.is_set() and stores):
            return app(environ, start_response)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("507 Insufficient Storage", [("content-type", "application/xml")])
        return [NO_ROOM]

    return answer
