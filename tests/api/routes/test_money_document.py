"""docs/money.md cannot lie: its commands are executed as printed against a real server, its table compared with the tiers."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api.main import create_app
from infra.keys.tiers import TIERS, Limits
from tests.api.conftest import ADMIN_KEY, House, recording
from tests.api.serving import running
from tests.support.repository import ROOT

DOCUMENT = (ROOT / "docs" / "money.md").read_text("utf-8")
MARK = "<!-- executed by tests/api/routes/test_money_document.py -->\n"
BLOCKS = re.findall(MARK + r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)

# For machines without curl: as much of it as the document uses.
CURL = """
import json, sys
import httpx2
words, url, headers, form, files, method, out, body = sys.argv[1:], "", {}, {}, {}, None, None, None
while words:
    word = words.pop(0)
    if word == "-H": name, _, value = words.pop(0).partition(": "); headers[name] = value
    elif word == "-d": body = words.pop(0).encode()
    elif word == "-X": method = words.pop(0)
    elif word == "-o": out = words.pop(0)
    elif word == "-F":
        name, _, value = words.pop(0).partition("=")
        if value.startswith("@"): files[name] = open(value[1:], "rb")
        else: form[name] = value
    elif not word.startswith("-"): url = word
method = method or ("POST" if body is not None or files else "GET")
answer = httpx2.request(method, url, headers=headers, content=body, data=form or None, files=files or None, timeout=60)
(open(out, "wb") if out else sys.stdout.buffer).write(answer.content)
"""


@pytest.fixture
def curl(tmp_path: Path) -> Path:
    """A folder with a `curl` in it: the machine's own, or the one above."""
    folder = tmp_path / "bin"
    folder.mkdir()
    if found := shutil.which("curl"):
        (folder / "curl").symlink_to(found)
        return folder
    (tmp_path / "curl.py").write_text(CURL)
    (folder / "curl").write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path / "curl.py"} "$@"\n')
    (folder / "curl").chmod(0o755)
    return folder


def commands(block: str) -> list[str]:
    """One for each curl, its continued lines with it."""
    return [line.strip() for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def test_every_block_is_there() -> None:
    assert sum(len(commands(block)) for block in BLOCKS) >= 20
    assert DOCUMENT.count("```sh") == len(BLOCKS)


def test_the_tiers_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \| (\w+) \|", DOCUMENT, re.MULTILINE)
    shown = {name: tuple(None if number == "none" else int(number) for number in numbers) for name, *numbers in rows}
    assert shown == {name: tuple(getattr(limits, name) for limits in TIERS.values()) for name in Limits.model_fields}


@pytest.mark.processes
def test_the_commands_work_as_printed(house: House, curl: Path, tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_bytes(recording(2)[0])
    job = house.submit()["id"]
    failed = house.submit(recording(45)[0], prompt="oracle: fail=9 error=refused")["id"]
    house.work()
    with running(create_app(house.services)) as server:
        where = {
            "PATH": f"{curl}:/usr/bin:/bin", "URL": server.url, "KEY": house.key, "ADMIN": ADMIN_KEY, "JOB": job, "FAILED": failed,
            "ACCOUNT": house.services.accounts.create_account("of the document").id,
        }  # fmt: skip
        said = [_run(command, where, tmp_path) for block in BLOCKS for command in commands(block)]
    answers = [json.loads(out) for out in said if out]
    assert [one for one in answers if "object" not in one] == []
    kinds = {str(one["object"]) for one in answers}
    assert {"balance", "audio.estimate", "list", "account", "api_key", "ledger.entry", "ledger.check"} <= kinds
    assert [one["status"] for one in answers if one["object"] == "audio.job"] == ["failed"]
    assert [one["balance_usd"] for one in answers if one["object"] == "ledger.entry"] == [50, 47.5]
    assert (tmp_path / "receipts.csv").read_text("utf-8").startswith("id,created_at,account_id")
    assert house.services.ratios.all() == []


def _run(command: str, where: dict[str, str], folder: Path) -> Any:
    ran = subprocess.run(
        ["sh", "-ec", command], env=where, cwd=folder, capture_output=True, text=True, timeout=300
    )  # fmt: skip
    assert ran.returncode == 0, (command, ran.stderr)
    return ran.stdout
