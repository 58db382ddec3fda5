"""Signing in and out, as a person does it."""

import re

from playwright.sync_api import Page, expect

from tests.e2e.conftest import ADMIN_KEY, Installation
from tests.e2e.console.conftest import sign_in_link


def test_a_link_signs_in_once_and_then_no_more(page: Page, installation: Installation) -> None:
    link = sign_in_link(installation)
    page.goto(link)
    expect(page.get_by_role("heading", name="New transcription")).to_be_visible()
    assert "once" not in page.url
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    page.goto(link)
    expect(page.get_by_role("alert")).to_contain_text("used already")


def test_a_key_by_keyboard_alone(page: Page, installation: Installation) -> None:
    page.goto("/console/jobs")
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type("sk-not-this-one")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("API key").fill(installation.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    assert page.url.endswith("/console/jobs"), "back to where one wanted to go"


def test_a_session_that_ends_in_another_tab_ends_in_this_one(signed_in: Page) -> None:
    signed_in.goto("/console/jobs")
    other = signed_in.context.new_page()
    other.goto("/console/new")
    other.get_by_role("button", name="Sign out").click()
    signed_in.wait_for_url(re.compile("/console/sign-in"))  # its rows are asked for again and again
    expect(signed_in.get_by_label("API key")).to_be_visible()


def test_the_operator_has_a_page_more(page: Page) -> None:
    page.goto("/console/sign-in")
    page.get_by_label("API key").fill(ADMIN_KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="Operator")).to_be_visible()
    expect(page.get_by_role("heading", name="Operator")).to_be_visible()
    for title in ("Queue", "Workers", "Providers", "Doctor", "Books", "Accounts"):
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    expect(page.get_by_text("scheduler", exact=True).first).to_be_visible()
    expect(page.get_by_text("Balances, ledger, holds and jobs tell one story.")).to_be_visible()
    expect(page.get_by_text("clients").first).to_be_visible()
