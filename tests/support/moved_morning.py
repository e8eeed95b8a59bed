"""An opening's morning as its public answer tells it to a browser: a draw and calls that a test moves, and a clock."""

import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, Route, expect

from server.fairness.draw import Draw, commitment
from tests.support import SUPPORT
from tests.support.browser import Call, Visit
from tests.support.moved_clock import MovedClock
from tests.support.serving import API, TIANHE, Up, until
from tests.support.steps import demo, join

SEED = bytes.fromhex(json.loads((SUPPORT / "draw_vectors.json").read_text(encoding="utf-8"))["seed"])
DAY = "2021-06-19"
LOOK, POLL = f"GET /openings/{TIANHE}", "GET /ticket"


def wait(**changes: Any) -> dict[str, Any]:
    """`wait` of a public answer."""
    look = {"floor_seconds": 5, "ceiling_seconds": 600, "share": 0.6, "stretch": 1.0, "per_second": 100}
    names = {"pace": "pace_per_second"}
    it = {"pace_per_second": 2.0, "free": 1000, "given_up": [], "hold_until": None, "claim_seconds": 300, "turns": []}
    return it | {"look": look} | {names.get(name, name): value for name, value in changes.items()}


class Morning(MovedClock):
    """An opening of 08:00 with a draw of two minutes, as its public answer tells it; and what is asked, and when.

    Args:
        here: whose browser gets the answers and the clock; before its first page.
        server: serves the pages, and the answers that these are made of.
        at_s: seconds after 08:00 at first.
    """

    ENTRIES, DRAW_S, RATE = 1000, 120.0, 2.0

    def __init__(self, here: Visit, server: Up, at_s: float = 30.0) -> None:
        super().__init__(here, datetime.fromisoformat(f"{DAY}T08:00:00+08:00"), at_s)
        self.city = server.call("GET", f"{API}/city").json()
        self.opening: dict[str, Any] = server.call("GET", f"{API}/openings/{TIANHE}").json() | {
            "date": DAY,
            "window": 1,
        }
        self.seed, self.committed = SEED, commitment(SEED)
        self.changes: dict[str, Any] = {}  # of the public answer
        self.age_s = 0.0  # how old it is
        self.entries: list[int] = []  # of those who join, in order
        self.stays_at: int | None = None  # nobody is called beyond it
        self.status = 200
        self.asked: list[tuple[float, str]] = []
        here.context.route("**/api/v1/**", self._answer)
        self.scripts: set[str] = set()
        here.context.on("requestfinished", lambda it: self.scripts.add(urlsplit(it.url).path))

    def number(self, entry: int) -> int:
        """Of an entry, by the contract's draw."""
        return Draw(SEED, self.ENTRIES).number(entry)

    def serving(self, at_s: float) -> int:
        """Calls begin when the draw is over."""
        if self.stays_at is not None:
            return self.stays_at
        return max(0, min(self.ENTRIES + 50, int((at_s - self.DRAW_S) * self.RATE)))

    def times(self, what: str, since_s: float = 0.0) -> list[float]:
        """When something was asked."""
        return [at_s for at_s, asked in self.asked if asked == what and at_s >= since_s]

    def public(self) -> dict[str, Any]:
        """The public answer, as old as it is."""
        at_s = self.at_s - self.age_s
        drawn = at_s >= self.DRAW_S
        draw: dict[str, Any] = {"seconds": int(self.DRAW_S), "commitment": self.committed}
        draw |= {"entries": self.ENTRIES if drawn else None, "seed": self.seed.hex() if drawn else None}
        # of the first version, as an opening that was prepared by the version before
        draw |= {"version": 1, "root": None, "root_at": None, "beacon": None, "key": None, "numbers_at": None}
        told: dict[str, Any] = {
            "now": (self.start + timedelta(seconds=int(at_s))).isoformat(),
            "state": "open" if drawn else "draw",
        }
        told |= {"opens_at": f"{DAY}T08:00:00+08:00", "closes_at": f"{DAY}T12:00:00+08:00", "issued": self.ENTRIES + 50}
        told |= {"serving": self.serving(at_s), "waiting": self.ENTRIES, "rate_per_second": self.RATE, "message": None}
        return self.opening | told | {"draw": draw, "wait": wait()} | self.changes

    def poll(self, ticket: str) -> dict[str, Any]:
        """What a worker says of a place."""
        entry = int(ticket.removeprefix("ticket-"))
        number, serving = self.number(entry) if entry < self.ENTRIES else entry + 1, self.serving(self.at_s)
        it: dict[str, Any] = {"state": "waiting", "number": number, "serving": serving, "ahead": number - serving - 1}
        it |= {"eta_seconds": 100, "poll_after_seconds": 60, "claim_before": None}
        if number <= serving:
            deadline = self.start + timedelta(seconds=int(self.DRAW_S + number / self.RATE) + 300)
            it |= {"state": "ready", "ahead": 0, "eta_seconds": 0, "claim_before": deadline.isoformat()}
            it["poll_after_seconds"] = 5
        return it

    def _answer(self, route: Route) -> None:
        method, path = route.request.method, urlsplit(route.request.url).path.removeprefix(API)
        ticket = route.request.headers.get("authorization", "").removeprefix("Bearer ")
        self.asked.append((self.at_s, f"{method} {path}"))
        status, data = 200, dict[str, Any]()
        if path == "/city":
            data = self.city | {"now": self.now().isoformat(), "draw_seconds": int(self.DRAW_S)}
        elif (method, path) == ("GET", f"/openings/{TIANHE}"):
            status, data = self.status, self.public()
        elif (method, path) == ("POST", f"/openings/{TIANHE}/tickets"):
            entry = self.entries.pop(0)
            status = 201
            data = {"ticket": f"ticket-{entry}", "entry": entry, "number": None, "serving": 0, "ahead": None}
            data |= {"eta_seconds": None, "poll_after_seconds": self.DRAW_S - self.at_s + 60, "state": "drawing"}
            if self.at_s >= self.DRAW_S:
                data |= {k: it for k, it in self.poll(f"ticket-{entry}").items() if k != "claim_before"}
        else:
            assert (method, path) == ("GET", "/ticket"), f"nothing else is asked: {method} {path}"
            data = self.poll(ticket)
        if status >= 500:
            problem = {
                "type": "/problems/store-unavailable",
                "title": "忙",
                "status": status,
                "code": "store-unavailable",
            }
            return route.fulfill(
                status=status, headers={"retry-after": "20"}, json=problem | {"detail": "现在人很多。"}
            )
        self.here.calls.append(Call(method, f"{API}{path}", status, json.dumps(data), "application/json"))
        return route.fulfill(status=status, json=data)


def drawn(it: Morning, entry: int) -> Page:
    """Somebody who has joined in the draw, and sees their place."""
    it.entries.append(entry)
    page = it.here.open()
    join(page, demo(0))
    it.go_by(21, 1)  # the page spreads joins
    expect(page.locator("#queue")).to_be_visible()
    it.go_by(1)  # it asks for its rules when it looks at its clock, which stands still when nobody moves it
    until(lambda: page.evaluate("1") and "/wait.js" in it.scripts, "its rules are there")
    return page


def entry_of(it: Morning, number: int) -> int:
    """Who got a number in the draw."""
    return next(entry for entry in range(it.ENTRIES) if it.number(entry) == number)
