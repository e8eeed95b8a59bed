"""The plain page at `/` in a real browser: join, see the number, be called, register, find it again."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from server.city import load_city
from server.demo import demo_resident
from tests.serving import Up, quick_city, up

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_PATIENCE_MS = 30_000

pytestmark = pytest.mark.skipif(_CHROMIUM is None, reason="needs a browser: install Debian's package chromium")


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A server just after 08:00, with a draw of a second."""
    folder = tmp_path_factory.mktemp("page")
    city = quick_city(folder)
    with up(folder / "data", "--city", str(city), "--clock", "2021-06-19T08:00:00+08:00", "--workers", "1") as server:
        yield server


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Chromium without a window; root needs `--no-sandbox`."""
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=_CHROMIUM, args=[*options, "--disable-gpu"])
        yield chromium
        chromium.close()


def _page(browser: Browser, locale: str) -> tuple[Page, list[str]]:
    """A phone's page, and the errors it will report."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale=locale)
    page = context.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if "Content Security Policy" in m.text else None)
    return page, errors


def _shoot(page: Page, name: str) -> None:
    """A screenshot to look at, where a folder is named for them."""
    if folder := os.environ.get("JIAOHAO_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.mark.parametrize(("locale", "resident", "title"), [("zh-CN", 0, "登记成功"), ("en-GB", 1, "registered")])
def test_one_can_join_be_called_and_register(
    opening: Up, browser: Browser, locale: str, resident: int, title: str
) -> None:
    page, errors = _page(browser, locale)
    page.goto(opening.url)
    _shoot(page, f"{locale}-1-districts")
    page.locator("#districts a, #districts button").first.click()  # Tianhe
    number, name, phone = demo_resident(load_city(None), 1, resident)
    page.fill("#id_number", number)
    page.fill("#name", name)
    page.fill("#phone", phone)
    _shoot(page, f"{locale}-2-papers")
    page.click("#go")
    page.wait_for_selector("#ready:visible", timeout=_PATIENCE_MS)
    _shoot(page, f"{locale}-3-called")
    page.reload()  # a refresh keeps the place
    page.click("#claim")
    page.wait_for_selector("#wishes:visible")
    page.locator("#choices select").first.select_option(index=1)
    _shoot(page, f"{locale}-4-wishes")
    page.click("#wishes button[type=submit]")
    expect(page.locator("#receipt-title")).to_contain_text(title, timeout=_PATIENCE_MS)
    no = page.locator("#no").inner_text()
    assert len(no.replace(" ", "").replace("\n", "")) == 15, no
    assert page.locator("#qr").evaluate("async (it) => { await it.decode(); return it.naturalWidth > 0 }")
    _shoot(page, f"{locale}-5-receipt")
    page.reload()
    expect(page.locator("#no")).to_have_text(no, timeout=_PATIENCE_MS)
    assert errors == []
    stored = page.evaluate("JSON.stringify(localStorage) + location.href")
    assert not any(secret in stored for secret in (number, phone, name)), "papers are not kept on the device"


def test_a_wrong_number_is_told_beside_its_field(opening: Up, browser: Browser) -> None:
    page, errors = _page(browser, "zh-CN")
    page.goto(opening.url)
    page.locator("#districts a, #districts button").first.click()
    page.fill("#id_number", "990000195001010108")
    page.fill("#name", "王演示")
    page.fill("#phone", "13901000000")
    page.click("#go")
    expect(page.locator("#id_number")).to_have_attribute("aria-invalid", "true", timeout=_PATIENCE_MS)
    assert errors == []
