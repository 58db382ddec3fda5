"""The whole service over each kind of database, its keys given as an operator gives them."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from infra.encryption.secret_box import new_key
from infra.settings import Settings
from infra.wiring import build
from tests.api.conftest import House
from tests.support.accounts import rich
from tests.support.receiver import Receiver, receiving
from tests.support.s3_server import S3Server

ON_BOTH_STORES = pytest.mark.parametrize("storage_url", ["folder", "moto_s3"], indirect=True)


@pytest.fixture
def storage_url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The home's own folder, unless a test asks for the server of that name."""
    asked = getattr(request, "param", "folder")
    if asked == "folder":
        return ""
    server: S3Server = request.getfixturevalue(asked)
    server.use(monkeypatch)
    return f"s3://privacy-{uuid.uuid4().hex}/some/prefix"


@pytest.fixture
def safe(database_url: str, storage_url: str, tmp_path: Path) -> Iterator[House]:
    settings = Settings(
        home=tmp_path / "home",
        database_url=database_url,
        storage_url=storage_url,
        secrets_key=new_key(),
        outbound_allow="127.0.0.0/8",
        webhook_time_scale=0.001,
    )
    with build(settings, engine_processes=1) as services:
        services.storage.check()  # which makes the bucket
        account, other = rich(services.database, "canary-account-7Q"), rich(services.database, "other")
        keys = [services.accounts.create_key(one)[0] for one in (account, other)]
        with TestClient(create_app(services)) as client:
            house = House(services, client, account, *keys)
            yield house
            house.close()


@pytest.fixture
def site() -> Iterator[Receiver]:
    with receiving() as made:
        yield made
