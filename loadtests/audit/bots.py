"""Checks of what bots were told, each kind where the crowd has it: apart from the residents' answers and errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

from loadtests.audit.evidence import Check, Evidence, unjudged, verdict
from loadtests.client.answers import Call
from loadtests.crowd.profile import CONNECTION_KINDS, BotKind
from loadtests.resident.acts import SECOND_US

SCRIPTS_PER_REQUEST = 1.25
"""What the store runs for a join, or for anything else that needs it during a draw; measured: 1.1 where joins
are few, and less where they share a call."""
SCRIPTS_PER_CODE = 3
"""What it runs where a code is asked for: the limits of phone and person, looked at, and counted once a minute."""
TICKS_PER_SECOND = 50
"""What it runs by itself, where the run was not there in the last seconds before the opening to see it."""
_WITHOUT_STORE = (Call.CITY, Call.OPENING, Call.POLL, Call.SITES, Call.QR)


def bots(e: Evidence) -> list[Check]:
    """Return a check for each kind of bots that the crowd has."""
    kinds = {bot.kind for bot in e.crowd.profile.bots}
    checks: dict[BotKind, tuple[Callable[[Evidence], Check], ...]] = {
        "fast-poller": (fast_polls_answered, fast_polls_free),
        "forger": (forgeries_refused,),
        "replayer": (replays_harmless,),
        "code-hammer": (codes_limited,),
        "slow-head": (slow_heads_ended,),
        "slow-body": (slow_bodies_ended,),
        "idle-herd": (idle_herds_ended,),
    }
    found = [check(e) for kind, judges in checks.items() if kind in kinds for check in judges]
    return [*found, bots_served(e)] if kinds - {*CONNECTION_KINDS} else found


def fast_polls_answered(e: Evidence) -> Check:
    """Who asks too often gets an answer, and the same place as the ticket's owner."""
    return _told(
        e, "fast-poller", "fast polls answered", "a poll is answered however often it comes",
        "fast poller refused", "fast poller told another place",
    )  # fmt: skip


_PROMISES_PER_SECOND = 2


def fast_polls_free(e: Evidence) -> Check:
    """Polls for a number that has not been called cost the store nothing.

    Judged in the draw, where nobody has been called: the store runs no more scripts than the joins and its own ticks
    account for, and would have, had each fast poll cost one.
    """
    name, promise = "fast polls free", "polls are answered from memory: no store call for one who waits"
    opening = e.openings[0]
    opens, closes = opening.opens_us // SECOND_US, opening.opens_us // SECOND_US + int(opening.draw_seconds)
    looks = [look for look in e.seen.scripts if opens < look[0] < closes]
    if e.truth is None or len(looks) < 2:
        return unjudged(name, promise)
    ran, first, last = _ran(looks), looks[0][0], looks[-1][0]
    before = [_ran(pair) for pair in pairwise(e.seen.scripts) if pair[1][0] < opens]
    # a look is somewhere in its second: a second more for what is allowed, none for what is counted against it
    around, counts = range(first - 1, last + 1), e.meters.counts
    requests = sum(
        histogram.total
        for call, by_second in e.meters.from_due.items()
        if call not in _WITHOUT_STORE
        for second, histogram in by_second.items()
        if second in around
    )
    codes = sum(counts["codes asked by bots"].get(second, 0) for second in around)
    # and once a second the told waits are worked out anew, by whichever worker is the first; each may try
    ticks = math.ceil(median(before[-5:] or [TICKS_PER_SECOND])) + _PROMISES_PER_SECOND * len(e.openings)
    allowed = int(SCRIPTS_PER_REQUEST * requests) + SCRIPTS_PER_CODE * codes + ticks * (last - first + 1)
    free = sum(counts["polls from memory"].get(second, 0) for second in range(first + 1, last))
    detail = f"{free} fast polls in the draw; the store ran {ran} scripts, up to {allowed} are for all else"
    if ran > allowed:
        return verdict(name, promise, [detail], "")
    if ran + free <= allowed:
        return Check(name, promise, None, f"{detail}: too few fast polls to tell")
    return verdict(name, promise, [], detail)


def _ran(looks: Sequence[tuple[int, int]]) -> int:
    """Return the scripts run from the first of these looks to the last; a store that was started again counts from
    nothing."""
    return sum(after - before if after >= before else after for (_, before), (_, after) in pairwise(looks))


def forgeries_refused(e: Evidence) -> Check:
    """A ticket, pass or receipt that is not ours is told 401 `forged`, and nothing else."""
    return _told(e, "forger", "forgeries refused", "what we have not signed is 401 forged", "forgery not refused")


def replays_harmless(e: Evidence) -> Check:
    """What somebody has sent already gets the same answer as its owner, or is refused: never a second place."""
    return _told(
        e, "replayer", "replays harmless", "1: a replay gets its owner's answer or none, never a second place",
        "replay got something new", "replay answered otherwise", "replay told another place",
    )  # fmt: skip


def codes_limited(e: Evidence) -> Check:
    """A bot gets one code a minute, and no word about whether the person is known."""
    return _told(
        e, "code-hammer", "codes limited", "one-time codes: 1 a minute for each number, 429 between",
        "codes without limit", "codes answered otherwise",
    )  # fmt: skip


def slow_heads_ended(e: Evidence) -> Check:
    """Who sends a head a byte at a time is sent away."""
    return _ended(e, "slow-head", "slow heads ended", "a head has a deadline")


def slow_bodies_ended(e: Evidence) -> Check:
    """Who sends a body a byte at a time is sent away."""
    return _ended(e, "slow-body", "slow bodies ended", "a body has a deadline")


def idle_herds_ended(e: Evidence) -> Check:
    """A connection that asks for nothing is ended."""
    return _ended(e, "idle-herd", "idle connections ended", "who asks for nothing is let go")


def bots_served(e: Evidence) -> Check:
    """Bots, too, get the contract's answers, or are told to come again; only around a fault are they pushed back."""
    forgiven = e.forgiven or range(0)
    pushed = sum(n for second, n in e.meters.counts["bots pushed back"].items() if second not in forgiven)
    total, example = e.contradictions("bot's answer unreadable")
    faults = [f"{total} answers unreadable{example}"] if total else []
    if pushed:
        faults.append(f"{pushed} requests of bots unanswered or pushed back")
    requests = sum(e.meters.counts["bot requests"].values())
    return verdict("bots served", "no server falls over bots", faults, f"{requests} requests of bots, all answered")


def _told(e: Evidence, kind: BotKind, name: str, promise: str, *kinds: str) -> Check:
    """Red where bots of a kind were told something of these kinds, or nothing at all."""
    total, example = e.contradictions(*kinds)
    answers = sorted(
        ((n, status, code) for (who, status, code), n in e.meters.bots.items() if who == kind and status), reverse=True
    )
    faults = [f"{total}{example}"] if total else []
    if not answers:
        faults.append(f"no {kind} was answered")
    told = ", ".join(f"{n} x {status} {code}".strip() for n, status, code in answers)
    return verdict(name, promise, faults, told)


def _ended(e: Evidence, kind: BotKind, name: str, promise: str) -> Check:
    """Red where the server bore a connection longer than the crowd's file says it may, or ended none."""
    limits = [bot.borne_seconds for bot in e.crowd.profile.bots if bot.kind == kind and bot.borne_seconds is not None]
    total, example = e.contradictions(f"{kind} borne")
    ended = {status: n for (who, status, _), n in e.meters.bots.items() if who == kind}
    told = ", ".join(f"{n} told {status}" if status else f"{n} closed" for status, n in sorted(ended.items()))
    faults = [f"{total} not ended within {limits[0]:g} s{example}"] if total else []
    if limits and not ended and e.end_second > limits[0] + 2:
        faults.append("none was ended")
    return verdict(name, promise, faults, f"ended by the server: {told or 'none'}")
