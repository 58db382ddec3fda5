"""A job's page, used as a person uses it."""

import io
import re

import httpx2
import pytest
import soundfile
from playwright.sync_api import BrowserContext, Page, expect

from tests.api.conftest import recording
from tests.e2e.conftest import Installation
from tests.e2e.console.conftest import photograph, serious
from tests.e2e.console.jobs_made import WORDS, finished_job, ten_hours

pytestmark = pytest.mark.processes
SOUND, SAID = recording(24.0, seed=8)
IN_SIGHT = """() => {
  const box = document.getElementById("captions").getBoundingClientRect();
  return document.elementFromPoint(box.x + 90, box.y + 200)?.closest(".cue") !== null;
}"""
SECONDS = "document.getElementById('sound').currentTime"


@pytest.fixture(scope="module")
def done(installation: Installation) -> str:
    """Nothing of it is changed."""
    return finished_job(installation, SOUND)


@pytest.fixture
def own(installation: Installation) -> str:
    """For one test alone."""
    return finished_job(installation, SOUND)


def opened(page: Page, job: str) -> Page:
    page.goto(f"/console/jobs/{job}")
    expect(page.locator("#job")).to_have_attribute("data-ready", "yes")
    return page


def text_of(installation: Installation, job: str, revision: str | None = None) -> str:
    query = {"format": "text", **({"revision": revision} if revision else {})}
    key = {"Authorization": f"Bearer {installation.key}"}
    answer = httpx2.get(f"{installation.url}/v1/audio/jobs/{job}/transcript", params=query, headers=key, timeout=60)
    return answer.text.strip()


def test_captions_move_with_the_sound(signed_in: Page, done: str) -> None:
    page = opened(signed_in, done)
    words = page.locator(".word")
    assert words.count() == len(SAID)
    page.get_by_role("button", name="Play", exact=True).click()
    sounding = page.locator(".word[aria-current]")
    expect(sounding).to_have_count(1)
    first = sounding.inner_text()
    expect(sounding).not_to_have_text(first)  # it has gone on to another one
    page.get_by_role("button", name="Pause").click()
    chosen = words.nth(len(SAID) // 2)
    chosen.click()
    start = float(chosen.get_attribute("data-start") or "")
    page.wait_for_function(f"() => Math.abs({SECONDS} - {start}) < 0.02")
    expect(chosen).to_have_attribute("aria-current", "true")
    expect(page.locator("#wave")).to_be_visible()
    expect(page.locator("#marks-told")).to_contain_text("seams")


def test_what_no_browser_plays_is_heard_from_its_copy(signed_in: Page, installation: Installation) -> None:
    samples, rate = soundfile.read(io.BytesIO(SOUND), dtype="int16")
    apple = io.BytesIO()
    soundfile.write(apple, samples, rate, format="AIFF", subtype="PCM_16")
    page = opened(signed_in, finished_job(installation, apple.getvalue()))
    page.wait_for_function(f"() => Math.abs(document.getElementById('sound').duration - {len(samples) / rate}) < 0.02")
    chosen = page.locator(".word").nth(len(SAID) // 2)
    chosen.click()
    start = float(chosen.get_attribute("data-start") or "")
    page.wait_for_function(f"() => Math.abs({SECONDS} - {start}) < 0.001 && !document.getElementById('sound').seeking")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(chosen).not_to_have_attribute("aria-current", "true")  # it has gone on


def test_following_lets_go_when_somebody_scrolls(signed_in: Page, done: str) -> None:
    page = opened(signed_in, done)
    follow = page.get_by_role("button", name="Follow")
    expect(follow).to_have_attribute("aria-pressed", "true")
    page.locator("#captions").hover()
    page.mouse.wheel(0, 80)
    expect(follow).to_have_attribute("aria-pressed", "false")
    follow.click()
    expect(follow).to_have_attribute("aria-pressed", "true")


def test_by_keyboard_alone(signed_in: Page, done: str) -> None:
    page = opened(signed_in, done)
    page.wait_for_function("() => document.getElementById('sound').readyState > 0")
    page.keyboard.press(" ")
    page.wait_for_function("() => !document.getElementById('sound').paused")
    page.keyboard.press(" ")
    page.wait_for_function("() => document.getElementById('sound').paused")
    starts = [float(one.get_attribute("data-start") or "") for one in page.locator(".cue").all()]
    page.evaluate(f"document.getElementById('sound').currentTime = {starts[0]}")
    for key, at in (("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        page.wait_for_function(f"() => Math.abs({SECONDS} - {starts[at]}) < 0.02")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => Math.abs({SECONDS} - {starts[1] + 5}) < 0.02")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"() => Math.abs({SECONDS} - {starts[1]}) < 0.02")
    page.keyboard.press("ArrowUp")
    page.wait_for_function("() => document.getElementById('sound').playbackRate === 1.25")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()


def test_a_search_marks_its_hits(signed_in: Page, done: str) -> None:
    page = opened(signed_in, done)
    sought = SAID[len(SAID) // 2]
    page.get_by_label("Search").fill(sought)
    expect(page.locator("mark").first).to_be_visible()
    assert {one.lower().strip(".,") for one in page.locator("mark").all_inner_texts()} >= {sought.lower()}
    expect(page.locator("#found")).to_have_text(re.compile(r"1 of \d+"))
    page.get_by_label("Search").fill("nobodysaidthat")
    expect(page.locator("#found")).to_contain_text("said nowhere")
    expect(page.locator("mark")).to_have_count(0)


def test_a_word_is_corrected_and_taken_back(signed_in: Page, own: str, installation: Installation) -> None:
    page, before = opened(signed_in, own), text_of(installation, own)
    page.locator(".word").first.dblclick()
    page.get_by_label("Word", exact=True).fill("zebra")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".word").first).to_have_text("zebra")
    expect(page.locator("#revision-told")).to_contain_text("Revision 1")
    assert text_of(installation, own, "latest").startswith("zebra ")
    assert text_of(installation, own) == before, "the original stays"
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#revision-told")).to_contain_text("Revision 2")
    assert text_of(installation, own, "latest") == before
    page.get_by_role("button", name="Edit", exact=True).first.click()
    page.get_by_label("Text of this caption").fill("<b>all new</b> words")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".cue").first.locator(".words")).to_contain_text("<b>all new</b> words")
    page.reload()
    expect(page.locator(".cue").first.locator(".words")).to_contain_text("<b>all new</b> words")


def test_another_tabs_correction_is_not_overwritten(
    signed_in: Page, context: BrowserContext, own: str, installation: Installation
) -> None:
    first, second = opened(signed_in, own), opened(context.new_page(), own)
    for page, text in ((first, "zebra"), (second, "giraffe")):
        page.locator(".word").first.dblclick()
        page.get_by_label("Word", exact=True).fill(text)
        page.get_by_role("button", name="Save", exact=True).click()
        if page is first:
            expect(page.locator("#revision-told")).to_contain_text("Revision 1")
    alert = second.get_by_role("alert")
    expect(alert).to_contain_text("zebra")
    expect(alert).to_contain_text("giraffe")
    assert text_of(installation, own, "latest").startswith("zebra ")
    second.get_by_role("button", name="Save mine all the same").click()
    expect(second.locator("#revision-told")).to_contain_text("Revision 2")
    assert text_of(installation, own, "latest").startswith("giraffe ")


def test_export_shows_what_it_will_be(signed_in: Page, done: str) -> None:
    page = opened(signed_in, done)
    page.get_by_role("link", name="Export").click()
    usual = page.locator("#preview code").last
    expect(usual).to_contain_text("-->")
    before = page.get_by_text(re.compile(r"^\d+ violations$")).inner_text()
    page.get_by_label("Characters per line").fill("10")
    page.get_by_label("Characters per second").fill("5")
    expect(page.get_by_text(re.compile(r"^\d+ violations$"))).not_to_have_text(before)
    page.get_by_label("Format").select_option("vtt")
    expect(page.locator("#preview code").last).to_contain_text("WEBVTT")
    with page.expect_download() as coming:
        page.get_by_role("link", name="Download").click()
    assert coming.value.suggested_filename == "talk.vtt"
    assert coming.value.path().read_text().startswith("WEBVTT")


def test_ten_hours_of_text(signed_in: Page, installation: Installation) -> None:
    """Only what is in sight is in the page, wherever one goes; and it is the right place."""
    page = opened(signed_in, ten_hours(installation, SOUND))
    page.wait_for_function("() => document.querySelectorAll('.block').length > 100")
    assert page.locator(".word").count() < WORDS / 20
    for share in (0.5, 0.99, 0.02):
        page.evaluate(f"captions.scrollTop = captions.scrollHeight * {share}")
        page.wait_for_function(IN_SIGHT)
        assert page.locator(".word").count() < WORDS / 20
    page.get_by_label("Search").fill("word77777")
    hit = page.locator("mark")
    expect(hit).to_have_text("word77777")
    expect(hit).to_be_in_viewport()
    start = float(page.locator(".word", has=hit).get_attribute("data-start") or "")
    assert start == round(77_777 * 0.36, 3)


def test_without_scripts_it_can_be_read(signed_in: Page, context: BrowserContext, done: str) -> None:
    assert context.browser
    quiet = context.browser.new_context(
        java_script_enabled=False, base_url=signed_in.url.split("/console")[0], storage_state=context.storage_state()
    )
    page = quiet.new_page()
    page.goto(f"/console/jobs/{done}")
    assert page.locator(".word").count() == len(SAID)
    assert page.locator("audio[controls]").count() == 1
    quiet.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_everybody_can_use_it(signed_in: Page, axe: str, done: str, width: int, scheme: str) -> None:
    page = signed_in
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    opened(page, done)
    page.locator(".word").first.click()
    photograph(page, f"job-{scheme}-{width}")
    assert serious(page, axe) == []
    page.goto(f"/console/jobs/{done}/export")
    photograph(page, f"export-{scheme}-{width}")
    assert serious(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
