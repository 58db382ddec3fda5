"""`stenopool listen`: events printed and forwarded, signed as every webhook is."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from standardwebhooks import Webhook

from api.main import create_app
from api.routes.account import webhook_events
from cli import event_stream, exits
from cli import listen as listen_module
from cli.event_stream import ServerEvent, read_events
from cli.exits import ApiAway, ApiRefused
from infra.jobs.store import NewJob
from infra.settings import Settings
from infra.webhooks.signing_secrets import new_secret
from infra.wiring import Services, build
from tests.api.serving import Running, running
from tests.cli.conftest import Ran, Run
from tests.support.accounts import rich
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import wait_until
from tests.support.webhook_events import listeners


@pytest.fixture
def services(home: Path) -> Iterator[Services]:
    with build(Settings(home=home), engine_processes=1) as opened:
        yield opened


@pytest.fixture
def served(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(webhook_events, "LOOK_SECONDS", 0.02)
    with running(create_app(services)) as server:
        yield server


@pytest.fixture
def account(services: Services) -> str:
    return rich(services.database, "a")


@pytest.fixture
def site() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def listen(
    run: Run, served: Running, services: Services, account: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ran]:
    """Listen until so many events have come, of jobs that are made once somebody listens."""
    key = services.accounts.create_key(account)[0]

    def until(jobs: int, *words: object) -> Ran:
        shown, show = [], listen_module._show

        def counted(event: ServerEvent, outcome: str, *, as_json: bool) -> None:
            show(event, outcome, as_json=as_json)
            shown.append(event)
            if len(shown) == jobs:
                raise KeyboardInterrupt

        def ended_jobs() -> None:
            wait_until(lambda: listeners(services.webhooks))
            for _ in range(jobs):
                job = services.jobs.create(NewJob(account_id=account, task="transcription", model="oracle"))[0]
                services.jobs.cancel(account, job.id)

        monkeypatch.setattr(listen_module, "_show", counted)
        maker = threading.Thread(target=ended_jobs)
        maker.start()
        ran = run("listen", "--base-url", served.url, "--api-key", key, *words)
        maker.join()
        return ran

    return until


def test_events_are_printed(listen: Callable[..., Ran]) -> None:
    ran = listen(2)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert len(lines) == 2 and all("audio.job.cancelled" in line and "job_" in line for line in lines)
    assert "signing secret" not in ran.err


def test_events_are_forwarded_as_webhooks(listen: Callable[..., Ran], site: Receiver) -> None:
    site.answers = [204, 500]
    secret = new_secret()
    ran = listen(2, "--forward-to", f"{site.url}/hooks", "--secret", secret, "--json")
    assert ran.code == 0 and secret in ran.err
    printed = [json.loads(line) for line in ran.out.splitlines()]
    with OpenAI(api_key="x", webhook_secret=secret) as client:
        for headers, body in site.got:
            client.webhooks.verify_signature(body, headers)
    assert [Webhook(secret).verify(body, headers) for headers, body in site.got] == printed
    assert [headers["webhook-id"] for headers, _ in site.got] == [event["id"] for event in printed]
    assert all(headers["content-type"] == "application/json" for headers, _ in site.got)
    told = [line for line in ran.err.splitlines() if "→" in line]
    assert told[0].endswith("→ 204") and "500 (Internal Server Error)" in told[1]


def test_a_secret_of_its_own_is_printed(listen: Callable[..., Ran], site: Receiver) -> None:
    ran = listen(1, "--forward-to", site.url)
    (secret,) = {word for word in ran.err.split() if word.startswith("whsec_")}
    ((headers, body),) = site.got
    Webhook(secret).verify(body, headers)
    assert ran.out.strip().endswith("→ 200")


def test_where_nobody_listens_it_says_so(listen: Callable[..., Ran]) -> None:
    ran = listen(1, "--forward-to", "http://127.0.0.1:9/hook")
    assert "The connection was refused" in ran.out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--forward-to", "nowhere"), exits.BAD_INPUT),
        (("--forward-to", "http://localhost:1/", "--secret", "password"), exits.BAD_INPUT),
        (("--events", "audio.job.danced"), exits.BAD_INPUT),
        (("--api-key", "sk-wrong"), exits.NOT_ALLOWED),
        (("--base-url", "http://127.0.0.1:9"), exits.AWAY),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(
    *, run: Run, served: Running, services: Services, account: str, words: tuple[str, ...], code: int
) -> None:
    key = services.accounts.create_key(account)[0]
    where = {"--base-url": served.url, "--api-key": key} | dict(zip(words[::2], words[1::2], strict=True))
    refused = run("listen", *(word for pair in where.items() for word in pair))
    assert refused.code == code, refused.err
    assert refused.err.count("\n") == 1


class Broken:
    """A server whose connections end: with an event, without one, with a refusal that passes, and one that does not."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answers: list[Any] = [
            ['event: listening\ndata: {"id": "whl_1"}', "id: evt_1\nevent: a\ndata: {}"],
            ApiAway("gone"),
            ApiRefused("stopping", status=503, code="server_stopping"),
            ['event: listening\ndata: {"id": "whl_2"}'],
            ApiRefused("no", status=401, code="invalid_api_key"),
        ]

    def webhook_events(self, **asked: Any) -> Any:
        self.asked.append(asked)
        answer = self.answers.pop(0)
        return Lines(answer)


class Lines:
    """One connection."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __enter__(self) -> Iterator[str]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return iter("\n\n".join([*self.answer, ""]).split("\n"))

    def __exit__(self, *_: object) -> None: ...


def test_a_connection_that_ends_is_taken_up_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "PAUSES", (0.0,))
    server: Any = Broken()
    following = event_stream.follow(server, "a,b")
    seen: list[ServerEvent] = []
    with pytest.raises(ApiRefused) as caught:
        seen += following
    assert caught.value.details["status"] == 401
    assert [asked["listener"] for asked in server.asked] == [None, "whl_1", "whl_1", "whl_1", "whl_2"]
    assert {asked["events"] for asked in server.asked} == {"a,b"}


def test_events_are_read_as_the_standard_has_them() -> None:
    lines = [": a comment", "", "id: 1", "event: a", "data: one", "data:two", "", "retry: 5", "", "data: three", ""]
    assert list(read_events(lines)) == [ServerEvent("1", "a", "one\ntwo"), ServerEvent("", "", "three")]
