"""One resident in a storm: joins, waits, claims, registers, changes their mind; asks again until something is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import Any

import gevent

from loadtests.client.answers import Requests
from loadtests.client.wire import Answer, Broken, Connection
from loadtests.history.record import Kind
from loadtests.nemesis.papers import PERIODS, Person
from loadtests.nemesis.recorded import Calls
from loadtests.nemesis.seen import Seen, Told

_ANSWER_SECONDS = 7.0
_AGAIN_SECONDS = 0.25
_MISSED = ("missed", "left", "ended")


class GivenUp(Exception):
    """The time is over."""


class Resident:
    """Asks one host, and the other when it fails.

    Args:
        seen: where what they are told is kept.
        place: district and site.
        hosts: theirs first.
        until: by the monotonic clock: then they give up.
        mind: 0 to 1, by chance: whether they change their wishes, or cancel.
        clock: from city time to the machine's monotonic clock.
        calls: where each is written down.
    """

    def __init__(
        self,
        seen: Seen,
        who: Person,
        place: tuple[str, str],
        hosts: list[tuple[str, int]],
        until: float,
        mind: float,
        clock: Callable[[datetime], float],
        calls: Calls,
    ) -> None:
        self.seen, self._calls = seen, calls
        self._who, self._until, self._mind, self._clock = who, until, mind, clock
        self._district, self._site = place
        self._lines = [(Connection(*host), Requests(f"{host[0]}:{host[1]}")) for host in hosts]

    def live(self) -> None:
        """Do all of it, as far as there is time."""
        try:
            while not self._queue():
                pass
            self._ask(Kind.POLL, lambda r: r.poll(self.seen.ticket.encode()), (200,))
            self._register()
            if self._mind < 0.3:
                self._amend()
            elif self._mind < 0.45:
                self._cancel()
            self._ask(Kind.POLL, lambda r: r.poll(self.seen.ticket.encode()), (200,))
            self._read()
        except GivenUp:
            pass

    def look_again(self, until: float) -> None:
        """When all is well again: whether what was acknowledged is still so."""
        self._until, seen = until, self.seen
        try:
            if seen.no:
                self._look_up()
            elif seen.ticket:
                self._still_there()
        except GivenUp:
            seen.wrong.append("no answer when all was well again")

    def close(self) -> None:
        """Drop the connections."""
        for connection, _ in self._lines:
            connection.close()

    def _queue(self) -> bool:
        """From a join to a pass; whether they got one."""
        seen = self.seen
        answer = self._ask(Kind.JOIN, lambda r: r.join(self._district, self._who.join_body()), (200, 201, 409))
        if answer["status"] == 409:  # registered, by a request whose answer did not come
            raise GivenUp
        seen.placed(int(answer["entry"]), answer["status"] == 201)
        seen.ticket, seen.number = answer["ticket"], answer.get("number")
        while True:
            told = self._ask(Kind.POLL, lambda r: r.poll(seen.ticket.encode()), (200,))
            if told.get("number") is not None:
                if seen.number not in (None, told["number"]):
                    seen.wrong.append(f"number {told['number']}, after {seen.number}")
                seen.number = told["number"]
            if told["state"] in ("ready", "claimed"):
                seen.called.append((monotonic(), seen.number or 0))
                break
            if told["state"] in _MISSED:
                return False
            gevent.sleep(_AGAIN_SECONDS)
        answer = self._ask(Kind.CLAIM, lambda r: r.claim(seen.ticket.encode()), (200, 201, 410, 409))
        if answer["status"] >= 400:
            return False
        seen.pass_ = answer["pass"]
        seen.pass_until = self._clock(datetime.fromisoformat(answer["expires_at"]))
        return True

    def _register(self) -> None:
        seen = self.seen
        body = self._wishes(PERIODS[0])
        seen.registering_since = monotonic()
        answer = self._ask(Kind.REGISTER, lambda r: r.register(seen.pass_.encode(), body), (200, 201, 409, 410))
        if answer["status"] >= 400:
            raise GivenUp
        if seen.no and seen.no != answer["registration_no"]:
            seen.wrong.append(f"number {answer['registration_no']}, after {seen.no}")
        seen.no, seen.receipt, seen.wishes = answer["registration_no"], answer["receipt"], PERIODS[0]
        seen.asked_wishes.add(PERIODS[0])

    def _amend(self) -> None:
        seen, body = self.seen, self._wishes(PERIODS[1])
        seen.asked_wishes.add(PERIODS[1])
        path = f"/registrations/{seen.no}"
        self._ask(Kind.AMEND, lambda r: r.send("PATCH", path, body, seen.receipt.encode()), (200,))
        seen.wishes = PERIODS[1]

    def _cancel(self) -> None:
        seen, path = self.seen, f"/registrations/{self.seen.no}/cancellation"
        seen.cancel_asked = True
        self._ask(Kind.CANCEL, lambda r: r.send("POST", path, None, seen.receipt.encode()), (200,))
        seen.cancelled = True

    def _look_up(self) -> None:
        seen, answer = self.seen, self._read()
        if answer["status"] != 200:
            seen.wrong.append(f"registration {seen.no} was acknowledged, and is not found ({answer['status']})")
            return
        if seen.cancelled and answer["state"] != "cancelled":
            seen.wrong.append(f"the cancellation of {seen.no} was acknowledged, and it is {answer['state']}")
        wishes = [it["period"] for it in answer.get("preferences", [])]
        allowed = {seen.wishes} if seen.wishes == PERIODS[1] else seen.asked_wishes
        if wishes and wishes[0] not in allowed:
            seen.wrong.append(f"the wishes of {seen.no} are {wishes}, and {seen.wishes} was acknowledged")

    def _read(self) -> dict[str, Any]:
        """Look at the registration."""
        path, receipt = f"/registrations/{self.seen.no}", self.seen.receipt.encode()
        return self._ask(Kind.READ, lambda r: r.get(path, receipt), (200, 401, 403, 404))

    def _still_there(self) -> None:
        seen, before = self.seen, self.seen.entry
        told = self._ask(Kind.POLL, lambda r: r.poll(seen.ticket.encode()), (200, 401, 404, 410))
        if told["status"] != 200:
            seen.wrong.append(f"the place {before} was acknowledged, and its ticket is not known ({told['status']})")
        elif told["state"] not in _MISSED:
            answer = self._ask(Kind.JOIN, lambda r: r.join(self._district, self._who.join_body()), (200, 201, 409))
            if answer["status"] == 201 or answer.get("entry", before) != before:
                seen.wrong.append(f"the place {before} was acknowledged, and joining again gave {answer.get('entry')}")

    def _wishes(self, period: str) -> bytes:
        wishes = {"preferences": [{"site": self._site, "period": period}], "accept_any_site": True}
        return json.dumps(wishes).encode()

    def _ask(self, call: Kind, request: Callable[[Requests], bytes], accepted: tuple[int, ...]) -> dict[str, Any]:
        """Ask, again and again while the service cannot; the body of what was said in the end, and its status."""
        turn = 0
        while monotonic() < self._until:
            connection, requests = self._lines[turn % len(self._lines)]
            asked, entry, sent = request(requests), self.seen.entry, monotonic()
            answer = self._exchange(connection, asked)
            came = monotonic()
            self._calls.note(self.seen.who, call, entry, sent, came, asked, answer)
            if answer is not None and answer.status in accepted:
                if answer.status < 300:
                    self.seen.told.append(Told(call, sent, came, str(answer.status)))
                said_now: dict[str, Any] = json.loads(answer.body or b"{}")
                return said_now | {"status": answer.status}
            said = "no answer" if answer is None else f"{answer.status} {answer.body[:120]!r}"
            self.seen.refused.append(Told(call, sent, came, said))
            if answer is None or answer.status not in (425, 429):
                turn += 1
            gevent.sleep(_AGAIN_SECONDS)
        raise GivenUp

    @staticmethod
    def _exchange(connection: Connection, request: bytes) -> Answer | None:
        try:
            with gevent.Timeout(_ANSWER_SECONDS):
                return connection.exchange(request)
        except (Broken, gevent.Timeout):
            return None
