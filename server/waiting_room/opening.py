"""How an opening stands, as a worker holds it in memory: what makes a poll free of the store."""

import random
import threading
from collections import deque
from datetime import date, datetime, time, timedelta
from math import ceil
from typing import Final, Literal

from server.core.city import City
from server.core.clock import from_ms, to_ms
from server.core.districts import District
from server.core.keys import opening_tag
from server.records.opening import Advance, OpeningRecord
from server.records.promise import Calibration, Promise
from server.waiting_room.calibration import (
    NO_OUTLOOK,
    PROMISE_MS,
    Outlook,
    Standing,
    Wait,
    interval,
    prior,
    promised,
)
from server.waiting_room.drawing import Drawing
from server.waiting_room.floors import Floors
from server.waiting_room.given_up import GivenUp
from server.waiting_room.looks import SHARE_OF_WAIT, polls_per_second
from server.waiting_room.outlooks import Outlooks, outlooks
from server.waiting_room.pace import Pace, foreseen, next_token

OpeningState = Literal["maintenance", "closed", "draw", "open", "paused", "ended", "unassigned"]

_MOST_OF_WAIT = 0.9
# A public answer lives a second, and a cache goes on giving it for ten more while it fetches the next one (Varnish's
# default); `lua/prelude.lua` has it too.
OLDEST_ANSWER_MS: Final = 11_000


class Opening:
    """One district's opening of one day; `follow` takes over what the store says, nothing here is of record.

    Args:
        city: for the policy and the hours.
        district: whose opening.
        day: which day's.
        window: which one of that day's, from 1.
    """

    def __init__(self, city: City, district: District, day: date, window: int = 1) -> None:
        self.district = district
        self.day = day
        self.window = window
        self.tag = opening_tag(district.code, day, window)
        self._city = city
        self.policy = city.policy
        self.tz = city.tz
        times = city.opening_times(district, day, window)
        self.assigned = times is not None
        opens_at, closes_at = times or (None, None)
        self.opens_ms = to_ms(opens_at) if opens_at else 0
        self.closes_ms = to_ms(closes_at) if closes_at else 0
        self.draw_ms = self.opens_ms + city.policy.draw_seconds * 1000
        midnight = city.at(day + timedelta(days=1), time())
        self.tickets_expire_s = to_ms(midnight) // 1000
        self.grace_ms = city.policy.grace_seconds * 1000
        self.following = threading.Lock()  # polls come from beside the event loop, and must not see half a look
        self.prepared = False
        self._times_kept = (0, 0, 0)
        self._is_fixed = False
        self.drawing = Drawing(city.beacon_chain)
        self.numbers_ms = self.drawing.numbers_ms(self.draw_ms)
        self.issued = self.serving = self.waiting = self.pending = self.passes_alive = self.hold_ms = self.alerts = 0
        self.called = self.claimed = self.missed = 0
        self.rate = district.rate_per_second or city.policy.rate_per_second
        self.max_active = district.max_active or city.policy.max_active
        self.paused = False
        self.message = ""
        self.places_per_person = city.policy.places_per_person
        self.left = GivenUp()
        self.left_seen = 0
        self.floors = Floors(self.tag)
        self._primary = ""
        self.seen_ms = 0
        self.views = 0  # so often it has followed the store
        self.pace = self.rate
        self._stretch = self.look_stretch = 1.0
        self._seen_pace = Pace(city.policy)
        self._next_token = 1.0  # what the bucket lacks for the next call
        self._turn_ms = self._seen_pace.turn_ms
        self._left_waiting = 0
        self._steps: deque[tuple[int, int]] = deque(maxlen=16)  # (time, highest number called), as it was seen
        self.promise_text = ""  # as the store has it
        self._promised: Promise | None = None
        self.promise = prior()
        self._outlooks: Outlooks | None = None  # of this view

    def times(self) -> tuple[datetime, datetime] | None:
        """(opens_at, closes_at), as residents have been told; None without a window."""
        if not self.assigned:
            return None
        return from_ms(self.opens_ms, self._city.tz), from_ms(self.closes_ms, self._city.tz)

    @property
    def follows_the_city_file(self) -> bool:
        """Whether the store's timetable is the city file's, or can no longer follow it."""
        times = self.opens_ms, self.draw_ms, self.closes_ms
        is_bound_so = self.drawing.version == 1 or self.drawing.chain == self._city.beacon_chain
        return self.prepared and (self._is_fixed or (self._times_kept == times and is_bound_so))

    def follow(self, news: Advance) -> None:
        """Take over what `advance` reported."""
        with self.following:
            self._follow(news)

    def _follow(self, news: Advance) -> None:
        self.seen_ms = news.now_ms
        self.views += 1
        kept = news.opening
        self.prepared = kept is not None
        if kept is None:
            return
        self._times_kept = (kept.opens_ms, kept.draw_ms, kept.closes_ms)
        self._is_fixed = kept.issued > 0 or kept.drawn is not None
        if self._is_fixed:  # the timetable that residents have been told
            self.opens_ms, self.draw_ms, self.closes_ms = self._times_kept
        self.drawing.follow(kept)
        self.numbers_ms = self.drawing.numbers_ms(self.draw_ms)
        self.rate, self.max_active, self.alerts = kept.rate, kept.max_active, kept.alerts
        self.paused = kept.paused
        self.message = kept.message
        self.floors.follow(kept)
        self.issued, self.serving = kept.issued, self.floors.told.serving
        self.called, self.claimed, self.missed = kept.called, kept.claimed, kept.missed
        self.pending = kept.called - kept.claimed - kept.missed - kept.left_called
        self.waiting = kept.issued - kept.called - (kept.left - kept.left_called)
        self.passes_alive = news.passes_alive
        self.hold_ms = kept.hold_ms
        self.left.update(news.left)
        # Another node may have forgotten some of them, and have others in their place.
        self.left_seen = self.left_seen + len(news.left) if self._primary in ("", kept.primary) else 0
        self._primary = kept.primary
        if self.drawing.numbers is not None:
            self.left.number(self.drawing.numbers.number)
        self._next_token = next_token(kept, news.now_ms)
        self._left_waiting = kept.left - kept.left_called
        self._steps.append((news.now_ms, self.serving))
        self._follow_pace(kept, news.now_ms)
        self._outlooks = None
        unstretched = polls_per_second(self.policy, self.waiting, self.rate)
        self._stretch = max(1.0, unstretched / self.policy.poll_budget_per_second)
        self.look_stretch = max(1.0, unstretched / self.policy.look_budget_per_second)

    @property
    def active(self) -> int:
        """Called and not yet claimed, and passes alive: what `max_active` caps."""
        return self.pending + self.passes_alive

    def _follow_pace(self, kept: OpeningRecord, now_ms: int) -> None:
        """Calls a second as residents will feel them: none in a pause, less where max_active will hold the queue back.

        It does once as many are inside as it allows; from then on calls come as fast as turns end.
        """
        active, seen = self.active, self._seen_pace
        seen.follow(now_ms, kept.called, active)
        if kept.promise != self.promise_text:
            self.promise_text, self._promised = kept.promise, Promise.unpack(kept.promise)
        # all workers go by what one of them has made public
        self._turn_ms = turn_ms = (self._promised and self._promised.turn_ms) or seen.turn_ms
        self.pace = 0.0 if self.paused or not self.max_active else self.rate
        if self.pace and turn_ms and self.waiting + active > self.max_active:  # else the cap holds nobody back
            self.pace = min(self.rate, self.max_active * 1000 / turn_ms)
        self.promise = self._promised or prior()

    def promises_anew(self, kept: Calibration) -> tuple[Promise, Calibration]:
        """What is promised from now on, of what was kept the last time; and what is kept for the next one."""
        with self.following:
            seen = self._seen_pace
            turn_ms = seen.turn_ms if seen.is_measured else self._promised.turn_ms if self._promised else 0.0
            it = Standing(
                self.seen_ms, self.drawing.settled, self.rate, self.max_active, self.paused, self.issued, self.serving,
                self.waiting, self._left_waiting, turn_ms, tuple(self._steps),
            )  # fmt: skip
            return promised(kept, it, self._wait_of)

    def _wait_of(self, number: int) -> Wait | None:
        return self._wait(self.ahead(number, self.serving)) if self.pace > 0 else None

    @property
    def promises_at_ms(self) -> int | None:
        """When the interval is to be worked out anew; None while nobody has a place."""
        if not self.issued:
            return None
        return 0 if self._promised is None else self._promised.at_ms + PROMISE_MS

    def state(self, now_ms: int) -> OpeningState:
        """The contract's state of an opening."""
        if not self.assigned:
            return "unassigned"
        if self.opens_ms <= now_ms < self.closes_ms:
            if self.paused:
                return "paused"
            return "draw" if now_ms < self.draw_ms else "open"
        if not self._city.is_open_hours(from_ms(now_ms)):
            return "maintenance"
        return "closed" if now_ms < self.opens_ms else "ended"

    def number(self, entry: int) -> int | None:
        """The number of an entry; None until it is known."""
        return self.drawing.number(entry)

    def is_on(self, now_ms: int) -> bool:
        """Whether the opening needs advancing: its window, and until the last pass has lapsed after it."""
        return self.assigned and self.opens_ms - 5000 <= now_ms < self.closes_ms + self.grace_ms + 5000

    def ahead(self, number: int, serving: int) -> int:
        """How many will be called before a number: those between, but for the ones who have given up."""
        between = number - serving - 1
        if self.left.any:
            between -= self.left.between(serving, number)
        return between if between > 0 else 0

    def eta_s(self, ahead: int) -> float | None:
        """About how long until the call, in seconds; None when nobody is called at all.

        Never less than the rate allows, whatever the bucket still holds; longer where max_active holds the line back.
        """
        if self.pace <= 0:
            return None
        unhindered_s = (ahead + self._next_token) / self.rate
        if self.pace == self.rate:
            return unhindered_s
        behind = ahead + 1 - max(0, self.max_active - self.active)
        return max(unhindered_s, behind / self.pace)

    def _wait(self, ahead: int) -> Wait:
        """The same as it is foreseen for the interval: with a cap, places inside come free as people are done."""
        return foreseen(ahead, self._next_token, self.rate, self.max_active, self.active, self._turn_ms)

    def eta_seconds(self, ahead: int) -> int | None:
        """The same in whole seconds, as it is told: rounded up, since a promise that is too short is broken."""
        eta_s = self.eta_s(ahead)
        return None if eta_s is None else ceil(eta_s)

    def outlook(self, ahead: int, now_ms: int) -> Outlook:
        """The wait as it is told: in whole seconds, and between how many of them from `now_ms` the call comes, nine
        times in ten."""
        if self.pace <= 0:
            return NO_OUTLOOK
        known = self._outlooks
        if known is None or ahead > known.aheads[-1]:
            most = max(ahead, self.waiting)
            self._outlooks = known = outlooks(most, lambda it: interval(self.promise, self._wait(it)))
        return Outlook(self.eta_seconds(ahead), *known.at(ahead, (now_ms - self.seen_ms) / 1000))

    def poll_after_s(self, ahead: int) -> float:
        """When a waiting resident should look again, in seconds.

        Grows with the shortest wait that is possible (at the full rate), never
        beyond it, so that no call is overslept; floor, ceiling and the
        opening's poll budget come from the city's policy. The plan foresees the
        same rule's load in `loadtests/capacity/load.py`: change both.
        """
        policy = self.policy
        if self.rate <= 0:
            wanted = max(policy.poll_floor_seconds, self.waiting / policy.poll_budget_per_second)
        else:
            wait_s = ahead / self.rate
            share = min(wait_s * SHARE_OF_WAIT, policy.poll_ceiling_seconds)
            wanted = max(policy.poll_floor_seconds, share) * self._stretch
            wanted = min(wanted, max(wait_s * _MOST_OF_WAIT, policy.claim_seconds / 3))
        return wanted * (0.85 + 0.15 * random.random())  # noqa: S311  (spreads polls; nothing secret)

    def poll_after_draw_s(self, entry: int, now_ms: int) -> float:
        """When someone in the draw should look: when the numbers can be expected, spread by entry so that the polls
        stay in the budget; where they are late, again after as long as they are late.

        `lua/prelude.lua` and `lua/fix_draw.lua` start no claim time before the last of them has looked: change all.
        """
        spread_ms = entry * 1000 / self.policy.poll_budget_per_second
        wait_ms = self.numbers_ms + max(spread_ms, 500) - now_ms
        late_ms = now_ms - self.numbers_ms - 1000
        return max(1.0, max(wait_ms, late_ms) / 1000 + random.random())  # noqa: S311

    def overtaken_ms(self) -> int:
        """The longest interval that is out there, of polls or of looks, whose answer a cache may have kept: how long a
        faster rate may overtake residents."""
        ceiling_s = self.policy.poll_ceiling_seconds * max(self._stretch, self.look_stretch)
        return OLDEST_ANSWER_MS + int(1000 * min(ceiling_s, self.waiting / self.rate if self.rate else 1e6))
