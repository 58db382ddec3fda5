"""The documents that could lie: tables and diagrams are compared with the code, examples are executed."""

import base64
import re
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from standardwebhooks import Webhook

from cli import main
from cli.exits import MEANINGS
from infra.settings import PREFIX, Settings
from pipeline.lifecycle import JOB_MOVES, TERMINAL, JobStatus, Stage
from tests.support.repository import ROOT

DOCS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
CLIENT_VARIABLES = {"STENOPOOL_BASE_URL", "STENOPOOL_API_KEY"}
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ...").decode()


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def diagram() -> str:
    """The states and their moves, as Mermaid reads them."""
    begins = (JobStatus.AWAITING_UPLOAD, JobStatus.QUEUED)
    lines = ["stateDiagram-v2", *(f"    [*] --> {status}" for status in begins)]
    for source in JobStatus:
        lines += [f"    {source} --> {target}" for target in JobStatus if target in JOB_MOVES[source]]
    lines += [f"    {status} --> [*]" for status in JobStatus if status in TERMINAL]
    return "\n".join(lines)


def commands() -> dict[str, Any]:
    """Every command by its words: 'keys create' and so on."""
    found: dict[str, Any] = {}
    for name in main.COMMANDS:
        context = typer.Context(typer.main.get_command(main.app))
        _, command, _ = context.command.resolve_command(context, [name])
        inner = getattr(command, "commands", None)
        found |= {f"{name} {word}": sub for word, sub in inner.items()} if inner else {name: command}
    return found


def options(command: Any) -> set[str]:
    return {spelling for parameter in command.params for spelling in parameter.opts} | {"--help"}


def test_the_diagram_is_the_table_of_moves() -> None:
    (shown,) = re.findall(r"```mermaid\n(.*?)\n```", text("docs/architecture.md"), re.DOTALL)
    assert shown == diagram()


def test_all_stages_are_named() -> None:
    document = text("docs/architecture.md")
    assert [stage for stage in Stage if f"`{stage}`" not in document] == []


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    document = text("docs/deployment.md")
    fields = {PREFIX + name.upper() for name in Settings.model_fields}
    assert set(re.findall(rf"^\| `({PREFIX}\w+)` \|", document, re.MULTILINE)) == fields


def test_the_documented_defaults_are_the_defaults() -> None:
    rows = dict(re.findall(rf"^\| `{PREFIX}(\w+)` \| (\S+) \|", text("docs/deployment.md"), re.MULTILINE))
    plain = {name: value.strip("`") for name, value in rows.items() if name != "HOME"}
    named = {name: field.default for name, field in Settings.model_fields.items() if name.upper() in plain}
    wrong = {name for name, value in named.items() if not _same(plain[name.upper()], value)}
    assert wrong == set()


def _same(shown: str, value: Any) -> bool:
    if isinstance(value, bool):
        return shown == str(value).lower()
    if isinstance(value, int | float):
        return float(shown) == value
    return shown == str(value) or (shown == "none" and value in (None, "", ()))


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_variables_exist(path: Path) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | CLIENT_VARIABLES
    assert set(re.findall(rf"{PREFIX}[A-Z_]*[A-Z]", path.read_text("utf-8"))) <= known


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_commands_and_their_options_exist(path: Path) -> None:
    """Every line of a shell block, and every inline `stenopool …`."""
    document = path.read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", document, re.DOTALL)
    lines = [line.split(" #")[0] for block in blocks for line in block.splitlines()]
    used = [part for line in lines for part in re.findall(r"stenopool ([a-z].*)", line)]
    used += re.findall(r"`stenopool ([a-z][^`]*)`", document)
    known = commands()
    for words in used:
        name = max((name for name in known if words.startswith(name)), key=len, default=None)
        assert name or words.split()[0] in main.COMMANDS, f"stenopool {words}"
        if name:
            assert set(re.findall(r"(?<![\w-])--[a-z-]+", words)) <= options(known[name]), f"stenopool {words}"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text("utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_command_is_in_the_manual() -> None:
    manual = text("docs/cli.md")
    for name in main.COMMANDS:
        assert f"`{name}" in manual or f"stenopool {name}" in manual, name


def test_exit_codes_are_the_documented_ones() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", text("docs/cli.md"), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == MEANINGS


def examples() -> dict[str, Any]:
    """The functions that the webhook document shows."""
    document = text("docs/jobs-and-webhooks.md")
    space: dict[str, Any] = {}
    for code in re.findall(r"<!-- executed by tests/cli/test_docs.py -->\n```python\n(.*?)```", document, re.DOTALL):
        exec(compile(code, "docs/jobs-and-webhooks.md", "exec"), space)
    return space


def signed(body: str, *, at: float) -> dict[str, str]:
    import datetime

    moment = datetime.datetime.fromtimestamp(at, tz=datetime.UTC)
    signature = Webhook(SECRET).sign("evt_1", moment, body)
    return {"webhook-id": "evt_1", "webhook-timestamp": str(int(at)), "webhook-signature": signature}


def test_the_shown_verifications_work() -> None:
    shown, body = examples(), '{"type": "audio.job.completed"}'
    headers = signed(body, at=time.time())
    assert shown["receive"](SECRET, headers, body.encode()) == {"type": "audio.job.completed"}
    assert shown["receive"](SECRET, headers, b"{}") is None
    assert shown["genuine"](SECRET, headers, body)
    assert not shown["genuine"](SECRET, headers, "{}")
    assert not shown["genuine"](SECRET, signed(body, at=time.time() - 3600), body)
