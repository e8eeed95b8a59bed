"""The resident's whole journey in Firefox and in WebKit, by the keyboard alone, with names for who hears the page."""

import os
from pathlib import Path

import pytest

from tests.support.other_browsers import (
    ENTER,
    FIREFOX,
    SPACE,
    TAB,
    WEBKIT,
    XVFB,
    Window,
    await_shown,
    firefox,
    nameless,
    tab_to,
    webkit,
)
from tests.support.serving import Person, Up
from tests.support.steps import demo

# The libraries' own affairs: sockets and profiles that the collector closes, and a way of theirs that they give up.
pytestmark = [
    pytest.mark.filterwarnings("ignore:setting remote_server_addr:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BAIYUN = "440111"


def picture(window: Window, name: str) -> None:
    """A picture, where JIAOHAO_SCREENSHOTS names a folder for them."""
    if folder := os.environ.get("JIAOHAO_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(window.picture())


SIMPLIFIED = ("证件号码", "取号", "进入登记", "本区其他接种点也可以", "登记成功")
TRADITIONAL = ("證件號碼", "取號", "進入登記", "本區其他接種點也可以", "登記成功")


@pytest.mark.skipif(not FIREFOX, reason="needs Debian's package firefox-esr")
def test_from_home_to_the_receipt_by_the_keyboard_alone_in_firefox(morning: Up) -> None:
    with firefox() as window:
        window.go(f"{morning.url}/")
        await_shown(window, "#districts a")
        register_by_the_keyboard(window, demo(12, BAIYUN), SIMPLIFIED)
        picture(window, "firefox-receipt")


@pytest.mark.skipif(not (WEBKIT and XVFB), reason="needs Debian's packages webkit2gtk-driver and xvfb")
def test_from_home_to_the_receipt_by_the_keyboard_alone_in_webkit(morning: Up) -> None:
    with webkit() as window:
        window.go(f"{morning.url}/")
        await_shown(window, "#districts a")
        window.run("const it = document.querySelector('#language'); it.value = 'zh-Hant'; it.onchange()")
        await_shown(window, "[lang=zh-Hant] #districts a")
        register_by_the_keyboard(window, demo(13, BAIYUN), TRADITIONAL)
        picture(window, "webkit-receipt")


def register_by_the_keyboard(window: Window, who: Person, words: tuple[str, ...]) -> None:
    """From the list of districts to the receipt."""
    field, join, come, any_site, done = words
    assert nameless(window) == []
    tab_to(window, f"#districts a[href='#{BAIYUN}']")
    window.press(ENTER)

    await_shown(window, "#join")
    assert window.run("return document.activeElement.tagName") == "H2", "a new view is read from its heading"
    assert window.name_of("#id_number") == ("textbox", field)
    assert window.name_of("#go") == ("button", join)
    assert nameless(window) == []
    tab_to(window, "#id_number")
    for text in (who.id_number, TAB, who.name, TAB, who.phone, ENTER):
        window.press(text)

    await_shown(window, "#queue .number, #ready .number")
    await_shown(window, "#claim")
    assert window.name_of("#claim") == ("button", come)
    assert nameless(window) == []
    tab_to(window, "#claim")
    window.press(ENTER)

    await_shown(window, "#wishes")
    role, name = window.name_of("[name=accept_any_site]")
    assert role == "checkbox" and any_site in name
    assert nameless(window) == []
    tab_to(window, "[name=accept_any_site]")
    window.press(SPACE)
    tab_to(window, "#submit")
    window.press(ENTER)

    await_shown(window, "#receipt #facts div")
    assert window.run("return document.querySelector('#receipt-title').textContent") == done
    role, name = window.name_of("#no")
    assert role in ("image", "img") and len([it for it in name if it.isdigit()]) == 15
    assert nameless(window) == []
