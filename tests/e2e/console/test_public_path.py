"""The console in a browser, behind a proxy that serves it below a path: what its scripts ask for, too."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from api.main import create_app
from infra.settings import Settings
from infra.wiring import build
from tests.api.conftest import ADMIN_KEY, CATALOG, House, house_over, recording
from tests.api.serving import running
from tests.e2e.console.conftest import PATIENCE, Seen
from tests.support.path_proxy import PathProxy
from tests.support.ports import free_port

pytestmark = pytest.mark.processes
PATH = "/speech"
SOUND, SAID = recording(3.0, seed=4)
TALK: FilePayload = {"name": "talk.wav", "mimeType": "audio/wav", "buffer": SOUND}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    (tmp_path / "catalog.toml").write_text(CATALOG)
    port = free_port()
    public_url = f"http://127.0.0.1:{port}{PATH}"
    settings = Settings(
        home=tmp_path, catalog=tmp_path / "catalog.toml", admin_key=ADMIN_KEY, outbound_allow="127.0.0.0/8", public_url=public_url
    )  # fmt: skip
    with (
        build(settings, engine_processes=1) as services,
        house_over(services) as built,
        running(PathProxy(create_app(services), PATH), port=port),
    ):
        yield built


@pytest.fixture
def page(chromium: Browser, house: House) -> Iterator[Page]:
    """Nothing was asked for beside the path, nothing was missing, no script has complained."""
    seen, missing = Seen(f"{house.services.settings.public_url}/"), list[str]()
    context = chromium.new_context(accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    seen.watch(context)
    context.on("response", lambda answer: missing.append(answer.url) if answer.status >= 400 else None)
    yield context.new_page()
    context.close()
    elsewhere = [url for url in seen.elsewhere if not url.startswith("blob:")]  # made by the page itself
    assert (elsewhere, seen.complaints, missing) == ([], [], [])


def test_a_round_through_everything(page: Page, house: House) -> None:
    root = house.services.settings.public_url
    page.goto(f"{root}/console")
    for key, first in ((ADMIN_KEY, "operator"), (house.key, "new")):
        page.goto(f"{root}/console/sign-in")
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{root}/console/{first}")
    for name in ("Models", "Usage", "Keys", "Webhooks", "Operator", "Jobs"):
        page.get_by_role("navigation", name="Console").get_by_role("link", name=name).click()
        page.wait_for_url(f"{root}/console/{name.lower()}")
    page.goto(f"{root}/console/new")
    page.get_by_label("Files").set_input_files(files=[TALK])
    page.get_by_label("Model").select_option("oracle-priced")
    page.get_by_role("button", name="Transcribe").click()
    page.wait_for_url(f"{root}/console/jobs/job_*")
    house.work()  # the page sees that it has ended, and loads itself again
    expect(page.get_by_text(SAID[0], exact=True).first).to_be_visible()
    page.get_by_role("link", name="Export").click()
    expect(page.locator("#preview pre")).to_contain_text("-->")
    page.goto(f"{root}/console/models/oracle-priced")
    page.get_by_label("Recording").set_input_files(files=[TALK])
    page.get_by_role("button", name="Hear it").click()
    expect(page.locator("#tried blockquote")).to_contain_text(SAID[0])
    page.goto(f"{root}/docs")
    expect(page.locator(".opblock").first).to_be_visible()
