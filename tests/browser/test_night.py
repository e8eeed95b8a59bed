"""What a resident's page says of the night: who comes with whom, why not yet, which appointment, how to check it."""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from server.core.keys import Pepper, key, resident_tag
from server.fairness.allotment import Candidate, OfferedSlot
from server.fairness.line_numbers import LineNumbers
from server.fairness.verification import verify_inclusion
from server.night.published import Published
from server.records.registration_changes import PassedOver
from server.store.connecting import connect
from tests.support.browser import Visits, look
from tests.support.serving import API, TIANHE, Person, Up, quick_city, up
from tests.support.small_night import SmallNight, Waiting
from tests.support.steps import come_in, demo, fill_papers, number_of, sideways
from tests.support.stores import Store

NIGHT = date(2021, 6, 19)
FIRST_DOSE = date(2021, 4, 20)  # of every demo resident
SITE = "440106-1"


class Backstage:
    """The store of a running server, for what only a night does.

    Args:
        server: with a store of its own.
        url: of the store.
    """

    def __init__(self, server: Up, url: str) -> None:
        self.server, self.url = server, url
        secrets = json.loads((server.data_dir / "secrets.json").read_text())
        self.pepper = Pepper(bytes.fromhex(secrets["JIAOHAO_SECRET"]))
        self.results = server.data_dir / "results"

    def do(self, act: Callable[[Store], Coroutine[Any, Any, Any]]) -> Any:
        """In a thread: the browser has this one's loop."""

        async def run() -> Any:
            store = Store(await connect(self.url))
            try:
                return await act(store)
            finally:
                await store.close()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, run()).result()

    def resident(self, who: Person) -> bytes:
        """Their key."""
        return self.pepper.resident(who.id_type, who.id_number)

    def registration(self, who: Person) -> dict[str, str]:
        """Its fields."""
        fields: dict[str, str] = self.do(lambda store: store.registration_fields(self.resident(who)))
        return fields

    def hold_night(self, people: list[tuple[Person, str]]) -> str:
        """One slot for all of them; the root."""
        wishes = [(SITE, "am")]
        waiting = [
            Waiting(self.resident(who), Candidate(no, FIRST_DOSE, "inactivated", wishes, True)) for who, no in people
        ]
        table = [(OfferedSlot(date(2021, 6, 22), SITE, "am", "inactivated"), 1)]

        async def act(store: Store) -> str:
            night = SmallNight(store, Published(self.results, LineNumbers(bytes(32))), NIGHT, waiting, table)
            await night.hold()
            return night.root

        return str(self.do(act))

    def pass_over(self, who: Person, no: str, night: str, reason: str, reached: str = "") -> None:
        """Another night in vain."""
        passed = PassedOver(self.resident(who), no, night, 3, reason, reached, withdrawn=reason == "withdrawn")
        assert self.do(lambda store: store.pass_over([passed], 99)) == ["passed"]

    def note_sms(self, who: Person, kind: str, state: str) -> None:
        """What a sender notes."""

        async def act(store: Store) -> None:
            client: Any = store.client
            told = f"{state} 1624150860000 1624150800000"
            await client.hset(key("registration", resident_tag(self.resident(who))), f"sms:{kind}", told)

        self.do(act)


@contextmanager
def day_after(tmp_path: Path, store_url: str) -> Iterator[Backstage]:
    """A server on 20 June, 09:00, with demo residents."""
    options = ("--clock", "2021-06-20T09:00:00+08:00", "--workers", "1", "--redis-url", store_url)
    city = quick_city(tmp_path, poll_floor_seconds=1)
    with up(tmp_path / "data", "--city", str(city), *options) as server:
        yield Backstage(server, store_url)


def place(page: Page, server: Up, who: Person) -> None:
    """From nowhere to the form of wishes."""
    page.goto(f"{server.url}/#{TIANHE}")
    fill_papers(page, who)
    page.click("#go")
    come_in(page)


def receipt(page: Page, server: Up, no: str) -> None:
    """Open it, asking the server anew."""
    page.goto(f"{server.url}/#home")
    expect(page.locator("#districts a").first).to_be_visible()
    page.goto(f"{server.url}/#receipt={no}")
    page.reload()
    assert number_of(page) == no


WORDS: dict[str, dict[str, str]] = {
    "zh-CN": {
        "wish": "不会占用排在前面的人的名额",
        "with": "一起的家人",
        "other": "别的区",
        "booked": "6月19日夜里统一安排",
        "why": "名额给到了第一剂日期为 4月20日 的人，和您同一天",
        "waiting": "还在等待安排",
        "rank": "您在 2 人中排第 2 位",
        "nothing": "您不用做什么",
        "soon": "即将发出",
        "arrived": "接种时间：已送达",
        "lost": "短信没有送到您的手机",
        "no": "发不到这个手机号",
        "full": "名额都给了排在前面的人",
        "no-such-site": "您选的接种点最近都没有名额",
        "not-offered": "没有您要接种的疫苗",
        "too-early": "都没到规定的间隔",
        "not-before": "早于您要求的最早日期",
        "withdrawn": "接种点临时收回",
        "passed": "名额给到了第一剂日期为 4月12日 的人，您的是 4月20日",
        "sites": "本区其他地方还给到了第一剂日期为 5月12日 的人",
        "wider": "勾选“其他接种点也可以”",
    },
    "en-GB": {
        "wish": "never at the cost of somebody ahead",
        "with": "With a relative",
        "other": "another district",
        "booked": "given in the night of 19 June",
        "why": "slots ended at first doses of 20 April, your own date",
        "waiting": "Still waiting for a date",
        "rank": "You were number 2 of 2",
        "nothing": "nothing to do",
        "soon": "about to be sent",
        "arrived": "appointment: arrived",
        "lost": "The SMS did not reach your phone",
        "no": "could not go to this number",
        "full": "all slots went to people ahead of you",
        "no-such-site": "none of the sites you chose has any slot",
        "not-offered": "none of your vaccine",
        "too-early": "too soon after your first dose",
        "not-before": "before the earliest day you asked for",
        "withdrawn": "was withdrawn by the site",
        "passed": "slots ended at first doses of 12 April; yours was on 20 April",
        "sites": "slots went on to first doses of 12 May",
        "wider": "any other site",
    },
}


@pytest.mark.parametrize(("locale", "scheme"), [("zh-CN", "light"), ("en-GB", "dark")])
def test_two_relatives_before_and_after_their_night(
    tmp_path: Path, store_url: str, visit: Visits, locale: str, scheme: str
) -> None:
    words, people = WORDS[locale], (demo(0), demo(1))
    with day_after(tmp_path, store_url) as stage:
        server = stage.server
        page = visit(server, locale=locale, color_scheme=scheme).open()
        place(page, server, people[0])
        expect(page.locator("#together-hint")).to_contain_text(words["wish"])
        expect(page.locator("#relatives button")).to_have_count(0)
        page.check("[name=accept_any_site]")
        page.fill("#together", "106190300000014")
        page.click("#submit")
        expect(page.locator("#together")).to_have_attribute("aria-invalid", "true")
        look(page, f"night-{locale}-1-no-relative")
        page.fill("#together", "")
        page.click("#submit")
        numbers = [number_of(page)]

        place(page, server, people[1])
        page.check("[name=accept_any_site]")
        page.locator("#relatives button").click()  # the number that is kept on this phone
        expect(page.locator("#together")).to_have_value(re.sub(r"(.{5})(?=.)", r"\1 ", numbers[0]))
        page.reload()  # and it is part of the draft
        expect(page.locator("#together")).not_to_have_value("")
        look(page, f"night-{locale}-2-relative")
        page.click("#submit")
        numbers.append(number_of(page))
        expect(page.locator("#facts")).to_contain_text(words["with"])
        receipt(page, server, numbers[0])
        page.click("#edit")
        page.locator("#relatives button").click()
        page.click("#submit")
        expect(page.locator("#facts")).to_contain_text(words["with"])
        kept = [stage.registration(who) for who in people]
        assert [fields["together"] for fields in kept] == numbers[::-1]
        assert {fields["lang"] for fields in kept} == {locale[:2]}

        root = stage.hold_night(list(zip(people, numbers, strict=True)))
        states = [stage.registration(who)["state"] for who in people]
        assert sorted(states) == ["booked", "proposed"], "one slot for two of the same day"
        mine, theirs = numbers[states.index("booked")], numbers[states.index("proposed")]
        winner, loser = people[states.index("booked")], people[states.index("proposed")]

        receipt(page, server, mine)
        expect(page.locator("#night")).to_be_hidden()
        expect(page.locator("#night-gave")).to_contain_text(words["booked"])
        expect(page.locator("#facts")).to_contain_text(words["soon"])
        stage.note_sms(winner, "allotted", "delivered")
        receipt(page, server, mine)
        expect(page.locator("#facts")).to_contain_text(words["arrived"])
        page.click("#check-it summary")
        expect(page.locator("#proof")).to_contain_text(root)
        look(page, f"night-{locale}-3-booked")
        with page.expect_download() as download:
            page.click("#save-proof")
        saved = download.value.path()
        assert verify_inclusion(saved, root).line.no == mine
        assert "receipt" not in json.loads(saved.read_text(encoding="utf-8")), "it can be handed to anybody"
        assert page.locator("#all-results").get_attribute("href") == f"{API}/allotments/{TIANHE}/{NIGHT}/file"
        with page.expect_download() as whole:
            page.click("#all-results")
        assert mine in whole.value.path().read_text(encoding="utf-8")

        receipt(page, server, theirs)
        expect(page.locator("#receipt-title")).to_have_text(words["waiting"])
        expect(page.locator("#night")).to_contain_text(words["why"])
        expect(page.locator("#night")).to_contain_text(words["nothing"])
        expect(page.locator("#night")).to_contain_text(words["rank"])
        stage.note_sms(loser, "registered", "refused")
        receipt(page, server, theirs)
        expect(page.locator("#sms-note")).to_contain_text(words["lost"])
        expect(page.locator("#facts")).to_contain_text(words["no"])
        page.click("#check-it summary")
        look(page, f"night-{locale}-4-waiting")
        here_, there = ("zh-Hans", "en") if locale == "zh-CN" else ("en", "zh-Hans")
        page.select_option("#language", there)  # and back: all of it is said in the other language
        other = WORDS["en-GB" if locale == "zh-CN" else "zh-CN"]
        expect(page.locator("#night")).to_contain_text(other["why"])
        expect(page.locator("#check-it")).to_contain_text(root)
        page.select_option("#language", here_)
        page.click("#large")
        page.set_viewport_size({"width": 320, "height": 640})
        assert sideways(page) == []
        look(page, f"night-{locale}-5-large")

        # The same on the plain pages
        tokens = page.evaluate("no => no.map((it) => JSON.parse(localStorage[`jiaohao:receipt:${it}`]).token)", numbers)
        held = "~".join(f"{no}.{token}" for no, token in zip(numbers, tokens, strict=True))
        host = str(urlsplit(server.url).hostname)
        page.context.add_cookies([{"name": "receipts", "value": held, "domain": host, "path": "/plain"}])
        for no, said in ((theirs, ("why", "rank", "lost", "no")), (mine, ("booked", "arrived"))):
            page.goto(f"{server.url}/plain")
            page.locator(f"form:has([value='{no}']) button").click()
            for word in said:
                expect(page.locator("main")).to_contain_text(words[word])
            page.click("#check-it summary")
            expect(page.locator("#proof")).to_contain_text(root)
            assert sideways(page) == []
            look(page, f"night-{locale}-6-plain-{said[0]}")


@pytest.mark.parametrize("locale", ["zh-CN", "en-GB"])
def test_each_reason_is_said_in_its_own_words(tmp_path: Path, store_url: str, visit: Visits, locale: str) -> None:
    words, who = WORDS[locale], demo(2)
    with day_after(tmp_path, store_url) as stage:
        page = visit(stage.server, locale=locale).open()
        place(page, stage.server, who)
        page.locator("#choices select").first.select_option(index=1)
        page.click("#submit")
        no = number_of(page)
        expect(page.locator("#night, #check-it, #night-gave").locator("visible=true")).to_have_count(0)
        nights = (
            ("full", "", "full", "wider"),
            ("full", "2021-04-12", "passed", "wider"),
            ("full", "2021-05-12", "sites", "wider"),
            ("no-such-site", "", "no-such-site", "wider"),
            ("not-offered", "", "not-offered", "wider"),
            ("too-early", "", "too-early", "nothing"),
            ("not-before", "", "not-before", None),
            ("withdrawn", "", "withdrawn", "nothing"),
        )
        for n, (reason, reached, why, help_) in enumerate(nights):
            stage.pass_over(who, no, f"2021-06-{n + 1:02d}", reason, reached)
            receipt(page, stage.server, no)
            expect(page.locator("#night")).to_contain_text(words[why])
            if help_ is not None:
                expect(page.locator("#night")).to_contain_text(words[help_])
            expect(page.locator("#night a[href^='#edit']")).to_have_count(0 if help_ == "nothing" else 1)
            expect(page.locator("#check-it")).to_be_hidden()  # these nights have no public result
            if why in ("passed", "withdrawn"):
                look(page, f"night-{locale}-why-{why}")
        assert "· withdrawn" not in str(page.locator("#history").text_content()), "a word of the scripts' own"
        page.goto(f"{stage.server.url}/#edit={no}")
        page.check("[name=accept_any_site]")
        page.click("#submit")
        stage.pass_over(who, no, "2021-06-18", "full", "2021-04-12")
        receipt(page, stage.server, no)
        expect(page.locator("#night")).to_contain_text(words["nothing"])
