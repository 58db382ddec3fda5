"""Clients that speak HTTP/1.0, that ask for HTTP/2 first, or that ask what a path takes."""

import json
from collections.abc import Iterator

import pytest

from api.main import create_app
from api.openapi.document import document
from infra.wiring import Services
from tests.api.conftest import JOBS, House
from tests.api.serving import Running, answered, received, running

# As java.net.http.HttpClient and `curl --http2` send them; the body follows in a packet of its own.
JAVA = (
    "POST {path} HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: {length}\r\nHost: 127.0.0.1:8000\r\n"
    "HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAABgAGAAA\r\nUpgrade: h2c\r\nUser-Agent: Java-http-client/21.0.2\r\n"
    "Authorization: Bearer {key}\r\nContent-Type: application/json\r\n\r\n"
)
CURL = (
    "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n"
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    "Authorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
)
BODY = b'{"no_field_of_ours": "GET /smuggled HTTP/1.1"}'


@pytest.fixture
def served(house: House) -> Iterator[Running]:
    with running(create_app(house.services)) as place:
        yield place


def post_routes(services: Services) -> list[str]:
    paths = document(create_app(services))["paths"]
    return sorted(path.replace("{", "").replace("}", "") for path, taken in paths.items() if "post" in taken)


def answers(raw: bytes) -> list[int]:
    """Every status line in it."""
    return [int(line.split()[1]) for line in raw.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


@pytest.mark.parametrize("head", [JAVA, CURL], ids=["java", "curl"])
def test_a_request_that_would_upgrade_is_answered_on_every_post(house: House, served: Running, head: str) -> None:
    """As the same request without the upgrade: with one answer, and its body is its body."""
    plain = head.replace("Upgrade, HTTP2-Settings", "keep-alive").replace("Upgrade: h2c\r\n", "")
    routes = post_routes(house.services)
    assert JOBS in routes and len(routes) > 10
    for path in routes:
        told = []
        for form in (head, plain):
            with served.connection() as connection:
                connection.sendall(form.format(path=path, length=len(BODY), key=house.key).encode())
                connection.sendall(BODY[:9])
                connection.sendall(BODY[9:] + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                told.append(answers(received(connection)))
        assert told[0] == told[1], path
        assert told[0][-1] == 200 or len(told[0]) == 1, path
        assert 101 not in told[0] and told[0][0] < 500, path


def test_a_job_is_made_by_a_client_that_would_upgrade(house: House, served: Running) -> None:
    body = json.dumps({"model": "oracle", "task": "speech", "input": "alpha"}).encode()
    with served.connection() as connection:
        connection.sendall(JAVA.format(path=JOBS, length=len(body), key=house.key).encode())
        connection.sendall(body)
        assert answered(connection).startswith(b"HTTP/1.1 202")


@pytest.mark.parametrize("asked", ["/events?stream=true", "/events", ""])
def test_http_1_0_knows_no_chunks(house: House, served: Running, asked: str) -> None:
    job = house.submit()["id"]
    house.post(f"{JOBS}/{job}/cancel")
    with served.connection() as connection:
        connection.sendall(
            f"GET {JOBS}/{job}{asked} HTTP/1.0\r\nConnection: keep-alive\r\nAuthorization: Bearer {house.key}\r\n\r\n".encode()
        )
        head, _, body = received(connection).partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0].endswith(b"200 OK")
    assert b"transfer-encoding" not in head.lower() and b"connection: close" in head.lower()
    if "stream" in asked:
        assert b"\n\nid: " in body and body.endswith(b"\n\n") and b"content-length" not in head.lower()
    else:
        json.loads(body)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (JOBS, "GET, POST, OPTIONS"),
        (f"{JOBS}/job_1", "GET, DELETE, OPTIONS"),
        ("/v1/audio/transcriptions", "POST, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
    ],
)
def test_options_tell_what_a_path_takes(house: House, path: str, allowed: str) -> None:
    answer = house.client.options(path)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, allowed, b"")
    assert house.client.options(path, headers={"Origin": "https://app.example"}).headers["allow"] == allowed


def test_options_of_nothing_and_of_everything(house: House, served: Running) -> None:
    assert house.client.options("/v1/nothing", headers=house.auth()).status_code == 404
    with served.connection() as connection:
        connection.sendall(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head = received(connection)
    assert head.startswith(b"HTTP/1.1 204") and b"allow: GET, HEAD, POST" in head
