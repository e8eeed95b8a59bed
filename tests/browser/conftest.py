"""A real browser on a real server: pages that report their errors, validated API traffic, axe, pictures to look at."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from tests.support.browser import CHROMIUM, PATIENCE_MS, PHONE, Visit
from tests.support.serving import Up, quick_city, up

expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is here needs a browser."""
    if CHROMIUM is None:
        for item in items:
            if "browser" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason="needs a browser: install Debian's package chromium"))


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """What speaks to browsers. For the tests of one file, and no longer: its loop would be in the way of others'."""
    with sync_playwright() as it:
        yield it


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium without a window; root needs `--no-sandbox`. For the tests of one file, each with a context of its own:
    starting one takes 1.6 s of CPU."""
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[*options, "--disable-gpu"])
    yield chromium
    chromium.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Makes visits: `visit(server, locale=..., recorded=...)`; each is checked at the end."""
    made: list[Visit] = []

    def make(server: Up, *, recorded: bool = True, viewport: dict[str, int] = PHONE, **options: Any) -> Visit:
        options.setdefault("locale", "zh-CN")
        context = browser.new_context(viewport=viewport, **options)  # type: ignore[arg-type]
        made.append(Visit(context, server.url, recorded=recorded))
        return made[-1]

    yield make
    try:
        for each in made:
            each.check()
    finally:  # the browser goes on, for the next test
        for each in made:
            each.context.unroute_all(behavior="ignoreErrors")  # a page may be asking; nobody sees that answer any more
            each.context.close()


@pytest.fixture(scope="session")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A server just after 08:00 on the first day, with a draw of a second and demo residents."""
    folder = tmp_path_factory.mktemp("morning")
    city = quick_city(folder, poll_floor_seconds=1)
    clock = ("--clock", "2021-06-19T08:00:00+08:00")
    with up(folder / "data", "--city", str(city), *clock, "--workers", "1") as server:
        yield server
