"""What the webhook document lists is what there is: event types, failures, members of the endpoint."""

import json
import re

from api.schemas.webhooks import endpoint_object
from infra.database.tables.webhooks import WebhookEndpoint
from infra.outbound.failures import SENTENCES, failure_of
from infra.webhooks.outbox import EVENT_TYPES
from tests.cli.test_docs import same, text
from tests.support.printed import printed_for

DOCUMENT = text("docs/jobs-and-webhooks.md")


def first_cells(heading: str) -> set[str]:
    """The names in the first column of the table below that line."""
    table = DOCUMENT.split(heading, 1)[1].split("\n\n", 1)[0]
    return {
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])
    }


def test_the_event_types_are_the_documented_ones() -> None:
    same("docs/jobs-and-webhooks.md, types", first_cells("| type | when |"), set(EVENT_TYPES))


def test_the_failures_are_the_documented_ones() -> None:
    named = first_cells("| `code` | what happened |")
    answers = {found.code for status in (302, 410, 500) if (found := failure_of(None, status))}
    real = (
        {code for code in SENTENCES if code != "too_slow"} | answers | {"not_tried_yet"}
    )  # too_slow: of downloads alone
    same("docs/jobs-and-webhooks.md, failures", named, real)


def test_the_endpoint_is_the_documented_one() -> None:
    (shown,) = printed_for("tests/cli/test_webhook_docs.py")
    endpoint = WebhookEndpoint(
        id="whe_1", account_id="a", url="u", event_types=[], secret="whsec_1234", created_at=1.0, updated_at=1.0
    )
    assert list(json.loads(shown.code)) == list(endpoint_object(endpoint, with_secret=True))
