"""Calls to a caller's URL: what arrives, what is refused before anybody hears of it, and that every call ends."""

import gzip
import os
import threading
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path

import httpx2
import psutil
import pytest

from infra.outbound.client import Answer, Outbound
from infra.outbound.failures import ANSWER_BYTES, SENTENCES
from infra.outbound.ssrf_guard import Address
from infra.outbound.url_policy import UrlPolicy, own_addresses
from pipeline.errors import DownloadFailed, MediaTooLarge, OutboundRefused, StorageFull
from tests.support.certificates import certificate
from tests.support.tcp_server import forever, http, plain_text, reset, say, scripted, silence
from tests.support.waiting import wait_until

LOOPBACK = (ip_network("127.0.0.0/8"),)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SOON, LATE = 2.0, 60.0  # seconds, the deadlines where the other side never ends and where it does


@pytest.fixture(scope="module")
def open_outbound() -> Outbound:
    return Outbound(LOOPBACK)


@pytest.fixture(scope="module")
def closed_outbound() -> Outbound:
    return Outbound(())


def named(*answers: Sequence[str], outbound: tuple[object, ...] = LOOPBACK) -> tuple[Outbound, list[str]]:
    """An Outbound whose name server gives these answers one after the other, and the names it was asked for."""
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [ip_address(each) for each in answers[min(len(asked), len(answers)) - 1]]

    return Outbound(outbound, resolver=resolver), asked


def test_post_brings_exactly_the_bytes(open_outbound: Outbound, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        scripted(http(503)) as proxy,
        scripted(http(201, "Retry-After: 7\r\nX-A: 1\r\nX-A: 2\r\n", b"thanks")) as server,
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        answer = open_outbound.post(f"{server.url}/hook?a=b#frag", b'{"a": "\xc3\xa4"}', {"webhook-id": "evt_1"})
    assert (answer.status, answer.body, answer.failure, answer.ok) == (201, b"thanks", None, True)
    assert (answer.headers["retry-after"], answer.headers["x-a"]) == ("7", "1, 2")
    [request] = server.requests
    assert request.line == "POST /hook?a=b HTTP/1.1"
    assert request.body == b'{"a": "\xc3\xa4"}'
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert request.headers["webhook-id"] == "evt_1"
    assert request.headers["accept-encoding"] == "identity"
    assert proxy.connections == 0


@pytest.mark.parametrize("status", [204, 301, 302, 307, 308, 400, 410, 429, 500])
def test_only_2xx_is_success_and_nothing_is_followed(open_outbound: Outbound, status: int) -> None:
    with scripted(http()) as elsewhere, scripted(http(status, f"Location: {elsewhere.url}/\r\n")) as server:
        answer = open_outbound.post(server.url, b"{}", {})
    assert (answer.status, answer.ok, elsewhere.connections) == (status, status == 204, 0)


@pytest.mark.parametrize(
    ("reply", "status", "failure"),
    [
        (silence, None, "timeout"),
        (forever(b"HTTP/1.1 200 OK\r\n", b"x", 0.05), None, "timeout"),
        (forever(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b"x", 0.05), 200, "timeout"),
        (forever(CHUNKED, b"1\r\nx\r\n", 0.05), 200, "timeout"),
        (forever(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001), None, "timeout"),
        (reset, None, "connection_lost"),
        (say(), None, "protocol"),
        (say(b"SSH-2.0-OpenSSH_9.2\r\n"), None, "protocol"),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"), 200, "protocol"),
        (say(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000), None, "answer_too_large"),
    ],
    ids=[
        "silent",
        "drip-head",
        "drip-body",
        "drip-chunks",
        "continues",
        "reset",
        "closed",
        "ssh",
        "truncated",
        "huge-head",
    ],
)
def test_every_attempt_ends_and_says_how(open_outbound: Outbound, reply, status, failure) -> None:
    with scripted(reply) as server:
        answer = open_outbound.post(server.url, b"{}", {}, deadline_s=SOON if failure == "timeout" else LATE)
    assert (answer.status, answer.failure, answer.ok) == (status, failure, False)
    assert failure in SENTENCES


def test_a_body_that_nobody_takes(open_outbound: Outbound) -> None:
    with scripted(silence, greets=False) as server:
        answer = open_outbound.post(server.url, b"x" * 50_000_000, {}, deadline_s=SOON)
    assert answer.failure in ("timeout", "connection_lost")


def test_nobody_listens(open_outbound: Outbound) -> None:
    with scripted(http()) as server:
        pass
    assert open_outbound.post(server.url, b"{}", {}).failure == "connection_refused"


def test_answers_are_read_to_64_kib_and_never_unpacked(open_outbound: Outbound) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with scripted(
        http(200, "Content-Encoding: gzip\r\n", bomb), forever(CHUNKED, b"1000\r\n" + b"x" * 4096 + b"\r\n", 0)
    ) as server:
        packed = open_outbound.post(server.url, b"{}", {})
        endless = open_outbound.post(server.url, b"{}", {})
        small = open_outbound.post(server.url, b"{}", {}, max_bytes=10)
    assert packed.body == bomb[:ANSWER_BYTES]
    assert (endless.body, endless.ok) == (b"x" * ANSWER_BYTES, True)
    assert small.body == b"x" * 10


REFUSED = """
    {scheme}://127.0.0.1:{port}/ {scheme}://127.1:{port}/ {scheme}://0:{port}/ {scheme}://2130706433:{port}/ {scheme}://0x7f000001:{port}/
    {scheme}://0x7f.1:{port}/ {scheme}://0177.0.0.1:{port}/ {scheme}://017700000001:{port}/ {scheme}://127.0.0.1.:{port}/
    {scheme}://127。0。0。1:{port}/ {scheme}://①②⑦.0.0.1:{port}/ {scheme}://localhost:{port}/ {scheme}://LOCALHOST.:{port}/
    {scheme}://x.localhost:{port}/ {scheme}://[::1]:{port}/ {scheme}://[::ffff:127.0.0.1]:{port}/ {scheme}://[::127.0.0.1]:{port}/
    {scheme}://[::ffff:7f00:1]:{port}/ {scheme}://[64:ff9b::7f00:1]:{port}/ {scheme}://[2002:7f00:1::]:{port}/
    {scheme}://[0:0:0:0:0:0:0:1]:{port}/ {scheme}://[::1%25lo]:{port}/ {scheme}://[::1%lo]:{port}/ {scheme}://[::]:{port}/
    {scheme}://user@127.0.0.1:{port}/ {scheme}://user:pw@example.com/ {scheme}://example.com@127.0.0.1:{port}/
    {scheme}://127.0.0.1:{port}\\@example.com/ {scheme}://exam%70le.com/ {scheme}://example.com:0/ {scheme}://example.com:99999/
    {scheme}://example.com:22/ {scheme}://8.8.8.8:25/ {scheme}:///x {scheme}:127.0.0.1 //example.com/ example.com /etc/passwd
    file:///etc/passwd ftp://example.com/ gopher://127.0.0.1:{port}/ javascript:alert(1) data:text/plain,x unix:///tmp/x
    {scheme}://169.254.169.254/latest/meta-data/ {scheme}://[fd00:ec2::254]/ {scheme}://10.0.0.1/ {scheme}://168.63.129.16/
    {scheme}://0.0.0.0:{port}/ {scheme}://[fe80::1]/ {scheme}://224.0.0.1/ {scheme}://a..b/ {scheme}://-a.com/ {scheme}://xn--/
    {scheme}://[v1.x]/ {scheme}://[::1/ {scheme}://
"""


@pytest.mark.parametrize(
    "url", [*REFUSED.split(), "http://127.0.0.1:{port}/\n", " http://127.0.0.1:{port}/", "http://a b/", ""]
)
def test_refused_at_the_door_and_at_the_call_and_nobody_is_reached(closed_outbound: Outbound, url: str) -> None:
    with scripted(http()) as server:
        for scheme in ("http", "https") if "{scheme}" in url else ("",):
            target = url.replace("{scheme}", scheme).replace("{port}", str(server.port))
            with pytest.raises(OutboundRefused):
                closed_outbound.check(target)
            answer = closed_outbound.post(target, b"{}", {})
            assert (answer.failure, answer.status) == ("refused_address", None)
            with pytest.raises(OutboundRefused):
                closed_outbound.download(target, {}, bytes, max_bytes=10, deadline_s=5)
    assert server.connections == 0


def test_refused_in_any_length(closed_outbound: Outbound) -> None:
    with pytest.raises(OutboundRefused):
        closed_outbound.check("https://example.com/" + "a" * 5000)


PASSING = """
    https://example.com https://example.com./a?b=c http://example.com:8080/ https://8.8.8.8:8443/ https://bücher.example/
    https://EXAMPLE.com:443/ä https://[2606:4700:4700::1111]/ https://receiver/ https://localhost.example/
"""


@pytest.mark.parametrize("url", PASSING.split())
def test_public_targets_pass_the_door(closed_outbound: Outbound, url: str) -> None:
    closed_outbound.check(url)


def test_http_can_be_switched_off() -> None:
    with pytest.raises(OutboundRefused, match="https"):
        Outbound((), allow_http=False).check("http://example.com/")


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["64:ff9b::7f00:1"], ["::ffff:10.0.0.1"]])
def test_a_name_is_judged_by_all_it_resolves_to(answer: list[str]) -> None:
    outbound, asked = named(answer, outbound=())
    with scripted(http()) as server:
        outbound.check("http://name.example:8080/")
        assert outbound.post(f"http://name.example:{server.port}/", b"", {}).failure == "refused_address"
        assert outbound.post("http://name.example:8080/", b"", {}).failure == "refused_address"
        with pytest.raises(OutboundRefused) as caught:
            outbound.download("http://name.example:8080/", {}, bytes, max_bytes=10, deadline_s=5)
    assert server.connections == 0
    assert asked == ["name.example"] * 2
    assert not any(address in str(caught.value) for address in answer)


def test_a_name_is_resolved_once_for_a_call_and_again_for_the_next() -> None:
    outbound, asked = named(["127.0.0.1"], ["10.0.0.1"])
    with scripted(http()) as server:
        url = f"http://rebinding.example:{server.port}/"
        first, second = outbound.post(url, b"", {}), outbound.post(url, b"", {})
    assert (first.ok, second.failure) == (True, "refused_address")
    assert len(asked) == 2
    assert server.requests[0].headers["host"] == f"rebinding.example:{server.port}"


def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    outbound, _ = named(["127.0.0.2", "127.0.0.1"])
    with scripted(http()) as server:
        assert outbound.post(f"http://two.example:{server.port}/", b"", {}).ok
    assert outbound.post(f"http://two.example:{server.port}/", b"", {}).failure == "connection_refused"


def test_localhost_means_what_is_allowed_of_it() -> None:
    outbound, asked = named(["8.8.8.8"])
    with scripted(http()) as server:
        assert outbound.post(f"http://localhost:{server.port}/", b"", {}).ok
    assert not asked


def test_allowing_one_network_opens_no_other() -> None:
    outbound = Outbound((ip_network("10.1.0.0/16"),))
    outbound.check("http://10.1.2.3:9999/")
    outbound.check("http://internal.example:9999/")  # judged once it is resolved
    for host in ("10.2.0.1", "127.0.0.1", "[64:ff9b::10.1.2.3]", "[2002:a01:203::]", "localhost", "169.254.169.254"):
        with pytest.raises(OutboundRefused):
            outbound.check(f"http://{host}/")


def test_this_machines_own_public_address_is_not_public() -> None:
    own = ip_address("9.9.9.9")
    with pytest.raises(OutboundRefused):
        UrlPolicy((), True, own=lambda: {own}).parsed("https://9.9.9.9/")
    UrlPolicy((ip_network("9.9.9.0/24"),), True, own=lambda: {own}).parsed("https://9.9.9.9:9999/")
    assert ip_address("127.0.0.1") in own_addresses()


@pytest.mark.parametrize("trouble", [OSError("no such host"), UnicodeError("label too long"), None])
def test_a_name_without_an_address(trouble: Exception | None) -> None:
    def resolver(host: str, port: int) -> list[Address]:
        if trouble:
            raise trouble
        return []

    outbound = Outbound((), resolver=resolver)
    assert outbound.post("https://nowhere.example/", b"", {}).failure == "dns"
    with pytest.raises(DownloadFailed) as caught:
        outbound.download("https://nowhere.example/", {}, bytes, max_bytes=10, deadline_s=5)
    assert caught.value.details == {"failure": "dns"}


def test_a_name_server_that_hangs_does_not_hold_us() -> None:
    release = threading.Event()

    def resolver(host: str, port: int) -> list[Address]:
        release.wait(60)
        return []

    outbound = Outbound((), resolver=resolver)
    assert outbound.post("https://slow.example/", b"", {}, deadline_s=SOON).failure == "timeout"
    release.set()


def test_tls_is_checked_against_the_name(tmp_path: Path) -> None:
    server_side, client_side = certificate(tmp_path, "hooks.example")
    seen: list[str] = []
    server_side.sni_callback = lambda socket, name, context: seen.append(name)

    def resolver(host: str, port: int) -> list[Address]:
        return [ip_address("127.0.0.1")]

    trusting = Outbound(LOOPBACK, resolver=resolver, tls=client_side)
    with scripted(http(), tls=server_side) as server:
        assert trusting.post(f"https://hooks.example:{server.port}/", b"", {}).ok
        assert trusting.post(f"https://hooks.example.:{server.port}/", b"", {}).ok
        assert trusting.post(f"https://127.0.0.1:{server.port}/", b"", {}).ok
        assert trusting.post(f"https://other.example:{server.port}/", b"", {}).failure == "tls_wrong_host"
        assert Outbound(LOOPBACK).post(f"https://127.0.0.1:{server.port}/", b"", {}).failure == "tls_self_signed"
    assert seen[:2] == ["hooks.example", "hooks.example"]
    assert {request.headers["host"] for request in server.requests} == {
        f"hooks.example:{server.port}",
        f"127.0.0.1:{server.port}",
    }


def test_whoever_calls_nobody_holds_no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some 4 MB in each process at rest."""
    made: list[None] = []
    original = httpx2.create_ssl_context
    monkeypatch.setattr(httpx2, "create_ssl_context", lambda: (made.append(None), original())[1])
    outbound = Outbound(LOOPBACK)
    outbound.check("https://hooks.example/")
    assert made == []
    with scripted(http(), http()) as server:
        assert all(outbound.post(server.url, b"", {}).ok for _ in range(2))
    assert len(made) == 1


@pytest.mark.parametrize(
    ("days", "failure"), [((-9, -2), "tls_expired"), ((2, 9), "tls_not_yet_valid")], ids=["expired", "early"]
)
def test_a_certificate_out_of_its_time_is_told(tmp_path: Path, days: tuple[int, int], failure: str) -> None:
    server_side, client_side = certificate(tmp_path, "hooks.example", days=days)
    with scripted(http(), tls=server_side) as server:
        answer = Outbound(LOOPBACK, tls=client_side).post(f"https://127.0.0.1:{server.port}/", b"", {})
    assert (answer.failure, answer.failure in SENTENCES) == (failure, True)


def test_a_server_that_speaks_no_tls(open_outbound: Outbound) -> None:
    with scripted(plain_text, greets=False) as server:
        assert open_outbound.post(f"https://127.0.0.1:{server.port}/", b"", {}).failure == "tls"


def test_a_handshake_that_hangs(open_outbound: Outbound) -> None:
    with scripted(silence, greets=False) as server:
        answer = open_outbound.post(f"https://127.0.0.1:{server.port}/", b"", {}, deadline_s=SOON)
    assert answer.failure == "timeout"


def test_many_threads_call_at_once_and_nothing_stays_open(open_outbound: Outbound) -> None:
    answers: list[Answer] = []
    before = psutil.Process().num_fds()
    with scripted(http(200, "", b"ok")) as server:
        threads = [
            threading.Thread(target=lambda: answers.append(open_outbound.post(server.url, b"x" * 1000, {})))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [answer.body for answer in answers] == [b"ok"] * 20
    wait_until(lambda: psutil.Process().num_fds() <= before)  # the server's threads may just be closing their side


def test_download_pours_the_body(open_outbound: Outbound) -> None:
    content = os.urandom(3_000_000)
    poured: list[bytes] = []
    with scripted(http(200, "Content-Type: audio/ogg\r\n", content)) as server:
        headers = open_outbound.download(
            f"{server.url}/a.ogg", {"Authorization": "Bearer x"}, poured.append, max_bytes=3_000_000, deadline_s=LATE
        )
    assert b"".join(poured) == content
    assert headers["content-type"] == "audio/ogg"
    assert server.requests[0].headers["authorization"] == "Bearer x"


def test_download_follows_and_keeps_secrets_with_their_origin(open_outbound: Outbound) -> None:
    with scripted(http(200, "", b"sound")) as other:
        hops = [http(302, "Location: /b\r\n"), http(307, f"Location: {other.url}/c\r\n")]
        with scripted(*hops) as server:
            poured: list[bytes] = []
            open_outbound.download(
                server.url, {"Authorization": "secret"}, poured.append, max_bytes=10, deadline_s=LATE
            )
    assert poured == [b"sound"]
    assert [request.headers.get("authorization") for request in server.requests] == ["secret", "secret"]
    assert "authorization" not in other.requests[0].headers


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("http://169.254.169.254/latest/", OutboundRefused),
        ("http://10.0.0.1/", OutboundRefused),
        ("file:///etc/passwd", OutboundRefused),
        ("http://u:p@127.0.0.1/", OutboundRefused),
        ("//0/", OutboundRefused),
        ("/again", DownloadFailed),
        ("http://[/", OutboundRefused),
    ],
)
def test_every_redirect_is_checked(open_outbound: Outbound, location: str, error: type[Exception]) -> None:
    with scripted(http(302, f"Location: {location}\r\n")) as server, pytest.raises(error):
        open_outbound.download(server.url, {}, bytes, max_bytes=10, deadline_s=LATE)
    assert server.connections == (6 if location == "/again" else 1)


@pytest.mark.parametrize(
    ("reply", "details"),
    [
        (http(404), {"failure": "status", "status": 404}),
        (http(500), {"failure": "status", "status": 500}),
        (http(302), {"failure": "redirects"}),
        (http(200, "Content-Encoding: gzip\r\n", b"x"), {"failure": "protocol"}),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), {"failure": "protocol"}),
        (say(CHUNKED + b"5\r\nshort\r\n"), {"failure": "protocol"}),
        (reset, {"failure": "connection_lost"}),
        (forever(CHUNKED, b"1\r\nx\r\n", 0.05), {"failure": "timeout"}),
        (forever(CHUNKED, b"1\r\nx\r\n", 0), {"failure": "timeout"}),
        (silence, {"failure": "timeout"}),
    ],
    ids=["missing", "broken", "nowhere", "packed", "truncated", "unfinished", "reset", "drip", "flood", "silent"],
)
def test_a_download_that_fails_says_how(open_outbound: Outbound, reply, details) -> None:
    with scripted(reply) as server, pytest.raises(DownloadFailed) as caught:
        deadline = SOON if details["failure"] == "timeout" else LATE
        open_outbound.download(server.url, {}, bytes, max_bytes=1 << 40, deadline_s=deadline)
    assert caught.value.details == details
    assert server.url not in str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        http(200, "", b"x" * 1001),
        say(b"HTTP/1.1 200 OK\r\nContent-Length: 6000000000\r\n\r\n"),
        forever(CHUNKED, b"64\r\n" + b"x" * 100 + b"\r\n", 0),
    ],
)
def test_a_download_stops_at_its_limit(open_outbound: Outbound, reply) -> None:
    poured: list[bytes] = []
    with scripted(reply) as server, pytest.raises(MediaTooLarge):
        open_outbound.download(server.url, {}, poured.append, max_bytes=1000, deadline_s=LATE)
    assert len(b"".join(poured)) <= 1000


def test_trouble_of_the_sink_is_not_the_downloads(open_outbound: Outbound) -> None:
    def sink(block: bytes) -> None:
        raise StorageFull

    with scripted(http(200, "", b"x")) as server, pytest.raises(StorageFull):
        open_outbound.download(server.url, {}, sink, max_bytes=10, deadline_s=LATE)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "x"},
        {"content-length": "5"},
        {"a b": "c"},
        {"": "c"},
        {"A": "b\r\nC: d"},
        {"A": "ä"},
        {"Connection": "upgrade"},
    ],
)
def test_headers_that_cannot_be_sent(open_outbound: Outbound, headers: dict[str, str]) -> None:
    with pytest.raises(OutboundRefused):
        open_outbound.check("https://example.com/", headers)
    with pytest.raises(OutboundRefused):
        open_outbound.download("https://example.com/", headers, bytes, max_bytes=10, deadline_s=5)
