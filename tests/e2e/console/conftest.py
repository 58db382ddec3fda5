"""A real browser, Debian's Chromium, at a running installation. Playwright drives it; it fetches none of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.e2e.conftest import INSTALL, Installation

PATIENCE = 120_000  # ms for what a busy machine may take long for
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
MISSING = "needs Chromium: apt-get install --no-install-recommends chromium"
GIVEN_UP = ("htmx:sendAbort,", "htmx:afterRequest,")  # how htmx says that a newer request replaced one
HERE = Path(__file__).parent
SWITCHES = [
    "--no-sandbox",  # tests may run as root
    "--disable-dev-shm-usage",
    "--use-fake-ui-for-media-stream",  # whoever is asked for the microphone agrees
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Ends with the file: as long as it runs, no other event loop can in this thread."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=SWITCHES)
        yield browser
        browser.close()


@dataclass
class Seen:
    """What a page did that nobody sees."""

    origin: str
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        context.on("request", lambda request: self._requested(request.url))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("console", lambda message: self._said(message.type, message.text))

    def _requested(self, url: str) -> None:
        if not url.startswith((self.origin, "data:", f"blob:{self.origin}")):
            self.elsewhere.append(url)

    def _said(self, kind: str, text: str) -> None:
        """Answers that are refusals are no fault of the page; nor is a preview that was asked for again before it came."""
        if kind == "error" and "the server responded with a status of" not in text and not text.startswith(GIVEN_UP):
            self.complaints.append(text)


def sign_in_link(installation: Installation) -> str:
    """As somebody makes it on the machine itself, for the account of the installation's key."""
    told = installation.environ | {"STENOPOOL_BASE_URL": installation.url}
    made = subprocess.run(
        [sys.executable, "-P", "-m", "cli", "console", "link", "--account", installation.account],
        env=dict(told), capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


@pytest.fixture
def context(chromium: Browser, installation: Installation) -> Iterator[BrowserContext]:
    """A browser that nobody has used; at the end nothing was asked for elsewhere, and no script has complained."""
    seen = Seen(installation.url)
    made = chromium.new_context(
        base_url=installation.url, viewport={"width": 1280, "height": 900}, accept_downloads=True
    )
    made.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    seen.watch(made)
    yield made
    made.close()
    assert seen.elsewhere == [], "a request left the origin"
    assert seen.complaints == [], "a script or the policy complained"


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """Nobody is signed in."""
    return context.new_page()


@pytest.fixture
def signed_in(page: Page, installation: Installation) -> Page:
    """With the installation's key, on the first page."""
    page.goto("/console/sign-in")
    page.get_by_label("API key").fill(installation.key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/console/new")
    return page


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script that finds what is not accessible; npm fetches it, pinned."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs node and npm")
    folder = tmp_path_factory.mktemp("axe")
    shutil.copy(HERE / "package.json", folder)
    installed = subprocess.run(INSTALL, cwd=folder, capture_output=True, text=True, timeout=300, env=dict(os.environ))
    assert installed.returncode == 0, installed.stderr
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


def photograph(page: Page, name: str) -> None:
    """For whoever wants to look: into the folder of STENOPOOL_TEST_SCREENSHOTS."""
    if folder := os.environ.get("STENOPOOL_TEST_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def serious(page: Page, axe: str) -> list[str]:
    """What of the page is not accessible, one line each. The script is evaluated beside the page, past its policy; styles of
    shadows are not loaded once more, which that would refuse."""
    page.evaluate(axe + "; undefined")
    found: dict[str, Any] = json.loads(
        page.evaluate("axe.run(document, { preload: false }).then((found) => JSON.stringify(found))")
    )
    return [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:120]} ({one['nodes'][0].get('failureSummary', '')[:300]})"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
