"""A browser without a screen: it keeps cookies, and sends forms as a page of ours would."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from infra.wiring import Services
from tests.api.conftest import House
from tests.support.receiver import Receiver, receiving

ORIGIN = "http://testserver"
TOKEN = re.compile(r'name="form-token" content="([0-9a-f]+)"')


@dataclass
class Browser:
    """One visitor of the console."""

    client: TestClient

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(f"/console{path}", **{"follow_redirects": False, **options})

    def token(self) -> str:
        found = TOKEN.search(self.client.get("/console/sign-in").text)
        assert found
        return found[1]

    def post(self, path: str, fields: dict[str, Any] | None = None, **options: Any) -> Any:
        """As a form of one of our pages, unless told otherwise."""
        given = {"form_token": self.token(), **(fields or {})}
        told = {"headers": {"origin": ORIGIN}, "follow_redirects": False, **options}
        return self.client.post(f"/console{path}", data=given, **told)

    def sign_in(self, key: str, **fields: Any) -> Any:
        return self.post("/sign-in", {"key": key, **fields})


@pytest.fixture
def stranger(services: Services) -> Iterator[Browser]:
    """Who is not signed in."""
    with TestClient(create_app(services)) as client:
        yield Browser(client)


@pytest.fixture
def browser(stranger: Browser, house: House) -> Browser:
    """Who is signed in with the house's key."""
    answer = stranger.sign_in(house.key)
    assert answer.status_code == 303, answer.text
    return stranger


@pytest.fixture
def site() -> Iterator[Receiver]:
    """A server elsewhere."""
    with receiving() as made:
        yield made
