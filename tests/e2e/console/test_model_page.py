"""Models and their pages, and the reference, used as a person uses them."""

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.api.conftest import recording
from tests.e2e.conftest import ADMIN_KEY, Installation
from tests.e2e.console.conftest import photograph, serious

pytestmark = pytest.mark.processes
SOUND, SAID = recording(3.0, seed=4)
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


def test_samples_and_endpoint_follow_the_task(signed_in: Page, installation: Installation) -> None:
    """What stands on the page is, to the letter, what tests/e2e/test_examples.py runs."""
    page, key = signed_in, {"Authorization": f"Bearer {installation.key}"}
    page.get_by_role("link", name="Models").click()
    page.get_by_role("link", name="whisper-1", exact=True).click()
    model = httpx2.get(f"{installation.url}/v1/models/whisper-1", headers=key, timeout=60).json()
    for task, name in (("transcription", "transcriptions"), ("translation", "translations")):
        page.get_by_role("navigation", name="Task").get_by_role("link", name=task.capitalize()).click()
        expect(page.locator("#endpoint")).to_have_text(f"POST /v1/audio/{name}")
        for language, code in model["examples"][task].items():
            assert page.locator(f"#sample-{language}").text_content() == code
            assert installation.url in code
    assert "web search" not in page.content().lower()
    page.goto("/console/models/tts-1")
    expect(page.locator("#endpoint")).to_have_text("POST /v1/audio/speech")
    voice = httpx2.get(f"{installation.url}/v1/models/tts-1", headers=key, timeout=60).json()
    for language, code in voice["examples"]["speech"].items():
        assert page.locator(f"#sample-{language}").text_content() == code


def test_prices_follow_the_ratio_while_the_page_is_open(signed_in: Page, installation: Installation) -> None:
    page, ratio = signed_in, f"{installation.url}/admin/ratios/whisper-1"
    page.goto("/console/models/whisper-1")
    prices = page.locator("#prices")
    expect(prices).to_contain_text("$0.006")
    assert httpx2.put(ratio, json={"ratio": "2.5"}, headers=ADMIN, timeout=60).is_success
    try:
        expect(prices).to_contain_text("2.5")
        expect(prices).to_contain_text("$0.015")
    finally:
        assert httpx2.delete(ratio, headers=ADMIN, timeout=60).is_success
    expect(prices).not_to_contain_text("2.5")


def test_a_voice_says_a_sentence(signed_in: Page) -> None:
    page = signed_in
    page.goto("/console/models/tts-1")
    page.get_by_label("Text").fill("one two three")
    page.get_by_role("button", name="Speak").click()
    sound = page.locator("#tried audio")
    expect(sound).to_be_visible()
    page.wait_for_function("() => document.querySelector('#tried audio').duration > 0.3")


def test_a_recording_is_heard(signed_in: Page) -> None:
    page = signed_in
    page.goto("/console/models/whisper-1")
    page.get_by_label("Recording").set_input_files({"name": "talk.wav", "mimeType": "audio/wav", "buffer": SOUND})
    page.get_by_role("button", name="Hear it").click()
    expect(page.locator("#tried blockquote")).to_contain_text(SAID[0])


def test_the_reference_can_be_tried(signed_in: Page, installation: Installation) -> None:
    page = signed_in
    page.goto("/docs")
    page.get_by_role("button", name="Authorize").first.click()
    page.locator(".auth-container input").first.fill(installation.key)
    page.locator(".auth-container").get_by_role("button", name="Apply").or_(
        page.locator(".auth-container").get_by_role("button", name="Authorize")
    ).first.click()
    page.get_by_role("button", name="Close").first.click()
    route = page.locator("#operations-models-list_models_v1_models_get")
    route.get_by_role("button").first.click()
    route.get_by_role("button", name="Try it out").click()
    route.get_by_role("button", name="Execute").click()
    expect(route.locator(".live-responses-table")).to_contain_text("whisper-1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_everybody_can_use_them(signed_in: Page, axe: str, width: int, scheme: str) -> None:
    page = signed_in
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    for path in ("/console/models", "/console/models/whisper-1", "/console/models/tts-1", "/docs"):
        page.goto(path)
        if path == "/docs":
            expect(page.locator(".opblock").first).to_be_visible()
        photograph(page, f"{path.rpartition('/')[2]}-{scheme}-{width}")
        assert serious(page, axe) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
