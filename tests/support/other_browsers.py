"""Firefox and WebKit, each by its own driver: a window in which somebody goes by the keyboard alone.

Debian has no geckodriver: Firefox is spoken to as that does, by Mozilla's own Marionette client. WebKit's window needs
a screen, which Xvfb gives.
"""

import base64
import os
import shutil
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it asks for the system's name in an old way
    from marionette_driver.marionette import Marionette

from selenium.webdriver import WebKitGTK
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service

from tests.support.front import free_port

PATIENCE_SECONDS = 60
TAB, ENTER, SPACE = "\ue004", "\ue007", " "
_KEYS = (TAB, ENTER, SPACE)  # as a keyboard gives them: sent to a date's field, a key would be its value
MOST_TABS = 60
FIREFOX = shutil.which("firefox-esr")
WEBKIT = shutil.which("WebKitWebDriver")
XVFB = shutil.which("Xvfb")
_BROWSER = sorted(Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser"))


class Window(Protocol):
    """What the two drivers have in common."""

    def go(self, url: str) -> None:
        """Open a page."""

    def run(self, script: str) -> Any:
        """What a script on the page returns."""

    def press(self, keys: str) -> None:
        """Type, wherever the focus is."""

    def name_of(self, css: str) -> tuple[str, str]:
        """An element's role and name, as a screen reader tells them."""

    def picture(self) -> bytes:
        """A PNG of the page."""


class Firefox:
    """Firefox without a screen."""

    def __init__(self, marionette: Marionette) -> None:
        self._it = marionette

    def go(self, url: str) -> None:
        self._it.navigate(url)

    def run(self, script: str) -> Any:
        return self._it.execute_script(script)

    def press(self, keys: str) -> None:
        if keys in _KEYS:
            self._it.actions.sequence("key", "keyboard").key_down(keys).key_up(keys).perform()
        else:
            self._it.get_active_element().send_keys(keys)

    def name_of(self, css: str) -> tuple[str, str]:
        found = self._it.find_element("css selector", css)
        return found.computed_role, found.computed_label

    def picture(self) -> bytes:
        return base64.b64decode(self._it.screenshot())


class WebKit:
    """WebKitGTK's small browser."""

    def __init__(self, driver: WebKitGTK) -> None:
        self._it = driver

    def go(self, url: str) -> None:
        self._it.get(url)

    def run(self, script: str) -> Any:
        return self._it.execute_script(script)

    def press(self, keys: str) -> None:
        if keys in _KEYS:
            ActionChains(self._it).key_down(keys).key_up(keys).perform()
        else:
            self._it.switch_to.active_element.send_keys(keys)

    def name_of(self, css: str) -> tuple[str, str]:
        found = self._it.find_element(By.CSS_SELECTOR, css)
        return found.aria_role, found.accessible_name

    def picture(self) -> bytes:
        return self._it.get_screenshot_as_png()


@contextmanager
def firefox() -> Iterator[Window]:
    """A window of Firefox whose owner reads Chinese."""
    prefs = {"intl.accept_languages": "zh-CN", "accessibility.tabfocus": 7}
    it = Marionette(bin=FIREFOX, headless=True, port=free_port(), prefs=prefs, gecko_log="/dev/null")
    try:
        it.start_session()
        it.set_window_rect(width=500, height=900)
        yield Firefox(it)
    finally:
        with suppress(Exception):
            it.quit()
        it.cleanup()


@contextmanager
def webkit() -> Iterator[Window]:
    """A window of WebKit on a screen of its own; it asks for no language, but by the system's."""
    with _screen() as display:
        env = {
            **os.environ, "DISPLAY": display, "NO_AT_BRIDGE": "1",
            "WEBKIT_DISABLE_COMPOSITING_MODE": "1", "WEBKIT_DISABLE_DMABUF_RENDERER": "1",
        }  # fmt: skip
        options = Options()
        options.binary_location = str(_BROWSER[-1])
        options.add_argument("--automation")
        driver = WebKitGTK(options=options, service=Service(str(WEBKIT), env=env))
        try:
            driver.set_window_size(500, 900)
            yield WebKit(driver)
        finally:
            driver.quit()


@contextmanager
def _screen() -> Iterator[str]:
    theirs, ours = os.pipe()
    arguments = [str(XVFB), "-displayfd", str(ours), "-screen", "0", "800x1000x24", "-nolisten", "tcp"]
    process = subprocess.Popen(arguments, pass_fds=[ours], stderr=subprocess.DEVNULL)
    os.close(ours)
    try:
        with os.fdopen(theirs) as told:
            number = told.readline().strip()
        yield f":{number}"
    finally:
        process.terminate()
        process.wait(20)


def await_shown(window: Window, css: str) -> None:
    """Wait until an element is on the page, and to be seen."""
    script = f"const it = document.querySelector({css!r}); return Boolean(it && it.getClientRects().length)"
    end = time.monotonic() + PATIENCE_SECONDS
    while not window.run(script):
        assert time.monotonic() < end, f"{css} is not shown: {window.run('return document.body.innerText')[:600]}"
        time.sleep(0.1)


def tab_to(window: Window, css: str) -> None:
    """Go on by Tab until an element has the focus; whoever sees it sees where they are."""
    for _ in range(MOST_TABS):
        if window.run(f"return document.activeElement.matches({css!r})"):
            ring = window.run("return getComputedStyle(document.activeElement).outlineStyle")
            assert ring != "none", f"nobody sees that {css} has the focus"
            return
        window.press(TAB)
    raise AssertionError(f"{css} is not reached by the keyboard")


def nameless(window: Window) -> list[str]:
    """What can be worked on the page and has no name to be told by."""
    shown = window.run(
        """for (const it of document.querySelectorAll("[data-seen]")) delete it.dataset.seen;
        const found = [...document.querySelectorAll("a, button, input, select, summary, progress, [role=img]")];
        const seen = found.filter((it) => it.checkVisibility());
        seen.forEach((it, i) => { it.dataset.seen = i; });
        return seen.map((it) => it.outerHTML.slice(0, 80));"""
    )
    return [html for i, html in enumerate(shown) if not window.name_of(f'[data-seen="{i}"]')[1].strip()]
