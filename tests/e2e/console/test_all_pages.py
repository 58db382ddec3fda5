"""What holds for every page: accessible in both themes and both widths, nothing from elsewhere, nothing of others in a frame."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import ADMIN_KEY, Installation
from tests.e2e.console.conftest import photograph, serious
from tests.support.recordings import short

PAGES = ["new", "jobs", "usage", "keys", "webhooks", "operator", "sign-in"]
WIDTHS = [360, 1440]


@pytest.fixture
def operator(signed_in: Page) -> Page:
    """Who may see every page."""
    signed_in.goto("/console/sign-in")
    signed_in.get_by_label("API key").fill(ADMIN_KEY)
    signed_in.get_by_role("button", name="Sign in").click()
    signed_in.wait_for_url("**/console/operator")
    return signed_in


def test_axe_finds_nothing_serious(operator: Page, axe: str) -> None:
    found = []
    for theme in ("light", "dark"):
        operator.emulate_media(color_scheme=theme)
        for width in WIDTHS:
            operator.set_viewport_size({"width": width, "height": 900})
            for name in PAGES:
                operator.goto(f"/console/{name}")
                photograph(operator, f"{name}-{theme}-{width}")
                found += [f"{name}, {theme}, {width}: {one}" for one in serious(operator, axe)]
                scrolls = operator.evaluate(
                    "document.documentElement.scrollWidth > document.documentElement.clientWidth"
                )
                found += [f"{name}, {theme}, {width}: wider than the screen"] if scrolls else []
    assert not found, "\n".join(found)


@pytest.fixture
def foreign() -> Iterator[str]:
    """A page on another port of the same machine: the same site, another origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            target = self.path.partition("?to=")[2]
            body = f"""<!doctype html><iframe src="{target}/console/new"></iframe>
                <form method="post" action="{target}/console/keys"><input name="name" value="stolen"><button>Go</button></form>
                <p id="read"></p>
                <script>fetch("{target}/console/v1/balance", {{ credentials: "include" }})
                  .then((answer) => answer.text(), () => "refused")
                  .then((text) => {{ document.getElementById("read").textContent = text; }});
                </script>""".encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_page_on_another_port_can_neither_frame_nor_write_nor_read(
    chromium: Browser, installation: Installation, foreign: str
) -> None:
    context = chromium.new_context(base_url=installation.url)
    try:
        page = context.new_page()
        page.goto("/console/sign-in")
        page.get_by_label("API key").fill(installation.key)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/console/new")
        page.goto(f"{foreign}/?to={installation.url}")
        expect(page.locator("#read")).to_have_text("refused")
        framed = page.frames[1]
        assert "New transcription" not in framed.content()
        page.get_by_role("button", name="Go").click()
        expect(page.get_by_role("alert")).to_contain_text("not sent from a page of this console")
        page.goto("/console/keys")
        expect(page.get_by_text("stolen")).to_be_hidden()
    finally:
        context.close()


def test_every_page_is_reached_by_keyboard(signed_in: Page) -> None:
    signed_in.keyboard.press("Tab")
    expect(signed_in.get_by_role("link", name="Skip to the content")).to_be_focused()
    for name in ("Stenopool", "New", "Jobs", "Models", "Usage", "Keys", "Webhooks"):
        signed_in.keyboard.press("Tab")
        expect(signed_in.get_by_role("link", name=name, exact=True)).to_be_focused()
    signed_in.keyboard.press("Tab")
    expect(signed_in.get_by_role("button", name="Sign out")).to_be_focused()


def test_names_with_markup_stay_names(signed_in: Page, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>.wav"
    (tmp_path / name).write_bytes(short(9).wav)
    signed_in.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    signed_in.get_by_label("Files").set_input_files(tmp_path / name)
    expect(signed_in.get_by_text(name)).to_be_visible()
    signed_in.get_by_role("button", name="Transcribe").click()
    signed_in.wait_for_url("**/console/jobs/job_*")
    signed_in.goto("/console/jobs")
    expect(signed_in.get_by_text("onerror=alert(1)").first).to_be_visible()
    assert signed_in.locator("img").count() == 0
