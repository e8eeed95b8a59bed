"""Calls a second as residents will feel them: the rate, or as fast as turns end where `max_active` decides."""

from collections import deque

from server.core.policy import Policy
from server.records.opening import OpeningRecord
from server.waiting_room.calibration import Wait

_WINDOW_MS = 60_000
_LONGEST_WINDOW_MS = 600_000  # where few turns end
# Turns that must have ended before their length says anything.
_TURNS_ENOUGH = 10


class Pace:
    """How long a call keeps its pass, on average, as this worker has seen it; in the opening's memory of a worker.

    Attributes:
        turn_ms: until registered, missed, left or lapsed.
        is_measured: whether enough turns have ended to say so.

    Args:
        policy: the city's.
    """

    def __init__(self, policy: Policy) -> None:
        self._longest_turn_ms = (policy.claim_seconds + policy.pass_seconds) * 1000.0
        self._granted_ms = self.turn_ms = min(policy.turn_seconds * 1000.0, self._longest_turn_ms)
        self.is_measured = False
        self._looked_ms = 0
        self._busy_ms = 0.0  # the sum of turns over all calls so far
        self._turns: deque[tuple[int, float, int, int]] = deque()  # (time, _busy_ms, called, inside), a second apart

    def follow(self, now_ms: int, called: int, active: int) -> None:
        """So many were called so far, and so many are inside.

        By Little's law: so many inside, divided by the time that each is. That is known as soon as some turns have
        ended, well before the cap is reached.
        """
        turns = self._turns
        if turns:
            self._busy_ms += active * max(now_ms - self._looked_ms, 0)
        self._looked_ms = now_ms
        if not turns or now_ms - turns[-1][0] >= 1000:
            turns.append((now_ms, self._busy_ms, called, active))
            while now_ms - turns[0][0] > _WINDOW_MS and (
                called - active - (turns[1][2] - turns[1][3]) >= _TURNS_ENOUGH
                or now_ms - turns[0][0] > _LONGEST_WINDOW_MS
            ):
                turns.popleft()
        _, busy_ms, called_then, active_then = turns[0]
        ended = called - active - (called_then - active_then)
        seen_ms, entered = self._busy_ms - busy_ms, active - active_then
        if ended >= _TURNS_ENOUGH:
            # Those inside are halfway through their turn, on average. At first they are many, and only short turns have
            # ended: so what is taken for granted counts until as many have ended as are inside.
            share = min(1.0, (called - active) / max(active, 1))
            self.turn_ms = share * seen_ms / (ended + entered / 2) + (1 - share) * self._granted_ms
            self.is_measured = True
        elif ended + entered >= 1:  # too few to say how short a turn is; but no shorter than it has been already
            self.turn_ms = min(max(self.turn_ms, seen_ms / (ended + entered)), self._longest_turn_ms)


def foreseen(ahead: int, lacks: float, rate: float, max_active: int, active: int, turn_ms: float) -> Wait:
    """The wait of somebody with so many ahead, where so many are inside and the bucket lacks so much of a call.

    Those inside are done one after another in the course of a turn. Who is called from now on stays for a turn of their
    own: so each `max_active` of the line takes a turn, and the rest of it as if those were the first.
    """
    soonest_s = (ahead + lacks) / rate
    free = max(0, max_active - active)
    if ahead < free or max_active <= 0:
        return Wait(soonest_s, soonest_s, rate)
    turn_s = turn_ms / 1000
    turns, behind = divmod(ahead, max_active)
    rest_s = max(behind / rate, (behind + 1 - free) * turn_s / max(active, 1))
    return Wait(max(soonest_s, turns * turn_s + min(rest_s, max(turn_s, behind / rate))), soonest_s, rate)


def next_token(kept: OpeningRecord, now_ms: int) -> float:
    """How far the store's bucket is from the next call at this moment (lua/advance.lua)."""
    full = max(kept.rate, 1.0) if kept.rate > 0 else 0.0
    credit = full if kept.credit is None else kept.credit
    last_ms = now_ms if kept.last_ms is None else kept.last_ms
    tokens = min(credit + max(0, now_ms - last_ms) / 1000 * kept.rate, full)
    return max(0.0, 1.0 - tokens)
