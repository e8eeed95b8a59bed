"""A resident's own browser checks their number: what it says of it, and that it finds every single change."""

import copy
import hashlib
import hmac
import json
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from server.fairness.draw import Draw
from tests.support import SUPPORT
from tests.support.browser import Visit, Visits, look
from tests.support.moved_morning import DAY, LOOK, POLL, Morning, drawn
from tests.support.results import FROZEN_MS, ROUND, SIGNATURE, rfc_path, rfc_root
from tests.support.serving import TIANHE, Up, until

VECTORS = json.loads((SUPPORT / "draw_vectors_2.json").read_text("utf-8"))["cases"]
CASES = [case for case in VECTORS if case["entries"] <= 1000]
PROOF = "GET /ticket/proof"
# As drand-verify's README has it.
RANDOMNESS = "fc1873a13f3545aeade8401532ef5519920652eee6b0d2b19ca12643b87b3587"
BEACON = {"chain": "quicknet", "round": ROUND, "randomness": RANDOMNESS, "signature": SIGNATURE, "missing": None}

EVALUATE = """async (asked) => {
    const { faultIn, isListed } = await import("/verify.js");
    const found = [];
    for (const [place, opening, proof] of asked) {
        found.push(proof ? await isListed(place, opening.draw, proof) : await faultIn(place, opening));
    }
    return found;
}"""


def blinds_of(case: dict[str, Any]) -> list[str]:
    """Of a large draw the vectors say how they are made."""
    blinds: list[str] | str = case["blinds"]
    if isinstance(blinds, list):
        return blinds
    return [hashlib.sha256(b"%d" % entry).hexdigest()[:32] for entry in range(case["entries"])]


def numbers_of(case: dict[str, Any]) -> list[tuple[int, int]]:
    some: dict[str, int] = case.get("some", {})
    return [*enumerate(case.get("number_of_entry", ())), *((int(entry), number) for entry, number in some.items())]


def leaves_of(blinds: list[str]) -> list[bytes]:
    return [entry.to_bytes(8, "big") + bytes.fromhex(blind) for entry, blind in enumerate(blinds)]


def opening_of(case: dict[str, Any]) -> dict[str, Any]:
    """The public answer on a vector's draw."""
    district, day, *window = case["tag"].split(":")
    seed = case["seed"]
    draw = {"seconds": 120, "seed": seed, "commitment": hashlib.sha256(bytes.fromhex(seed)).hexdigest(), "version": 2}
    draw |= {"entries": case["entries"], "root": case["root"], "key": case["key"], "beacon": None}
    opens_at = f"{day}T08:00:00+08:00"
    which = {"district": district, "date": day, "window": int(window[0]) if window else 1, "opens_at": opens_at}
    return which | {"draw": draw}


def place_of(opening: dict[str, Any], entry: int, number: int) -> dict[str, Any]:
    draw = opening["draw"]
    return {"entry": entry, "number": number, "commitment": draw["commitment"], "root": draw["root"]}


def test_the_browser_finds_the_contracts_vectors_and_that_everybody_is_listed(morning: Up, visit: Visits) -> None:
    page = visit(morning, recorded=False).open()
    asked, lists = [], []
    for case in CASES:
        opening = opening_of(case)
        blinds = blinds_of(case)
        leaves, numbers = leaves_of(blinds), numbers_of(case)
        for entry, number in {*numbers[:3], *numbers[-2:]}:
            if not case["beacon"]:
                asked.append([place_of(opening, entry, number), opening])
            path = [node.hex() for node in rfc_path(entry, leaves)]
            proof = {"entry": entry, "blind": blinds[entry], "root": case["root"], "path": path}
            lists.append([place_of(opening, entry, number), opening, proof])
    assert len(asked) >= 10 and len(lists) >= 20
    assert page.evaluate(EVALUATE, asked) == [None] * len(asked)
    assert page.evaluate(EVALUATE, lists) == [True] * len(lists)


def bound_opening() -> dict[str, Any]:
    """Of a draw that ended three seconds before a round that is known was due, its key worked out by hand."""
    case = next(case for case in CASES if case["entries"] >= 5)
    opening = opening_of(case)
    opens = FROZEN_MS // 1000 - 120
    text = f"jiaohao draw 2\n{TIANHE}:2023-09-15\n".encode() + bytes.fromhex(case["root"] + RANDOMNESS)
    key = hmac.new(bytes.fromhex(case["seed"]), text, hashlib.sha256).digest()
    opens_at = f"{_instant(opens)}"
    draw = opening["draw"] | {"beacon": BEACON, "key": key.hex()}
    return opening | {"district": TIANHE, "date": "2023-09-15", "window": 1, "opens_at": opens_at, "draw": draw}


def _instant(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat()


def test_every_single_change_of_the_draw_is_found(morning: Up, visit: Visits) -> None:
    opening = bound_opening()
    number = Draw(bytes.fromhex(opening["draw"]["key"]), opening["draw"]["entries"]).number(3)
    right = place_of(opening, 3, number)

    def changed(text: str) -> str:
        return ("0" if text[0] != "0" else "1") + text[1:]

    changes: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for name in ("seed", "commitment", "root", "key"):
        other = copy.deepcopy(opening)
        other["draw"][name] = changed(other["draw"][name])
        unseen = right | {"commitment": None, "root": None}  # whoever had seen none before finds it too
        changes += [(right, other), (unseen, other)]
    for name, value in (
        ("round", ROUND + 1), ("signature", changed(SIGNATURE)), ("randomness", changed(RANDOMNESS)),
        ("chain", "another"), ("signature", None),
    ):  # fmt: skip
        other = copy.deepcopy(opening)
        other["draw"]["beacon"][name] = value
        changes.append((right, other))
    without = copy.deepcopy(opening)
    without["draw"]["beacon"] = None
    late = copy.deepcopy(opening)
    late["draw"]["beacon"] |= {"signature": None, "randomness": None, "missing": "late"}
    changes += [(right, without), (right, late)]
    changes += [(right, opening | it) for it in ({"district": "440111"}, {"date": "2023-09-16"}, {"window": 2})]
    changes += [(right | {"number": number % 5 + 1}, opening), (right | {"entry": 2}, opening)]
    page = visit(morning, recorded=False).open()
    own = copy.deepcopy(opening)  # of a network that is not public: its name says when its rounds are due
    own["draw"]["beacon"] |= {"chain": f"drand:{'ab' * 32}:{FROZEN_MS // 1000 + 3 - 600}:6:{'cd' * 96}", "round": 101}
    assert page.evaluate(EVALUATE, [[right, opening], [right, own]]) == [None, None]
    own["draw"]["beacon"]["round"] += 1
    assert page.evaluate(EVALUATE, [[right, own]]) == ["key"]
    found = page.evaluate(EVALUATE, [list(it) for it in changes])
    assert None not in found and len(found) == 20, found


# On the page


class Bound(Morning):
    """An opening whose draw is of the second version."""

    def __init__(self, here: Visit, server: Up, beacon: dict[str, Any] | None) -> None:
        self.beacon = beacon
        self.blinds = [hashlib.sha256(b"%d" % entry).hexdigest()[:32] for entry in range(self.ENTRIES)]
        self.leaves = leaves_of(self.blinds)
        self.root = rfc_root(self.leaves).hex()
        self.draw_changes: dict[str, Any] = {}
        self.proof_changes: dict[str, Any] = {}
        super().__init__(here, server)
        self.stays_at = 0
        randomness = (beacon or {}).get("randomness") or ""
        text = f"jiaohao draw 2\n{TIANHE}:{DAY}\n".encode() + bytes.fromhex(self.root + randomness)
        self.key = hmac.new(self.seed, text, hashlib.sha256).digest()

    def number(self, entry: int) -> int:
        return Draw(self.key, self.ENTRIES).number(entry)

    def public(self) -> dict[str, Any]:
        it = super().public()
        is_drawn = it["draw"]["seed"] is not None
        bound = {"version": 2, "beacon": self.beacon, "key": self.key.hex() if is_drawn else None}
        it["draw"] |= bound | {"root": self.root if is_drawn else None, "root_at": None, "numbers_at": None}
        it["draw"] |= self.draw_changes if is_drawn else {}
        return it

    def _answer(self, route: Route) -> None:
        if not route.request.url.endswith("/ticket/proof"):
            return super()._answer(route)
        self.asked.append((self.at_s, PROOF))
        entry = int(route.request.headers["authorization"].removeprefix("Bearer ticket-"))
        path = [node.hex() for node in rfc_path(entry, self.leaves)]
        proof = {"entry": entry, "blind": self.blinds[entry], "path": path, "root": self.root}
        return route.fulfill(status=200, json=proof | self.proof_changes)


WORDS = {
    "zh-CN": {
        "beacon": "谁也不能预知的公共随机数", "nobody": "管理系统的人也不能", "leaked": "只要种子没有提前泄露",
        "missing": "没有等到公共随机数", "soon": "过一会儿自动核对", "fits": "您是第 701 个取号的", "yes": "本机已核对",
        "no": "核对不上", "fault": "请保存核对的数据",
    },
    "en-GB": {
        "beacon": "that nobody could foresee", "nobody": "not even those who run", "leaked": "As long as the seed",
        "missing": "did not come in time", "soon": "by itself in a little while", "fits": "you were number 701 to join",
        "yes": "Checked by this device", "no": "does not fit", "fault": "save what was checked",
    },
}  # fmt: skip
# Two years before the beacon's first round, which is the one that such a day is bound to.
MISSING = {
    "chain": "quicknet",
    "round": 1,
    "due_at": "2023-08-23T15:09:27Z",
    "randomness": None,
    "signature": None,
    "missing": "nobody answered",
}


@pytest.mark.parametrize(
    ("locale", "beacon", "how", "means"),
    [("zh-CN", None, None, "leaked"), ("en-GB", MISSING, "missing", "leaked")],
)
def test_the_page_says_that_it_has_checked_the_number_and_what_that_means(
    morning: Up, visit: Visits, locale: str, beacon: dict[str, Any] | None, how: str | None, means: str
) -> None:
    words = WORDS[locale]
    it = Bound(visit(morning, recorded=False, locale=locale), morning, beacon)
    page = drawn(it, 700)
    expect(page.locator("#verified")).to_be_hidden()
    it.go_by(it.DRAW_S + 700 / 100 + 4 - it.at_s)
    expect(page.locator("#number")).to_have_text(str(it.number(700)))
    it.go_by(1)
    expect(page.locator("#verified-title")).to_contain_text(words["yes"])
    page.click("#verified summary")
    if how:
        expect(page.locator("#verified-how")).to_contain_text(words[how])
    expect(page.locator("#verified-means")).to_contain_text(words[means])
    expect(page.locator("#verified-means")).to_contain_text(str(it.number(700)))
    expect(page.locator("#verified-list")).to_contain_text(words["soon"])
    assert it.times(PROOF) == [] and it.times(POLL) == [], "so far it needs nothing but the public answer"
    page.click("#check-list")
    it.go_by(2)
    expect(page.locator("#verified-list")).to_contain_text(words["fits"])
    it.go_by(60, 2)
    assert len(it.times(PROOF)) == 1 and it.times(POLL) == []
    assert len(it.times(LOOK)) < 20
    it.here.context.clock.resume()  # axe waits for time to go by
    look(page, f"number-{locale}-fits")


def test_the_list_is_checked_by_itself_one_after_another(morning: Up, visit: Visits) -> None:
    it = Bound(visit(morning, recorded=False), morning, None)
    page = drawn(it, 700)
    it.go_by(it.DRAW_S + 60 - it.at_s, 1)
    (asked,) = it.times(PROOF)
    # By hand: the look at 7 to 8 s, then 20 s and a fiftieth of a second for each entry.
    assert it.DRAW_S + 7 + 20 + 14 - 1 <= asked <= it.DRAW_S + 7 + 20 + 14 + 5
    until(lambda: WORDS["zh-CN"]["fits"] in str(page.locator("#verified-list").text_content()), "it is checked")


@pytest.mark.parametrize("locale", ["zh-CN", "en-GB"])
@pytest.mark.parametrize("odd", ["key", "list"])
def test_what_does_not_fit_is_said_plainly_and_can_be_saved(morning: Up, visit: Visits, odd: str, locale: str) -> None:
    words = WORDS[locale]
    it = Bound(visit(morning, recorded=False, locale=locale), morning, None)
    page = drawn(it, 700)
    if odd == "key":  # an insider has put another one in, and computes from it
        it.key = bytes(32)
    else:
        it.proof_changes = {"blind": "00" * 16}
    it.go_by(it.DRAW_S + 55 - it.at_s, 1)
    expect(page.locator("#number")).to_have_text(str(it.number(700)))
    expect(page.locator("#number-fault")).to_contain_text(words["fault"])
    expect(page.locator("#verified-title")).to_contain_text(words["no"])
    page.click("#verified summary")
    with page.expect_download() as saved:
        page.click("#save-evidence")
    told = json.loads(saved.value.path().read_text("utf-8"))
    assert told["found"]["fault"] == odd and told["opening"]["draw"]["key"] == it.key.hex()
    assert "ticket-" not in json.dumps(told), "it can be handed to anybody"
    it.here.context.clock.resume()
    look(page, f"number-{locale}-{odd}-differs")
