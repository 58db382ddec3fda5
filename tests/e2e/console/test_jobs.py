"""Jobs: found, followed and steered by a person."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cli.client import Client
from tests.e2e.conftest import Installation
from tests.support.receiver import receiving
from tests.support.recordings import long, short


@pytest.fixture
def client(installation: Installation) -> Iterator[Client]:
    with Client(installation.url, installation.key) as made:
        yield made


def submitted(client: Client, path: Path, sound: bytes, **fields: str) -> str:
    path.write_bytes(sound)
    return client.submit(path, {"model": "whisper-1", **fields})["id"]


def test_a_job_is_followed_to_its_end_without_a_reload(signed_in: Page, client: Client, tmp_path: Path) -> None:
    signed_in.goto("/console/jobs?search=follow-me")
    expect(signed_in.get_by_text("No job is like that")).to_be_visible()
    submitted(client, tmp_path / "follow-me.wav", short(5).wav)
    row = signed_in.get_by_role("row", name="follow-me.wav")
    expect(row).to_be_visible()
    expect(row.get_by_text("completed")).to_be_visible()


def test_selected_jobs_are_cancelled_retried_and_deleted(signed_in: Page, client: Client, tmp_path: Path) -> None:
    for number in (1, 2):
        submitted(client, tmp_path / f"steer-{number}.wav", long(30, seed=number).wav, prompt="oracle: latency=60")
    signed_in.goto("/console/jobs?search=steer-")
    expect(signed_in.get_by_role("link", name="steer-2.wav")).to_be_visible()
    signed_in.get_by_label("Select steer-1.wav").check()
    with signed_in.expect_response("**/console/jobs/rows**"):
        pass  # the rows were renewed, and what was selected still is
    expect(signed_in.get_by_label("Select steer-1.wav")).to_be_checked()
    signed_in.get_by_role("button", name="Cancel").click()
    expect(signed_in.get_by_text("1 job cancelled.")).to_be_visible()
    signed_in.goto("/console/jobs?search=steer-&status=cancelled")
    expect(signed_in.get_by_role("link", name="steer-1.wav")).to_be_visible()
    signed_in.goto("/console/jobs?search=steer-")
    signed_in.get_by_label("All", exact=True).check()
    signed_in.once("dialog", lambda dialog: dialog.accept())
    signed_in.get_by_role("button", name="Delete").click()
    expect(signed_in.get_by_text("2 jobs deleted.")).to_be_visible()
    signed_in.goto("/console/jobs?search=steer-")
    expect(signed_in.get_by_text("No job is like that")).to_be_visible()


def test_a_question_that_is_answered_with_no_deletes_nothing(signed_in: Page, client: Client, tmp_path: Path) -> None:
    submitted(client, tmp_path / "spared.wav", short(6).wav)
    signed_in.goto("/console/jobs?search=spared")
    signed_in.get_by_label("Select spared.wav").check()
    signed_in.once("dialog", lambda dialog: dialog.dismiss())
    signed_in.get_by_role("button", name="Delete").click()
    signed_in.reload()
    expect(signed_in.get_by_role("link", name="spared.wav")).to_be_visible()


def test_transcripts_come_as_a_zip(signed_in: Page, client: Client, tmp_path: Path) -> None:
    submitted(client, tmp_path / "zipped.wav", short(7).wav)
    signed_in.goto("/console/jobs?search=zipped")
    expect(signed_in.get_by_role("row", name="zipped.wav").get_by_text("completed")).to_be_visible()
    signed_in.get_by_label("Select zipped.wav").check()
    signed_in.get_by_label("Format of the download").select_option("txt")
    with signed_in.expect_download() as download:
        signed_in.get_by_role("button", name="Download zip").click()
    download.value.save_as(tmp_path / "got.zip")
    with zipfile.ZipFile(tmp_path / "got.zip") as archive:
        (name,) = archive.namelist()
        assert archive.read(name).decode().split() == list(short(7).words)


def test_renewed_rows_take_nothing_from_whoever_uses_them(signed_in: Page, client: Client, tmp_path: Path) -> None:
    """A click that falls on a renewal arrives, an open list stays open, the keyboard stays where it is: nothing is put in anew."""
    submitted(client, tmp_path / "renewed.wav", short(9).wav)
    signed_in.goto("/console/jobs?search=renewed")
    box = signed_in.get_by_label("Select renewed.wav")
    box.check()
    signed_in.get_by_label("Format of the download").select_option("srt")
    box.focus()
    box.evaluate("box => { window.before = box; }")
    for _ in range(2):
        with signed_in.expect_response("**/console/jobs/rows*"):
            pass
    expect(box).to_be_checked()
    expect(box).to_be_focused()
    expect(signed_in.get_by_label("Format of the download")).to_have_value("srt")
    assert box.evaluate("box => window.before === box")


def test_a_failed_job_says_why(signed_in: Page) -> None:
    with receiving() as site:
        signed_in.get_by_label("URL").fill(f"{site.url}/nothing-there.mp3")
        signed_in.get_by_role("button", name="Transcribe").click()
        signed_in.wait_for_url("**/console/jobs/job_*")
        signed_in.goto("/console/jobs?search=nothing-there.mp3")
        row = signed_in.get_by_role("row", name="nothing-there.mp3")
        expect(row.get_by_text("failed", exact=True)).to_be_visible()
        expect(row.get_by_text("404")).to_be_visible()


def test_without_scripts_the_list_can_be_read_and_filtered(
    signed_in: Page, client: Client, installation: Installation, tmp_path: Path
) -> None:
    submitted(client, tmp_path / "plain.wav", short(8).wav)
    cookies = signed_in.context.cookies()
    assert signed_in.context.browser
    bare = signed_in.context.browser.new_context(base_url=installation.url, java_script_enabled=False)
    bare.add_cookies(cookies)
    try:
        page = bare.new_page()
        page.goto("/console/jobs")
        page.get_by_label("Search").fill("plain")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_role("link", name="plain.wav").first).to_be_visible()
    finally:
        bare.close()
