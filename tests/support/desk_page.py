"""What a desk worker does on the desk's page."""

from playwright.sync_api import Page, expect

from tests.support.serving import Up


def sign_in_at_the_desk(page: Page, server: Up, token: str) -> None:
    """By the link that the manager was given."""
    page.goto(f"{server.url}/staff#token={token}")
    expect(page.locator("#desk")).to_be_visible()
    expect(page.locator("li.entry")).to_have_count(2)


def type_number(page: Page, number: str) -> None:
    """As a hand scanner does: digits, then Enter."""
    page.fill("#regno", number)
    page.press("#regno", "Enter")


def confirm(page: Page) -> None:
    """Press the button, once it may be pressed."""
    expect(page.locator("#confirm")).to_be_visible()
    expect(page.locator("#attended")).not_to_have_attribute("aria-disabled", "true")
    page.click("#attended")
