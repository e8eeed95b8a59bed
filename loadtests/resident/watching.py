"""How residents wait: by the public answer, which any cache can carry, and by a worker's only where it is about them.

The page does so, and knows its number from the draw's seed. An old client, or one without scripts, asks a worker each
time: a share of the crowd (`plain_share`).
"""

from __future__ import annotations

from array import array

from loadtests.client.answers import Opening, Place, Requests
from loadtests.client.public_wait import PublicAnswers, Unfit, eta_seconds, look_after_seconds, turn_seconds
from loadtests.client.wire import Answer
from loadtests.resident.acts import SECOND_US, Act
from loadtests.resident.facts import Fact
from loadtests.resident.residents import Residents

_POINTLESS = Fact.CLAIMED | Fact.LEAVE_SENT | Fact.MISSED | Fact.ENDED | Fact.READY
_BROWSER_KEEPS_MS = 1000
"""For so long a browser answers from its own cache (`max-age=1`): a second tab, or who looks twice, asks nobody."""
_SALT = 19


class Watching:
    """This plays the waiting of all residents, until their call."""

    def __init__(self, residents: Residents, requests: Requests) -> None:
        self._residents, self._requests = residents, requests
        self._crowd, self._observations = residents.crowd, residents.observations
        self._public = [PublicAnswers(it.date, it.commitment) for it in residents.openings]
        self._looked_ms = array("i", [-_BROWSER_KEEPS_MS]) * residents.crowd.residents

    def is_plain(self, i: int) -> bool:
        """Return whether the client of resident `i` asks a worker how the place stands, not the public answer."""
        return (self._crowd.stir(i, _SALT) & 0xFFFF) / 0x10000 < self._crowd.profile.plain_share

    def request(self, i: int, now_us: int) -> bytes | None:
        """Return the bytes of a look; None where it is pointless, or the browser has the answer still."""
        observations = self._observations
        if observations.ticket[i] is None or observations.has(i, _POINTLESS):
            return None
        kept = self._public[self._residents.home(i)].latest
        if kept is not None and 0 <= now_us // 1000 - self._looked_ms[i] < _BROWSER_KEEPS_MS:
            self._sees(i, kept, now_us)
            return None
        return self._requests.look(self._residents.opening(i).district)

    def next_look(self, i: int, place: Place, now_us: int) -> tuple[Act, float]:
        """Say what resident `i`, whom a worker has told that they wait, looks at next, and after how many seconds."""
        told, own = place.poll_after_seconds or 30.0, self._observations.own_number[i]
        public = self._public[self._residents.home(i)]
        # by the public answer they are called: a worker that says otherwise has not heard of it yet
        is_called = own > 0 and public.latest is not None and own <= public.latest.serving
        if is_called or self.is_plain(i):
            return Act.POLL, told
        if place.state != "drawing":
            return Act.WATCH, told
        opening = self._residents.opening(i)
        drawn_us = opening.opens_us + int(opening.draw_seconds * SECOND_US)
        if public.latest is not None and public.latest.draw.numbers_at is not None:
            drawn_us = opening.run_us(public.latest.draw.numbers_at)
        spread = self._observations.entry[i] / public.looks_per_second + self._residents.random.random()
        return Act.WATCH, max(drawn_us - now_us, 0) / SECOND_US + spread

    def latest(self, i: int) -> Opening | None:
        """Return the public answer of their opening that was read last; None before the first."""
        return self._public[self._residents.home(i)].latest

    def has_looked(self, i: int, answer: Answer, now_us: int) -> None:
        """Resident `i`, who is about to join, has looked at the opening."""
        self._public[self._residents.home(i)].read(answer.body)
        self._looked_ms[i] = now_us // 1000

    def watched(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        """Take in the public answer that resident `i` has asked for."""
        public = self._public[self._residents.home(i)]
        told = public.latest if answer.status == 304 else public.read(answer.body)
        if told is None:
            raise ValueError("unchanged since nothing was told")
        self._looked_ms[i] = now_us // 1000
        self._observations.looked(i)
        home, seen = self._residents.home(i), self._observations.turns_seen
        seen.saw(home, told.serving, now_us // 1000)
        seen.saw_rate(home, told.now, 0.0 if told.state == "paused" else told.rate_per_second, now_us // 1000)
        self._sees(i, told, now_us)

    def _sees(self, i: int, told: Opening, now_us: int) -> None:
        """Resident `i` sees how far the calls have come, and whether it is their turn."""
        observations, residents = self._observations, self._residents
        entry = observations.entry[i]
        try:
            wait, numbers = self._public[self._residents.home(i)].numbers(told, entry)
        except Unfit:
            residents.file(now_us, i, Act.POLL)
            return
        if numbers is None:  # a cache has kept the answer, or the draw is about to be settled
            pause = wait.look.floor_seconds * wait.look.stretch
        else:
            number = numbers.number(entry)
            observations.worked_out(i, number)
            if number <= told.serving:
                residents.file(now_us, i, Act.POLL)
                return
            eta = eta_seconds(told, wait, number)
            if eta is not None:
                observations.promised(i, eta, now_us // 1000)
            turn = turn_seconds(told, wait, number)
            if turn is not None:
                told_us = residents.opening(i).run_us(told.now)
                from_ms, to_ms = (told_us / 1000 + seconds * 1000 for seconds in turn)
                observations.told_turn(i, residents.home(i), from_ms, to_ms, now_us // 1000)
            pause = look_after_seconds(told, wait, number, residents.random.random())
        residents.file(now_us + int(pause * SECOND_US), i, Act.WATCH)
