"""The page of a job of ten hours and 100,000 words, in Chromium: first paint, longest task, frames while it scrolls."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.api.conftest import recording
from tests.benchmarks.report import Figure
from tests.e2e.conftest import Installation, _key, catalog
from tests.e2e.console.conftest import PROGRAMS, SWITCHES
from tests.e2e.console.jobs_made import ten_hours
from tests.e2e.processes import marked
from tests.e2e.test_up import Up
from tests.support.ports import free_port

PAINT, TASK, FRAMES = 1000, 100, 50  # ms, ms, a second
WATCH = """
window.longest = 0;
new PerformanceObserver((seen) => { for (const one of seen.getEntries()) window.longest = Math.max(window.longest, one.duration); })
  .observe({ type: "longtask", buffered: true });
"""
SCROLL = """async () => {
  const place = document.getElementById("captions");
  const began = performance.now();
  let frames = 0;
  while (performance.now() - began < 5000) {
    place.scrollTop += 60;
    await new Promise(requestAnimationFrame);
    frames++;
  }
  return frames / 5;
}"""


def run() -> Iterator[Figure]:
    with _installation() as installation, sync_playwright() as playwright:
        program = next(found for name in PROGRAMS if (found := shutil.which(name)))
        browser = playwright.chromium.launch(executable_path=program, args=SWITCHES)
        page = browser.new_page(base_url=installation.url)
        page.add_init_script(WATCH)
        page.goto("/console/sign-in")
        page.get_by_label("API key").fill(installation.key)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/console/new")
        job = ten_hours(installation, recording(24.0, seed=8)[0])
        yield from _measured(page, f"/console/jobs/{job}", "the first time")
        yield from _measured(page, f"/console/jobs/{job}", "again")
        browser.close()


def _measured(page: Page, path: str, when: str) -> Iterator[Figure]:
    page.goto(path)
    page.wait_for_selector("#job[data-ready=yes]")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    yield Figure(f"first paint, {when}", f"{paint:.0f} ms", "", None, f"< {PAINT} ms", paint < PAINT)
    frames = page.evaluate(SCROLL)
    yield Figure(
        f"frames a second while it scrolls, {when}", f"{frames:.0f}", "", None, f">= {FRAMES}", frames >= FRAMES
    )
    task = page.evaluate("window.longest")
    yield Figure(f"longest task, {when}", f"{task:.0f} ms", "", None, f"< {TASK} ms", task < TASK)
    yield Figure(f"words in the page, {when}", str(page.locator(".word").count()), "of 100,000")


@contextlib.contextmanager
def _installation() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "catalog.toml"
        path.write_text(catalog("http://127.0.0.1:9"))
        with marked(folder, STENOPOOL_CATALOG=str(path)) as place:
            key, account = _key(place)
            up = Up(place, folder, free_port())
            try:
                yield Installation(up.url, key, place.environ, account)
            finally:
                up.stop(15)
