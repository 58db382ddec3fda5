"""Usage, keys and webhooks, as a person uses them."""

import json
from pathlib import Path

from playwright.sync_api import Page, expect

from cli.client import Client
from tests.e2e.conftest import Installation
from tests.support.receiver import receiving


def test_usage_adds_up_and_comes_as_csv(signed_in: Page, installation: Installation, tmp_path: Path) -> None:
    with Client(installation.url, installation.key) as client:
        client.speech({"model": "tts-1", "voice": "alloy", "input": "One sentence.", "response_format": "wav"})
    signed_in.get_by_role("link", name="Usage").click()
    expect(signed_in.get_by_role("heading", name="Receipts")).to_be_visible()
    signed_in.get_by_label("By", exact=True).select_option("model")
    signed_in.get_by_role("button", name="Show").click()
    expect(signed_in.get_by_role("cell", name="tts-1").first).to_be_visible()
    expect(signed_in.locator("svg.chart rect").first).to_be_attached()
    with signed_in.expect_download() as download:
        signed_in.get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "usage.csv")
    assert "tts-1," in (tmp_path / "usage.csv").read_text()


def test_a_key_is_made_used_and_revoked(signed_in: Page, installation: Installation) -> None:
    signed_in.get_by_role("link", name="Keys").click()
    signed_in.get_by_label("Name").fill("made by hand")
    signed_in.get_by_role("button", name="Create key").click()
    secret = signed_in.locator("#secret").inner_text()
    with Client(installation.url, secret) as client:
        assert client.limits()
    signed_in.reload()
    expect(signed_in.get_by_text("shown this once")).to_be_hidden()
    signed_in.once("dialog", lambda dialog: dialog.accept())
    signed_in.get_by_role("button", name="Revoke made by hand").click()
    expect(signed_in.get_by_role("row", name="made by hand").get_by_text("revoked")).to_be_visible()


def test_a_webhook_is_made_tested_and_replayed(signed_in: Page) -> None:
    with receiving() as receiver:
        signed_in.get_by_role("link", name="Webhooks").click()
        signed_in.get_by_label("Name").fill("by hand")
        signed_in.get_by_label("URL").fill(receiver.url)
        signed_in.get_by_label("webhook.test").check()
        signed_in.get_by_role("button", name="Create endpoint").click()
        assert signed_in.locator("#secret").inner_text().startswith("whsec_")
        signed_in.get_by_role("link", name="by hand").first.click()
        signed_in.get_by_role("button", name="Send a test event").click()
        expect(signed_in.get_by_text("The test event was delivered: 200.")).to_be_visible()
        expect(signed_in.get_by_text("thanks")).to_be_visible()
        assert json.loads(signed_in.locator("pre").first.inner_text())["type"] == "webhook.test"
        signed_in.get_by_role("button", name="Replay").first.click()
        expect(signed_in.get_by_text("webhook.test", exact=True).last).to_be_visible()
        signed_in.once("dialog", lambda dialog: dialog.accept())
        signed_in.get_by_role("button", name="Delete").click()
        expect(signed_in.get_by_role("heading", name="Webhooks")).to_be_visible()
        assert len(receiver.got) >= 1
