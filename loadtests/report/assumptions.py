"""What a rehearsal assumed, in words: its crowd, habits, pace, network, and how latency counts."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from loadtests.crowd.crowd import Crowd
from loadtests.crowd.network import Networks
from loadtests.run.options import Options


def assumptions_of(crowd: Crowd, options: Options, curve: str, pace: str) -> list[tuple[str, str]]:
    """(what, in words) of each assumption."""
    traits, whims = crowd.traits, crowd.traits.whims
    habits = _shares(crowd.behaviour_shares())
    afterthoughts = _shares(crowd.afterthought_shares())
    families = traits.families
    more = []
    if families.share:
        more.append(("Families", f"{families.share:.0%} come as {families.size} with one phone"))
    if traits.bots:
        told = (f"{bot.per_resident:g} {bot.kind} a resident, every {bot.every_seconds:g} s" for bot in traits.bots)
        more.append(("Bots", "; ".join(told) + "; without delay, besides the residents and counted apart"))
    return [
        (
            "Crowd",
            f"{options.crowd} ({traits.about}): {crowd.residents:,} residents of {', '.join(crowd.districts)}, "
            f"{traits.eligible:.1%} of them eligible, seed {crowd.seed}",
        ),
        ("Arrivals", f"{curve}. No traffic figure was published: this curve is an assumption."),
        ("Habits", f"{habits}; the others join, wait, claim and register as told"),
        ("Second thoughts", f"{whims.rejoins:.0%} of the missed and {whims.regrets:.0%} of those who left join again"),
        ("Afterthoughts", f"{afterthoughts}, of those registered; {whims.shows_qr:.0%} see their receipt's QR image"),
        (
            "Asking",
            f"{traits.door.checks:.0%} of those at the door check their eligibility in the last seconds; "
            f"{whims.strangers_ask:.0%} of those in no registry ask for a code; nobody reads the SMS",
        ),
        ("Pace", pace),
        (
            "Looks",
            f"GET /city and GET /openings by {whims.looks:.0%} of arrivals, a 1 s cache has the others; "
            f"GET /sites by {whims.sites:.0%} of those at the form, a 60 s cache has the others",
        ),
        (
            "Network",
            f"{Networks(crowd).describe()}; {options.lines} kept-alive connections serve everyone, and whoever "
            "is due while all of them wait for the server waits too, which counts",
        ),
        (
            "Latency",
            "from the moment a resident's request was due at the server to the whole answer, in HDR histograms of two "
            "digits; `on the wire` from sending",
        ),
        ("Warm-up", f"before the opening and {options.warm_up_seconds} s after it: kept apart, judged by no SLO"),
        *more,
    ]


def _shares(shares: Sequence[tuple[IntEnum, float]]) -> str:
    return ", ".join(f"{kind.name.lower().replace('_', ' ')} {share * 100:g} %" for kind, share in shares if share)
