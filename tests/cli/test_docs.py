"""The documents that could lie: tables and diagrams are compared with the code, examples are executed."""

import base64
import json
import re
import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from standardwebhooks import Webhook

from cli import exits
from cli.exits import MEANINGS
from infra.environment.secret_files import SUFFIX
from infra.jobs.store import LaneLoad
from infra.metrics import COUNTED_BY, Metrics, counted_by
from infra.settings import PREFIX, Settings, secret_variables
from pipeline.lifecycle import JOB_MOVES, TERMINAL, JobStatus, Stage
from tests.support.commands import every_command, options
from tests.support.repository import FLOORS, ROOT

DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PRODUCT = [
    *(
        path
        for floor in FLOORS
        for path in sorted((ROOT / floor).rglob("*"))
        if path.suffix in (".py", ".toml", ".html", ".js")
    ),
    *(ROOT / name for name in ("compose.yaml", "infra/docker/Dockerfile", "Makefile", ".ci/run")),
]
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields}
BY_FILE = {name + SUFFIX for name in secret_variables()}
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ...").decode()


def variables(content: str) -> set[str]:
    return set(re.findall(rf"{PREFIX}[A-Z_]*[A-Z]", content))


def long_options(words: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z0-9-]+", words))


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


def same(place: str, named: set[str], real: set[str]) -> None:
    """What a document names there is what there is."""
    lacks, invents = sorted(real - named), sorted(named - real)
    assert named == real, f"{place}: write in {lacks or 'nothing'}, take out or correct {invents or 'nothing'}"


def rows(name: str, first: str) -> dict[str, list[str]]:
    """The tables' rows whose first cell matches: what the pattern's group found there, and the other cells."""
    found = re.findall(rf"^\| {first} \|(.*)\|$", text(name), re.MULTILINE)
    return {key: [cell.strip() for cell in cells.split(" |")] for key, cells in found}


def test_the_diagram_is_the_table_of_moves() -> None:
    (shown,) = re.findall(r"```mermaid\n(.*?)\n```", text("docs/architecture.md"), re.DOTALL)
    assert shown == diagram()


def test_all_stages_are_named() -> None:
    document = text("docs/architecture.md")
    assert [stage for stage in Stage if f"`{stage}`" not in document] == []


def of_the_client() -> set[str]:
    """Variables that options of commands read."""
    return {p.envvar for command in every_command().values() for p in command.params if getattr(p, "envvar", None)}


def test_the_settings_are_the_documented_ones() -> None:
    same("docs/deployment.md, Settings", set(rows("docs/deployment.md", rf"`({PREFIX}\w+)`")), SETTINGS)


def test_the_clients_variables_are_the_documented_ones() -> None:
    """What a command reads besides the settings."""
    for name in ("docs/deployment.md", "docs/cli.md"):
        same(name, variables(text(name)) - SETTINGS - BY_FILE, of_the_client())


def test_the_secrets_by_file_are_the_documented_ones() -> None:
    named = {name for name in variables(text("docs/deployment.md")) if name.endswith(SUFFIX)}
    same("docs/deployment.md, Secrets by file", named, BY_FILE)


def test_every_variable_is_a_setting_or_a_clients() -> None:
    """In documents and in the product alike: nothing is read, or said to be read, that is not documented."""
    known = SETTINGS | BY_FILE | of_the_client()
    unknown = {
        str(path.relative_to(ROOT)): sorted(found)
        for path in (*DOCS, *PRODUCT)
        if (found := variables(path.read_text("utf-8")) - known)
    }
    assert not unknown, f"correct the names, or make them fields of infra/settings.py: {unknown}"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_commands_and_their_options_exist(path: Path) -> None:
    """Every line of a shell block, and every inline `stenopool …`."""
    document = path.read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", document, re.DOTALL)
    lines = [line.split(" #")[0] for block in blocks for line in block.splitlines()]
    used = [part for line in lines for part in re.findall(r"stenopool ([a-z].*)", line)]
    used += re.findall(r"`stenopool ([a-z][^`]*)`", document)
    known = every_command()
    for words in used:
        name = max((name for name in known if words.startswith(name)), key=len)
        assert name, f"there is no command `stenopool {words}`"
        unknown = sorted(long_options(words) - options(known[name]) - {"--help"})
        assert unknown == [], f"`stenopool {words}`: there is no {unknown}"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_options_exist(path: Path) -> None:
    """Those that the prose names by themselves, or after a command's name without `stenopool`."""
    real = {option for command in every_command().values() for option in options(command)} | {"--help"}
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", path.read_text("utf-8"))
    foreign = ("docker", "npm", "pip", "uvicorn")
    named = {option for span in spans if not span.startswith(foreign) for option in long_options(span)}
    assert named <= real, f"no command has {sorted(named - real)}"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text("utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_manual_lists_every_command_with_its_options() -> None:
    table = rows("docs/cli.md", r"`stenopool ?([a-z -]*)`")
    named = {f"{name} {option}" for name, (cell,) in table.items() for option in ("", *long_options(cell))}
    found = {name: (options(command), getattr(command, "commands", ())) for name, command in every_command().items()}
    real = {f"{name} {one}" for name, (mine, inner) in found.items() if mine or not inner for one in ("", *mine)}
    same("docs/cli.md, Every command and its options", named, real)


def test_exit_codes_are_the_documented_ones() -> None:
    assert {int(code): cell for code, (cell,) in rows("docs/cli.md", r"(\d+)").items()} == MEANINGS
    prose = re.findall(r"\((\d+)(?: or (\d+))?\)|[Ee]xits? (?:with|code) (\d+)", text("docs/cli.md"))
    assert {int(code) for found in prose for code in found if code} <= set(MEANINGS)
    named = {value for name, value in vars(exits).items() if name.isupper() and type(value) is int}
    assert named == set(MEANINGS), "every code of cli/exits.py has a meaning there, and every meaning a code"


def test_the_metrics_are_the_documented_ones() -> None:
    table = rows("docs/deployment.md", r"`([a-z_]+)`")
    named = {f"{kind} {name}" for name, (kind, *_) in table.items()}
    real = {f"{kind} {name}" for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", exposition(), re.MULTILINE)}
    same("docs/deployment.md, Metrics", named, {metric for metric in real if not metric.endswith("_created")})
    prefixed = {word for path in DOCS for word in re.findall(r"\bstenopool_[a-z_]+", path.read_text("utf-8"))}
    assert prefixed - {"stenopool_load", "stenopool_watch"} == set(), (
        "metrics have no prefix; a view has, and who may read it"
    )


# Of Prometheus' own language, as far as board and rules use it.
QUERY_WORDS = {"sum", "max", "absent", "rate", "increase", "histogram_quantile", "time", "and", "or", "le", "unless"}


def queried(expression: str) -> set[str]:
    """The metrics that an expression asks for."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on)\s*\([^)]*\)|\"[^\"]*\"", " ", expression)
    return set(re.findall(r"\b[a-z][a-z_]+\b", bare)) - QUERY_WORDS


def samples() -> dict[str, str]:
    """By the name of every series that is served, its metric."""
    found = {}
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", exposition(), re.MULTILINE):
        endings = ("_bucket", "_count", "_sum") if kind == "histogram" else ("",)
        found |= {name + ending: name for ending in endings if not name.endswith("_created")}
    return found


def test_the_board_shows_every_metric_and_no_other() -> None:
    board = json.loads(text("infra/grafana/stenopool.json"))
    asked = {name for panel in board["panels"] for one in panel.get("targets", ()) for name in queried(one["expr"])}
    assert asked <= set(samples()), "the board asks for what nobody serves"
    same("infra/grafana/stenopool.json", {samples()[name] for name in asked}, set(samples().values()))


def test_the_rules_ask_for_what_is_served_and_say_what_to_do() -> None:
    rules = [rule for group in yaml.safe_load(text("infra/prometheus/rules.yaml"))["groups"] for rule in group["rules"]]
    for rule in rules:
        unknown = queried(rule["expr"]) - set(samples())
        assert not unknown, f"{rule['alert']} asks for {unknown}, which nobody serves"
        assert rule["annotations"]["summary"] and rule["annotations"]["action"], rule["alert"]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 10


def test_every_metric_has_a_role_that_counts_it_and_no_other_shows_it() -> None:
    metrics = Metrics()
    named = {family.name for family in metrics.registry.collect()}
    assert named == set(COUNTED_BY)
    pages = {role: counted_by(role, metrics.registry).decode() for role in ("api", "cpu", "io", "scheduler")}
    for name, roles in COUNTED_BY.items():
        assert {role for role, page in pages.items() if f"# TYPE {name}" in page} == roles, name


def exposition() -> str:
    """What /metrics says when everything can be asked."""
    some = defaultdict[str, Any](int, jobs={"queued": 1}, chunks={}, waiting={})
    store = SimpleNamespace(counts=lambda: some, queue_load=lambda: {"cpu": LaneLoad(1, 1, 1)}, waiting=lambda: some)
    workers = SimpleNamespace(alive=lambda _: [SimpleNamespace(role="cpu", facts={"ledger_differences": 0})])
    metrics: Any = Metrics()
    return str(metrics.render(store, SimpleNamespace(lengths=dict), store, workers), "utf-8")


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
