"""What an operator does on the operators' page."""

from playwright.sync_api import Page, expect

from tests.support.serving import Up, operator_token


def sign_in_on_call(page: Page, server: Up) -> None:
    """By a link, as an operator keeps it."""
    page.goto(f"{server.url}/ops#token={operator_token(server.data_dir)}")
    expect(page.locator("#board")).to_be_visible()
    expect(page.locator("#night-rows tr")).to_have_count(11)


def spaced(no: str) -> str:
    return f"{no[:5]} {no[5:10]} {no[10:]}"
