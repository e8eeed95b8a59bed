"""A resident's own browser checks a number that a real server's draw gave, and each single wrong thing is found."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browser import Visits, look
from tests.support.serving import API, TIANHE, Up, operator_token, quick_city, until, up
from tests.support.steps import demo, join

IN_THE_DRAW = range(13)
DRAW_SECONDS = 30  # a loaded machine takes its time to start
FITS = {"zh-CN": ("本机已核对", "在名单上，名单没有改过"), "en-GB": ("Checked by this device", "you are on it")}
DIFFERS = {"zh-CN": ("核对不上", "请保存核对的数据"), "en-GB": ("does not fit", "save what was checked")}
# Whenever a page is loaded it finds a place that it has checked before as one that it has not.
UNCHECKED = """
for (const [name, text] of location.protocol === "http:" ? Object.entries(localStorage) : []) {
    if (name.includes("place:")) localStorage[name] = JSON.stringify({ ...JSON.parse(text), verified: undefined });
}
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A server in its first draw, in which thirteen people are; nobody is called after it: the rate is none."""
    folder = tmp_path_factory.mktemp("drawn")
    city = quick_city(folder, draw_seconds=DRAW_SECONDS)
    clock = ("--clock", "2021-06-19T07:59:58+08:00")
    with up(folder / "data", "--city", str(city), *clock, "--workers", "1") as server:
        token = operator_token(server.data_dir)
        server.answered("PATCH", f"{API}/openings/{TIANHE}", bearer=token, json={"rate_per_second": 0})
        for i in IN_THE_DRAW:
            assert server.join(demo(i))["state"] == "drawing"
        yield server


def changed(text: str) -> str:
    """One hexadecimal digit of it."""
    return ("0" if text[0] != "0" else "1") + text[1:]


def answer_with(change: Callable[[Any], None]) -> Callable[[Route], None]:
    """The server's own answer, but for a change."""

    def handle(route: Route) -> None:
        answer = route.fetch()
        it = answer.json()
        if answer.status == 200:
            change(it)
        route.fulfill(response=answer, json=it)

    return handle


def other_leaf(proof: Any) -> None:
    proof["blind"] = changed(proof["blind"])


def other_path(proof: Any) -> None:
    proof["path"][1] = changed(proof["path"][1])


def other(name: str) -> Callable[[Any], None]:
    """Something of the public answer's draw."""

    def change(opening: Any) -> None:
        if opening["draw"]["seed"] is not None:
            opening["draw"][name] = changed(opening["draw"][name])

    return change


PROOF, PUBLIC = f"**{API}/ticket/proof", f"**{API}/openings/{TIANHE}"
# One of each kind; the others of the kind, and every single change, are in `test_number_check.py`.
WRONG = {
    "leaf": (PROOF, other_leaf), "path": (PROOF, other_path),
    "seed": (PUBLIC, other("seed")), "root": (PUBLIC, other("root")),
}  # fmt: skip


def checked(page: Page, *, list_too: bool) -> None:
    """Wait until the page has looked at the number, and have it look at the list where it has not."""
    expect(page.locator("#verified")).to_be_visible()
    if not page.locator("#verified-list").is_visible():
        page.click("#verified summary")
    if list_too:
        page.click("#check-list")


def test_the_browser_checks_a_number_of_a_real_draw_and_finds_each_wrong_thing(drawn: Up, visit: Visits) -> None:
    here = visit(drawn, recorded=False)
    page = here.open()
    join(page, demo(0))  # their place is theirs already, however late a loaded machine's browser comes
    expect(page.locator("#queue")).to_be_visible()
    told = until(lambda: drawn.call("GET", f"{API}/openings/{TIANHE}").json()["draw"]["key"], "the draw is over")
    assert len(told) == 64
    expect(page.locator("#verified-title")).to_contain_text(FITS["zh-CN"][0])
    checked(page, list_too=True)
    expect(page.locator("#verified-list")).to_contain_text(FITS["zh-CN"][1])
    expect(page.locator("#number-fault")).to_be_hidden()
    look(page, "number-served-zh-CN-fits")
    state = here.context.storage_state()
    here.context.add_init_script(UNCHECKED)
    said = {}
    for what, (where, change) in WRONG.items():
        handler = answer_with(change)
        here.context.route(where, handler)
        page.reload()
        checked(page, list_too=where == PROOF)
        expect(page.locator("#verified-title"), what).to_contain_text(DIFFERS["zh-CN"][0])
        expect(page.locator("#number-fault"), what).to_contain_text(DIFFERS["zh-CN"][1])
        with page.expect_download() as saved:
            page.click("#save-evidence")
        said[what] = json.loads(Path(saved.value.path()).read_text("utf-8"))["found"]["fault"]
        if what in ("leaf", "seed"):
            look(page, f"number-served-zh-CN-{what}")
        here.context.unroute(where, handler)
    assert said == {"leaf": "list", "path": "list", "seed": "seed", "root": "key"}
    page.reload()
    checked(page, list_too=True)
    expect(page.locator("#verified-list")).to_contain_text(FITS["zh-CN"][1])
    english = visit(drawn, recorded=False, locale="en-GB", storage_state=state).open()
    checked(english, list_too=False)
    expect(english.locator("#verified-title")).to_contain_text(FITS["en-GB"][0])
    expect(english.locator("#verified-list")).to_contain_text(FITS["en-GB"][1])
    look(english, "number-served-en-GB-fits")
