"""Residents with a scripted server on the other side."""

import json
from datetime import date, datetime
from typing import Any

from loadtests.client.answers import Requests
from loadtests.client.measure import Meters
from loadtests.client.wire import Answer
from loadtests.crowd.arrivals import parse_curve
from loadtests.crowd.behaviour import Afterthought, Behaviour
from loadtests.crowd.crowd import Crowd
from loadtests.crowd.crowd_file import load_profile
from loadtests.crowd.profile import CrowdProfile
from loadtests.resident.acts import Act
from loadtests.resident.agenda import Agenda
from loadtests.resident.journey import Journey
from loadtests.resident.pace import Pace
from loadtests.resident.run_opening import RunOpening

OPENS_AT = datetime.fromisoformat("2021-06-19T08:00:00+08:00")
S = 1_000_000
NO, LATER_NO = "106190100000073", "106190100000081"


class Desk:
    """A journey of a small crowd, with a scripted server on the other side."""

    def __init__(self, profile: CrowdProfile | None = None) -> None:
        crowd = Crowd(3000, ("440106",), date(2021, 6, 19), 5, profile or load_profile())
        opening = RunOpening("440106", "2021-06-19", OPENS_AT, 0, 120.0, "", ("440106001", "440106002"))
        curve = parse_curve("door:0.5", 600, 120, crowd.profile.door)
        self.agenda, self.meters = Agenda(), Meters()
        self.journey = Journey(
            crowd, (opening,), (curve,), Pace.of(600, crowd.profile), Requests("test:80"), self.agenda, self.meters
        )
        self.observations = self.journey.observations

    def someone(
        self,
        behaviour: Behaviour = Behaviour.ORDINARY,
        thought: Afterthought = Afterthought.NONE,
        *,
        sites: bool = False,
        plain: bool = False,
    ) -> int:
        crowd, registering = self.journey.crowd, self.journey.registering
        return next(
            i
            for i in range(3000)
            if crowd.behaviour(i) is behaviour
            and crowd.afterthought(i) is thought
            and registering.asks_for_sites(i) is sites
            and self.journey.queueing.watching.is_plain(i) is plain
        )

    def sends(self, i: int, act: Act, now_us: int = 0) -> bytes:
        request = self.journey.request(i, act, now_us)
        assert request is not None
        return request

    def hears(
        self, i: int, act: Act, status: int, body: dict[str, Any], now_us: int = 0, retry_after: int | None = None
    ) -> None:
        head = b"http/1.1 200 ok\r\n" + (b"retry-after: %d\r\n" % retry_after if retry_after is not None else b"")
        self.journey.answered(i, act, Answer(status, head, json.dumps(body).encode()), now_us)

    def next(self) -> tuple[int, int, Act] | None:
        """What is filed next, however far ahead."""
        event = self.agenda.take(10**10)
        return (event[0], event[1], Act(event[2])) if event else None

    def gets_a_place(self, i: int, entry: int = 7, now_us: int = 0) -> None:
        self.sends(i, Act.JOIN, now_us)
        self.hears(i, Act.JOIN, 201, place(entry, "drawing", after=60), now_us)

    def is_called(self, i: int, now_us: int = 0, number: int = 3) -> None:
        body = {"state": "ready", "number": number, "serving": number, "poll_after_seconds": 5, "claim_before": at(300)}
        self.hears(i, Act.POLL, 200, body, now_us)

    def gets_a_pass(self, i: int, now_us: int = 0) -> None:
        self.sends(i, Act.CLAIM, now_us)
        self.hears(i, Act.CLAIM, 201, {"pass": "p1", "expires_at": at(600)}, now_us)

    def registers(self, i: int, no: str = NO, entry: int = 7) -> dict[str, Any]:
        """Takes resident `i` to a registration, with nothing else filed; what it looks like."""
        self.gets_a_place(i, entry)
        self.is_called(i, number=self.observations.number[i] or 3)
        self.gets_a_pass(i)
        sent: dict[str, Any] = json.loads(self.sends(i, Act.REGISTER).partition(b"\r\n\r\n")[2])
        self.agenda.clear()
        view = {"registration_no": no, "state": "proposed", "district": "440106", "not_before": None} | sent
        self.hears(i, Act.REGISTER, 201, view | {"receipt": f"r{entry}"})
        return view

    def upcoming(self) -> list[Act]:
        """Everything that is filed, in order; nothing is any more."""
        return [event[2] for event in iter(self.next, None) if event]

    def errors(self) -> int:
        return sum(self.meters.counts["errors"].values())


def at(seconds: float) -> str:
    from datetime import timedelta

    return (OPENS_AT + timedelta(seconds=seconds)).isoformat()


def place(entry: int, state: str, after: float | None = None, number: int | None = None) -> dict[str, Any]:
    return {
        "ticket": f"t{entry}", "entry": entry, "number": number, "serving": 0, "ahead": None, "eta_seconds": None,
        "poll_after_seconds": after, "state": state,
    }  # fmt: skip


def refusal(code: str, **extras: Any) -> dict[str, Any]:
    return {"type": f"/problems/{code}", "title": code, "code": code, "detail": "", **extras}
