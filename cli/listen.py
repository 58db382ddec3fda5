"""`stenopool listen`: an account's events on a developer's machine, as they happen, printed and forwarded as webhooks."""

from __future__ import annotations

import json
import time
from ipaddress import ip_network
from typing import Annotated, Any

import typer

from cli.client import Client
from cli.event_stream import LISTENING, ServerEvent, follow
from cli.exits import OK
from cli.jobs import LOCAL, ApiKey, BaseUrl
from cli.output import remark
from infra.outbound.client import Outbound
from infra.outbound.failures import failure_of
from infra.webhooks.signature import attempt
from infra.webhooks.signing_secrets import check_secret, new_secret

app = typer.Typer(add_completion=False)

EVERYWHERE = (
    ip_network("0.0.0.0/0"),
    ip_network("::/0"),
)  # the URL is the developer's own, on the developer's own machine


@app.command()
def listen(
    *,
    forward_to: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Post each event there, signed as a webhook: http://localhost:3000/hooks"),
    ] = None,
    events: Annotated[
        str | None,
        typer.Option(metavar="TYPE,…", help="Only these types; `audio.job.processing` and `.waiting` only by name."),
    ] = None,
    secret: Annotated[
        str | None, typer.Option(metavar="whsec_…", help="What to sign with; default: a new one, which is printed.")
    ] = None,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the body of each event, one a line.")] = False,
) -> None:
    """Print an account's events as they happen, and forward them to a URL that only this machine reaches.

    They come over a connection that this command opens: no public address is needed, and no endpoint. Ctrl-C ends it.
    """
    signing = check_secret(secret) if secret else new_secret()
    outbound = Outbound(EVERYWHERE)
    if forward_to is not None:
        outbound.check(forward_to)
    with Client(base_url or LOCAL, api_key) as client:
        try:
            for event in follow(client, events):
                if event.name == LISTENING:
                    _greet(client.base_url, forward_to, signing)
                else:
                    _show(event, _forward(outbound, forward_to, signing, event), as_json=as_json)
        except KeyboardInterrupt:
            raise typer.Exit(OK) from None


def _greet(base_url: str, forward_to: str | None, secret: str) -> None:
    remark(f"listening to {base_url}" + (f"; signing secret: {secret}" if forward_to else ""))


def _forward(outbound: Outbound, url: str | None, secret: str, event: ServerEvent) -> str:
    """What came of it, in the words of a delivery."""
    if url is None:
        return ""
    answer = attempt(outbound, url, (secret,), event.id, event.data.encode())
    why = failure_of(answer.failure, answer.status)
    return f"{answer.status}" if why is None else why.message


def _show(event: ServerEvent, outcome: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(event.data)
        if outcome:
            remark(f"{event.id} → {outcome}")
        return
    body: dict[str, Any] = json.loads(event.data)
    at = time.strftime("%H:%M:%S", time.localtime(body["created_at"]))
    about = (body.get("data") or {}).get("id", "")
    typer.echo(f"{at}  {event.name}  {event.id}  {about}" + (f"  → {outcome}" if outcome else ""))
