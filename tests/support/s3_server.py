"""An S3 server that a test talks to, and how to tell boto3 of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from moto.server import ThreadedMotoServer


@dataclass(frozen=True)
class S3Server:
    """Where it listens and who may in."""

    endpoint: str
    access_key: str
    secret_key: str

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
        yield S3Server(f"http://{host}:{port}", "testkey", "testsecret")
    finally:
        server.stop()
