"""The fenced blocks of the documents, and the table of those that no test runs, each with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from tests.support.repository import ROOT

PAGES = ("README.md", "CONTRIBUTING.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^(?:<!-- ([^\n]*) -->\n)?```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BY = re.compile(r"executed by (tests/\S+\.py)|[^;]+; (tests/\S+\.py) compares")

ANSWER = "what a server answers or sends; a reader runs nothing"
MADE = "makes the environment in which the tests run; CI begins with it"
ENGINE = "needs a container engine or a cluster; tests/infra/test_image.py, test_deploy.py and test_kubernetes.py read its files"
ROOT_ONLY = "needs root, and systemd as the first process; tests/e2e/test_operations.py starts what the units start"
PROXY = "needs nginx or Caddy, and a certificate; tests/e2e/console/test_public_path.py has a proxy of its own"
FETCHES = "fetches 280 MB; tests/cli/test_models.py, with small weights"
UNTIL_STOPPED = "runs until it is stopped: "

# page, how the block begins, why nobody runs it here
NOT_RUN: tuple[tuple[str, str, str], ...] = (
    ("README.md", "1\n00:00:00,000", ANSWER),
    ("README.md", "make setup", MADE),
    ("README.md", "make demo", "is CI's last step; tests/e2e/test_demo.py runs the demo itself"),
    ("CONTRIBUTING.md", "make setup", MADE),
    ("docs/after-the-shutdown.md", "stenopool doctor", FETCHES),
    ("docs/architecture.md", "     cli ", "a picture; tests/structure/test_rooms.py and the import contracts keep it"),
    ("docs/bulk.md", "curl \"$STENOPOOL_BASE_URL/v1/uploads", "needs S3 that clients reach; tests/api/routes/test_files.py"),
    ("docs/bulk.md", "curl \"$STENOPOOL_BASE_URL/v1/audio/bulk", "needs an account's buckets; tests/e2e/test_bulk_bucket.py"),
    ("docs/cli.md", "stenopool api ", UNTIL_STOPPED + "tests/e2e/test_operations.py, with the same roles"),
    ("docs/cli.md", "stenopool listen", UNTIL_STOPPED + "tests/cli/test_listen.py"),
    ("docs/cli.md", "stenopool models list", FETCHES),
    ("docs/deployment.md", "make .env", ENGINE),
    ("docs/deployment.md", "[databases]", "PgBouncer's own file; tests/support/pgbouncer.py writes one for the contract tests"),
    ("docs/deployment.md", "docker build", ENGINE),
    ("docs/deployment.md", "CREATE ROLE stenopool_watch", "for KEDA; tests/contracts/test_load.py reads the view"),
    ("docs/deployment.md", "location /speech/", PROXY),
    ("docs/jobs-and-webhooks.md", '"queue"', ANSWER),
    ("docs/jobs-and-webhooks.md", '"partial"', ANSWER),
    ("docs/jobs-and-webhooks.md", "POST /hooks", ANSWER),
    ("docs/jobs-and-webhooks.md", '{"object": "webhook_endpoint.test"', ANSWER),
    ("docs/jobs-and-webhooks.md", "stenopool listen", UNTIL_STOPPED + "tests/cli/test_listen.py"),
    ("docs/money.md", "402 ", ANSWER),
    ("docs/money.md", '{"object": "balance"', ANSWER),
    ("docs/money.md", '{"object": "audio.estimate"', ANSWER),
    ("docs/money.md", '"limits"', ANSWER),
    ("docs/money.md", "429 ", ANSWER),
    ("docs/openai-clients.md", "export OPENAI_BASE_URL", "what all examples below it are given; its key is elided"),
    ("docs/operations.md", "# root: packages", ROOT_ONLY),
    ("docs/operations.md", "server {", PROXY),
    ("docs/operations.md", "stenopool.example.org {", PROXY),
)  # fmt: skip

# Lines of a block that is run otherwise, by how they begin.
LINES_NOT_RUN: dict[str, str] = {
    "stenopool doctor": "looks at this machine's own engines; tests/e2e/test_readme.py",
    "stenopool models install": FETCHES,
    "stenopool transcribe interview.mp3 --speakers": "needs the speakers' weights; tests/e2e/test_real_speakers.py",
    "stenopool transcribe meeting.mp3 --format srt --speakers": "likewise",
}


@dataclass(frozen=True)
class Block:
    """`mark` is the comment above it."""

    page: str
    mark: str
    language: str
    code: str

    @property
    def runner(self) -> str:
        """The test file that runs it, or compares it with what there is; empty where none is named."""
        found = BY.fullmatch(self.mark)
        return (found[1] or found[2]) if found else ""

    @property
    def name(self) -> str:
        return f"{self.page}: {self.code.splitlines()[0][:60]}"

    def commands(self) -> str:
        """The lines that are run."""
        return "".join(line for line in self.code.splitlines(True) if not line.startswith(tuple(LINES_NOT_RUN)))


@cache
def blocks() -> tuple[Block, ...]:
    """Of every page, in reading order."""
    return tuple(
        Block(page, mark, language, code)
        for page in PAGES
        for mark, language, code in BLOCK.findall((ROOT / page).read_text("utf-8"))
    )


def printed_for(runner: str) -> list[Block]:
    """Those that this test file has to run."""
    return [block for block in blocks() if block.runner == runner]
