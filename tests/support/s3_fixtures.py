"""Fixtures: `moto_s3` and `ceph_s3`, one server each for the whole run. Buckets are the tests' own."""

import os
from collections.abc import Iterator

import pytest

from tests.support.ceph import ceph_gateway, missing_programs
from tests.support.s3_server import S3Server, moto_server

# The real server takes part where it is installed. In CI it always does: there its absence fails.
CEPH = pytest.param("ceph_s3", marks=pytest.mark.processes)
S3_SERVERS = ("moto_s3", CEPH) if os.environ.get("CI") or not missing_programs() else ("moto_s3",)


@pytest.fixture(scope="session")
def moto_s3() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def ceph_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with ceph_gateway(tmp_path_factory.mktemp("ceph")) as server:
        yield server
