"""Somebody with an old phone: forms and links of the plain pages, read as a browser without scripts reads them."""

import re
from html.parser import HTMLParser
from typing import Any

import httpx

from tests.support.serving import TIANHE, House, Person

FORM = "application/x-www-form-urlencoded"


class Form(HTMLParser):
    """The forms, links and marked elements of a page, as a browser without scripts has them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: dict[str, dict[str, str]] = {}
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.hidden: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a test may ask for."""
        it = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.attributes |= it.keys()
        if "id" in it:
            assert it["id"] not in self.ids, f"twice: {it['id']}"
            self.ids[it["id"]] = it
        for name in ("href", "src", "action"):
            if name in it:
                self.links.append(it[name])
        if tag == "input" and it.get("type") == "hidden":
            self.hidden[it["name"]] = it["value"]


class Phone:
    """An old phone: keeps cookies and follows no redirect by itself."""

    def __init__(self, house: House, lang: str = "zh-CN") -> None:
        self.house = house
        self.client = httpx.AsyncClient(
            transport=house.client._transport, base_url=str(house.client.base_url), headers={"accept-language": lang}
        )
        self.seen: list[str] = []
        self.pages: list[str] = []

    async def get(self, path: str = "", status: int = 200, **how: Any) -> httpx.Response:
        """A page below /plain."""
        return self._note(await self.client.get(f"/plain{path}", **how), status)

    async def post(self, path: str, fields: dict[str, str] | None = None, status: int = 303, **how: Any) -> Any:
        """A form of a page below /plain."""
        return self._note(await self.client.post(f"/plain{path}", data=fields or {}, **how), status)

    async def send(self, path: str, body: bytes, status: int, kind: str = FORM) -> httpx.Response:
        """A body that no form makes."""
        headers = {"content-type": kind}
        return self._note(await self.client.post(f"/plain{path}", content=body, headers=headers), status)

    def _note(self, answer: httpx.Response, status: int) -> httpx.Response:
        assert answer.status_code == status, answer.text
        self.seen += [str(answer.request.url), *(v for k, v in answer.headers.items() if k != "set-cookie")]
        if answer.headers.get("content-type", "").startswith("text/html") and answer.text:
            self.pages.append(answer.text)
            self.seen += Form(answer.text).links
            check_page(answer)
        return answer

    async def join(self, who: Person, district: str = TIANHE, **changes: str) -> httpx.Response:
        """Hand in papers; the ticket's page."""
        answer = await self.post(f"/{district}", who.papers(**changes))
        assert answer.headers["location"] == "/plain/ticket"
        return await self.get("/ticket")

    async def register(self, who: Person, **wishes: str) -> str:
        """From joining to the receipt, in an opening past its draw; the registration number."""
        await self.join(who)
        await self.house.forward(1)
        assert (await self.post("/claim")).headers["location"] == "/plain/wishes"
        await self.get("/wishes")
        answer = await self.post("/wishes", wishes or {"any_site": "1"})
        assert answer.headers["location"] == "/plain/registration"
        await self.house.passes_freed()
        return number(await self.get("/registration"))


def number(answer: httpx.Response) -> str:
    """The registration number that a page shows, without its spaces."""
    shown = re.search(r'id="no" class="number">([0-9 ]+)<', answer.text)
    assert shown and [len(part) for part in shown[1].split()] == [5, 5, 5]
    return shown[1].replace(" ", "")


def check_page(answer: httpx.Response) -> None:
    """What holds for every page."""
    page, form = answer.text, Form(answer.text)
    assert form.tags.count("h1") == 1 and "script" not in form.tags and "style" not in form.tags
    assert not [name for name in form.attributes if name.startswith("on") or name in ("style", "srcdoc")]
    assert not [link for link in form.links if not link.startswith(("/", "#", "tel:", "geo:"))], (
        "nothing from elsewhere"
    )
    assert ">None<" not in page and "{{" not in page
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'", "style-src": "'self'", "img-src": "'self' data:", "form-action": "'self'",
        "base-uri": "'none'", "frame-ancestors": "'none'",
    }  # fmt: skip
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    lang = answer.headers["content-language"]
    assert f'<html lang="{lang}"' in page
    for described in re.findall(r'aria-describedby="([^"]+)"', page):
        assert set(described.split()) <= form.ids.keys()
    for tag in re.findall(r"<(?:input|select)[^>]+>", page):
        if 'type="hidden"' not in tag:
            name = re.search(r'id="([^"]+)"', tag)
            assert name and (f'for="{name[1]}"' in page or 'type="checkbox"' in tag), tag
