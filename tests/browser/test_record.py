"""The public record's fingerprint on a receipt: what it says, and that the page finds out a record that was changed."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from server.fairness.checkpoint import Notary
from server.fairness.merkle import Tree, leaf_hash
from tests.support.browser import Visits, look
from tests.support.results import rfc_root
from tests.support.serving import BAIYUN, Up
from tests.support.steps import come_in, demo, join, number_of, register

ENTRIES = [f"entry {n}".encode() for n in range(21)]
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 20, 21)


def tree(size: int) -> Tree:
    return Tree(b"".join(leaf_hash(entry) for entry in ENTRIES[:size]))


def answered(page: Page, size: int, change: Callable[[list[str]], list[str]] = list) -> None:
    """From now on the record is of so many entries, and its proofs of growth are changed so."""

    def answer(route: Route) -> None:
        if "/log/head" in route.request.url:
            route.fulfill(body=Notary("example.org/log", b"s" * 32).sign(size, tree(size).root()).note)
            return
        first, second = map(int, re.findall(r"=(\d+)", route.request.url))
        hashes = change(tree(second).prove_growth(first))
        body = json.dumps({"first": first, "second": second, "hashes": hashes})
        route.fulfill(body=body, content_type="application/json")

    page.unroute("**/api/v1/log/**")
    page.route("**/api/v1/log/**", answer)


def compared(page: Page, was: int, root: str) -> Any:
    return page.evaluate(
        """async (was) => (await import("/verify.js")).compare({}, was)""", {"size": was, "root": root}
    )["fits"]


def test_the_page_finds_the_record_grown_as_the_rfc_has_it_and_any_change_of_it(morning: Up, visit: Visits) -> None:
    page = visit(morning, recorded=False).open()
    for is_now in (*SIZES[::3], 21):
        answered(page, is_now)
        for was in SIZES:
            if was > is_now:
                continue
            root = rfc_root(ENTRIES[:was]).hex()
            assert compared(page, was, root) is True, (was, is_now)
            assert compared(page, was, rfc_root([*ENTRIES[: was - 1], b"another"]).hex()) is False, (was, is_now)
    root = rfc_root(ENTRIES[:6]).hex()
    answered(page, 5)
    assert compared(page, 6, root) is False, "it has lost an entry"
    wrong: tuple[Callable[[list[str]], list[str]], ...] = (
        lambda it: it[:-1], lambda it: [*it, it[0]], lambda it: it[::-1], lambda it: [],
        lambda it: [it[0].replace(it[0][5], "g", 1), *it[1:]],
    )  # fmt: skip
    for change in wrong:
        answered(page, 21, change)
        assert compared(page, 6, root) is False


WORDS = {
    "zh-CN": ("公开记录", "一条没少、一字没改", "对不上", "请稍后再试"),
    "en-GB": ("Public record", "not a letter changed", "It does not fit", "try again later"),
}


@pytest.mark.parametrize(("locale", "resident"), [("zh-CN", 15), ("en-GB", 16)])
def test_a_receipt_has_the_records_fingerprint_and_the_page_checks_it(
    morning: Up, visit: Visits, locale: str, resident: int
) -> None:
    label, fits, differs, later = WORDS[locale]
    page = visit(morning, locale=locale, recorded=False).open()
    join(page, demo(resident, BAIYUN), BAIYUN)
    come_in(page)
    no = register(page)
    kept = page.evaluate("(no) => JSON.parse(localStorage[`jiaohao:receipt:${no}`]).record", no)
    digits = " ".join(re.findall("....", kept["root"][:16]))
    expect(page.locator("#facts")).to_contain_text(label)
    expect(page.locator("#facts")).to_contain_text(digits)
    page.click("#record summary")
    expect(page.locator("#record-first")).to_contain_text(digits)
    look(page, f"record-{locale}-1-kept")
    page.click("#check-record")
    expect(page.locator("#record-said")).to_contain_text(fits)
    look(page, f"record-{locale}-2-fits")
    with page.expect_download() as saved:
        page.click("#save-record")
    assert saved.value.path().read_text("utf-8") == kept["checkpoint"]
    page.route("**/api/v1/log/**", lambda route: route.fulfill(status=404, body="{}", content_type="application/json"))
    page.click("#check-record")
    expect(page.locator("#record-said")).to_contain_text(later)
    answered(page, 21)  # another city's, of as many entries or more
    page.click("#check-record")
    expect(page.locator("#record-said")).to_contain_text(differs)
    look(page, f"record-{locale}-3-differs")
    assert number_of(page) == no
