"""A person with a browser: pages that report their errors, traffic checked against the schema, axe, pictures."""

import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Route
from playwright.sync_api import Error as PlaywrightError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_MS = 30_000
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Call:
    """One call of the page below the base path, and what was answered."""

    def __init__(self, method: str, path: str, status: int, text: str, content_type: str) -> None:
        self.method, self.path, self.status, self.text, self.content_type = method, path, status, text, content_type

    @property
    def data(self) -> Any:
        """Its JSON."""
        return json.loads(self.text or "null")


class Visit:
    """A person with a browser.

    Args:
        context: theirs alone.
        url: of the server.
        recorded: whether their API traffic is kept and checked against the schema.
    """

    def __init__(self, context: BrowserContext, url: str, *, recorded: bool) -> None:
        self.context = context
        self.url = url
        self.errors: list[str] = []
        self.calls: list[Call] = []
        _schema(url)  # while the server is there
        context.set_default_timeout(PATIENCE_MS)
        context.on("page", self._watch)
        if recorded:
            context.route("**/api/v1/**", self._record)

    def _watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda m: self.errors.append(m.text) if "Content Security Policy" in m.text else None)

    def _record(self, route: Route) -> None:
        request = route.request
        try:
            answer = route.fetch()
            text = answer.text()
        except PlaywrightError:  # the same, or the network is off
            with suppress(PlaywrightError):
                route.abort()
            return
        path = "/" + request.url.split("/", 3)[3]
        kind = answer.headers.get("content-type", "")
        self.calls.append(Call(request.method, path, answer.status, text, kind))
        with suppress(PlaywrightError):  # the page has gone elsewhere meanwhile
            route.fulfill(response=answer)

    def open(self, path: str = "/") -> Page:
        """A new tab."""
        page = self.context.new_page()
        page.goto(self.url + path)
        return page

    def check(self) -> None:
        """No error on any page, and every answer is as the schema says."""
        assert self.errors == []
        for call in self.calls:
            check_schema(self.url, call)


Visits = Callable[..., Visit]
"""What the fixture `visit` gives: makes visits."""


@cache
def _schema(url: str) -> Any:
    return httpx.get(f"{url}/schema", trust_env=False).json()


def template_of(url: str, call: Call) -> str:
    """The schema's path that a call's path fits."""
    plain = call.path.split("?")[0]
    for template in sorted(_schema(url)["paths"], key=lambda t: t.count("{")):
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), plain):
            return str(template)
    raise AssertionError(f"not in the schema: {call.method} {plain}")


def check_schema(url: str, call: Call) -> None:
    """The answer is one that the schema knows, of the form that it says."""
    schema = _schema(url)
    operation = schema["paths"][template_of(url, call)].get(call.method.lower())
    assert operation is not None, f"{call.method} {call.path}"
    answer = operation["responses"].get(str(call.status))
    assert answer is not None, f"{call.method} {call.path}: {call.status}"
    for kind, content in answer.get("content", {}).items():
        if "json" in kind:
            document = {**content["schema"], "components": schema["components"]}
            jsonschema_rs.validator_for(document).validate(call.data)


def look(page: Page, name: str, *, shown: Page | None = None) -> None:
    """axe finds nothing; and pictures of a phone and a desktop, where JIAOHAO_SCREENSHOTS names a folder for them.

    Args:
        page: where axe runs.
        name: of the pictures.
        shown: the page that the pictures are of, where it is another: axe needs scripts.
    """
    found = Axe().run(page, options={"runOnly": _TAGS})
    violations = [f"{v['id']}: {node['html'][:120]}" for v in found.response["violations"] for node in v["nodes"]]
    assert violations == [], name
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"
    picture(shown or page, name)


def picture(page: Page, name: str) -> None:
    """Pictures of a phone and a desktop, where JIAOHAO_SCREENSHOTS names a folder for them."""
    folder = os.environ.get("JIAOHAO_SCREENSHOTS")
    if not folder:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    before = page.viewport_size
    for device, size in (("phone", PHONE), ("desktop", DESKTOP)):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.screenshot(path=Path(folder) / f"{name}-{device}.png", full_page=True)
    if before is not None:
        page.set_viewport_size(before)
