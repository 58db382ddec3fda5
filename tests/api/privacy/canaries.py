"""What is planted, and where one looks for it: every row of the database and every object of the store."""

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import inspect

from infra.database.session import Database
from infra.database.tables.jobs import Job
from infra.webhooks.signing_secrets import SECRET_PREFIX
from infra.wiring import Services
from tests.api.conftest import House, recording


def secret(name: str) -> str:
    """A signing secret whose bytes say what it is."""
    return SECRET_PREFIX + base64.b64encode(f"canary {name}".ljust(32, "!").encode()).decode()


SECRETS = {
    "job's webhook": secret("job"),
    "header": "Bearer canary-header-7Q",
    "signature": "canary-signature-7Q",
}
CONTENT = {
    "prompt": "canary-prompt-7Q",
    "keyword": "canary-keyword-7Q",
    "speaker": "canary-speaker-7Q",
    "file name": "canary-name-7Q",
}
LABELS = {"reference": "canary-reference-7Q", "metadata": "canary-metadata-7Q"}


def of_url(house: House, site: str, **more: Any) -> dict[str, Any]:
    """A job whose recording is to be fetched with credentials, told where to say that it is done."""
    wanted = {
        "model": "oracle",
        "url": f"{site}/{CONTENT['file name']}.wav?sig={SECRETS['signature']}",
        "headers": {"Authorization": SECRETS["header"]},
        "webhook": {"url": f"{site}/hook?token={SECRETS['signature']}", "secret": SECRETS["job's webhook"]},
        "prompt": f"oracle: {CONTENT['prompt']}",
        "keywords": [CONTENT["keyword"]],
        "client_reference_id": LABELS["reference"],
        "metadata": {"about": LABELS["metadata"]},
        **more,
    }
    answer = house.post("/v1/audio/jobs", json=wanted, headers={**house.auth(), "Idempotency-Key": f"once-{more}"})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def of_file(house: House, sample: bytes, **more: Any) -> dict[str, Any]:
    """A job whose recording is uploaded, with the voice of somebody known."""
    voice = f"data:audio/wav;base64,{base64.b64encode(sample).decode()}"
    fields = [
        ("model", (None, "oracle")),
        ("prompt", (None, f"oracle: {CONTENT['prompt']}")),
        ("known_speaker_names[]", (None, CONTENT["speaker"])),
        ("known_speaker_references[]", (None, voice)),
        ("client_reference_id", (None, LABELS["reference"])),
        ("metadata", (None, json.dumps({"about": LABELS["metadata"]}))),
        *((name, (None, str(value))) for name, value in more.items()),
        ("file", (f"{CONTENT['file name']}.wav", recording()[0])),
    ]
    answer = house.post("/v1/audio/jobs", files=fields, headers={**house.auth(), "Idempotency-Key": f"file-{more}"})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def dump(database: Database) -> str:
    """Every value of every row of every table there is."""
    with database.connection() as connection:
        tables = inspect(connection).get_table_names()
        assert len(tables) > 15 and Job.__tablename__ in tables
        rows = [
            value for table in tables for row in connection.exec_driver_sql(f'SELECT * FROM "{table}"') for value in row
        ]
    return "\n".join(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in rows)


def stored(services: Services) -> Iterator[str]:
    """Every key of the store, and what is there."""
    for found in services.storage.list(""):
        yield found.key
        yield services.storage.get(found.key).decode("latin-1")


def in_file(database: Database, canaries: Iterable[str]) -> list[str]:
    """Those whose bytes are still in SQLite's file, in pages that nothing refers to any more."""
    with database.connection() as connection:
        busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        assert not busy
        path = next(row[2] for row in connection.exec_driver_sql("PRAGMA database_list") if row[1] == "main")
    content = Path(path).read_bytes()
    return [canary for canary in canaries if canary.encode() in content]


def left(services: Services, canaries: Iterable[str]) -> list[str]:
    """Those that can still be found somewhere."""
    everywhere = "\n".join((dump(services.database), *stored(services)))
    forms = {canary: (canary, canary.removeprefix(SECRET_PREFIX), json.dumps(canary)[1:-1]) for canary in canaries}
    return [canary for canary, written in forms.items() if any(form in everywhere for form in written)]
