"""New: what a person does with a recording."""

import math
import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import Installation
from tests.e2e.console.conftest import sign_in_link
from tests.support.recordings import long, short
from tests.support.waiting import wait_until

JOB = re.compile(r"/console/jobs/job_\w+$")
PART = 8 * 1024 * 1024
LARGE = int(os.environ.get("STENOPOOL_TEST_LARGE_UPLOAD", "0")) or 3 * PART + 1000  # bytes; more of them by hand


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    path.write_bytes(short(3).wav)
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Of four parts or more: speech, and behind it what no player plays."""
    path = tmp_path / "large.wav"
    path.write_bytes(short(4).wav)
    os.truncate(path, LARGE)
    return path


def test_a_file_becomes_a_job(signed_in: Page, talk: Path) -> None:
    signed_in.get_by_label("Files").set_input_files(talk)
    expect(signed_in.get_by_text("talk.wav")).to_be_visible()
    expect(signed_in.get_by_text("Estimated: $")).to_be_visible()
    signed_in.get_by_role("button", name="Transcribe").click()
    signed_in.wait_for_url(JOB)


def test_from_the_link_to_captions_with_no_key_in_hand(page: Page, installation: Installation, talk: Path) -> None:
    page.goto(sign_in_link(installation))
    page.get_by_label("Files").set_input_files(talk)
    page.get_by_role("button", name="Transcribe").click()
    page.wait_for_url(JOB)
    for word in short(3).words[:3]:
        expect(page.get_by_text(word, exact=True).first).to_be_visible()


def test_a_dropped_file_and_a_model_that_is_chosen(signed_in: Page, talk: Path) -> None:
    signed_in.get_by_label("Model").select_option("whisper-large-v3")
    dropped = signed_in.evaluate_handle(
        """(bytes) => {
            const held = new DataTransfer();
            held.items.add(new File([new Uint8Array(bytes)], "dropped.wav", { type: "audio/wav" }));
            return held;
        }""",
        list(talk.read_bytes()),
    )
    signed_in.dispatch_event("#drop", "drop", {"dataTransfer": dropped})
    expect(signed_in.get_by_text("dropped.wav")).to_be_visible()
    signed_in.get_by_role("button", name="Transcribe").click()
    signed_in.wait_for_url(JOB)
    signed_in.goto("/console/jobs?search=dropped.wav")
    expect(signed_in.get_by_role("cell", name="whisper-large-v3").first).to_be_visible()


def test_a_large_file_is_paused_survives_a_reload_and_goes_on(signed_in: Page, large: Path) -> None:
    """The third part does not arrive until it was paused; after the reload only what is missing is sent."""
    sent: list[str] = []

    def on_its_way(route: Route) -> None:
        sent.append(route.request.url)
        if len(sent) == 3:
            return  # neither answered nor refused: the connection stands still
        route.continue_()

    signed_in.route("**/console/v1/uploads/*/parts", on_its_way)
    signed_in.get_by_label("Files").set_input_files(large)
    signed_in.get_by_role("button", name="Transcribe").click()
    expect(signed_in.get_by_text("16.8 MB of")).to_be_visible()
    wait_until(lambda: signed_in.evaluate("0") is not None and len(sent) >= 3)
    signed_in.get_by_role("button", name="Pause large.wav").click()
    expect(signed_in.get_by_text("paused at")).to_be_visible()
    signed_in.unroute("**/console/v1/uploads/*/parts")
    signed_in.reload()
    expect(signed_in.get_by_text("Not finished: large.wav")).to_be_visible()
    again: list[str] = []
    signed_in.on("request", lambda request: again.append(request.url) if request.url.endswith("/parts") else None)
    signed_in.get_by_label("Files").set_input_files(large)  # it goes on by itself
    signed_in.wait_for_url(JOB)
    assert len(again) == math.ceil(LARGE / PART) - 2, "two of them were there"


def test_pause_and_resume_without_a_reload(signed_in: Page, large: Path) -> None:
    held: list[Route] = []
    signed_in.route("**/console/v1/uploads/*/parts", lambda route: route.continue_() if held else held.append(route))
    signed_in.get_by_label("Files").set_input_files(large)
    signed_in.get_by_role("button", name="Transcribe").click()
    wait_until(lambda: signed_in.evaluate("0") is not None and bool(held))
    signed_in.get_by_role("button", name="Pause large.wav").click()
    signed_in.get_by_role("button", name="Resume large.wav").click()
    expect(signed_in.get_by_role("link", name="Open")).to_be_visible()
    signed_in.get_by_role("link", name="Open").click()
    signed_in.wait_for_url(JOB)


def test_what_the_microphone_hears(signed_in: Page) -> None:
    signed_in.get_by_role("button", name="Record").click()
    expect(signed_in.locator("#seconds")).not_to_have_text("0:00")
    signed_in.get_by_role("button", name="Stop").click()
    expect(signed_in.get_by_text(re.compile(r"recording-.*\.webm"))).to_be_visible()
    signed_in.get_by_role("button", name="Transcribe").click()
    signed_in.wait_for_url(JOB)


def test_a_url_that_is_refused_is_told(signed_in: Page) -> None:
    signed_in.get_by_label("URL").fill("http://192.168.1.1/talk.mp3")
    signed_in.get_by_role("button", name="Transcribe").click()
    expect(signed_in.get_by_role("alert")).to_be_visible()
    expect(signed_in.get_by_role("button", name="Transcribe")).to_be_enabled()


def test_nothing_chosen_is_told(signed_in: Page) -> None:
    signed_in.get_by_role("button", name="Transcribe").click()
    expect(signed_in.get_by_role("alert")).to_contain_text("Choose a file")


def test_a_sample_is_one_click_away(signed_in: Page) -> None:
    signed_in.get_by_role("button", name="Try a sample").click()
    signed_in.wait_for_url(JOB)


def test_several_files_at_once_lead_to_the_list(signed_in: Page, tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"part-{number}.wav").write_bytes(long(3, seed=number).wav)
    (tmp_path / "notes.txt").write_text("no recording")
    signed_in.get_by_label("Files").set_input_files(sorted(tmp_path.iterdir()))
    expect(signed_in.get_by_text("1 file is empty or no recording")).to_be_visible()
    signed_in.get_by_role("button", name="Transcribe").click()
    signed_in.wait_for_url("**/console/jobs")
    for number in (1, 2):
        expect(signed_in.get_by_role("link", name=f"part-{number}.wav")).to_be_visible()


def test_whoever_was_signed_out_meanwhile_is_led_to_the_sign_in(
    signed_in: Page, installation: Installation, talk: Path
) -> None:
    signed_in.get_by_label("Files").set_input_files(talk)
    expect(signed_in.get_by_text("Estimated: $")).to_be_visible()
    signed_in.context.clear_cookies()
    signed_in.get_by_role("button", name="Transcribe").click()
    signed_in.wait_for_url("**/console/sign-in**")
    signed_in.get_by_label("API key").fill(installation.key)
    signed_in.get_by_role("button", name="Sign in").click()
    signed_in.wait_for_url("**/console/new")
