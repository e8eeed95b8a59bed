"""What a rehearsal assumed, in words: its crowd, habits, pace, network, and how latency counts."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from loadtests.crowd.crowd import Crowd
from loadtests.crowd.network import Networks
from loadtests.run.options import Options


def assumptions_of(crowd: Crowd, options: Options, curve: str, pace: str) -> list[tuple[str, str]]:
    """Return (what, in words) of each assumption."""
    profile, reactions = crowd.profile, crowd.profile.reactions
    habits = _shares(crowd.behaviour_shares())
    afterthoughts = _shares(crowd.afterthought_shares())
    families = profile.families
    more = []
    if families.share:
        more.append(("Families", f"{families.share:.0%} come as {families.size} with one phone"))
    if profile.asleep.share:
        asleep = profile.asleep
        ways = f"{asleep.asks_for_sms:.0%} of these are called by SMS and open the page"
        low, high = asleep.wakes_within
        more.append(
            ("Asleep", f"{asleep.share:.0%} close the page while they wait; {ways} {low:g} to {high:g} s later")
        )
    if profile.bots:
        told = (f"{bot.per_resident:g} {bot.kind} a resident, every {bot.every_seconds:g} s" for bot in profile.bots)
        more.append(("Bots", "; ".join(told) + "; without delay, besides the residents and counted apart"))
    return [
        (
            "Crowd",
            f"{options.crowd} ({profile.about}): {crowd.residents:,} residents of {', '.join(crowd.districts)}, "
            f"{profile.eligible:.1%} of them eligible, seed {crowd.seed}",
        ),
        ("Arrivals", f"{curve}. No traffic figure was published: this curve is an assumption."),
        ("Habits", f"{habits}; the others join, wait, claim and register as told"),
        (
            "Second thoughts",
            f"{reactions.rejoins:.0%} of the missed and {reactions.regrets:.0%} of those who left join again",
        ),
        (
            "Afterthoughts",
            f"{afterthoughts}, of those registered; {reactions.shows_qr:.0%} see their receipt's QR image",
        ),
        (
            "Asking",
            f"{profile.door.checks:.0%} of those at the door check their eligibility in the last seconds; "
            f"{reactions.strangers_ask:.0%} of those in no registry ask for a code; nobody reads the SMS",
        ),
        ("Pace", pace),
        (
            "Looks",
            f"GET /city and GET /openings by {reactions.looks:.0%} of arrivals, a 1 s cache has the others; "
            f"GET /sites by {reactions.sites:.0%} of those at the form, a 60 s cache has the others",
        ),
        (
            "Network",
            Networks(crowd).describe(),
        ),
        (
            "Connections",
            _connections(crowd, options),
        ),
        (
            "Latency",
            "from the moment a resident's request was due at the server to the whole answer, in HDR histograms of two "
            "digits; `on the wire` from sending",
        ),
        ("Warm-up", f"before the opening and {options.warm_up_seconds} s after it: kept apart, judged by no SLO"),
        *more,
    ]


def _connections(crowd: Crowd, options: Options) -> str:
    browsers = crowd.profile.browsers
    if options.connections == "shared":
        return (
            f"{options.lines} kept-alive connections serve everyone, and whoever is due while all of them wait for the "
            "server waits too, which counts"
        )
    return (
        "each resident and each second device has their own, kept while the server keeps it, and "
        f"{browsers.keep_alive_seconds:g} s at the longest; with {browsers.spare:.0%} of them another one is opened, "
        "which stays idle; who changes networks leaves the old one standing"
    )


def _shares(shares: Sequence[tuple[IntEnum, float]]) -> str:
    return ", ".join(f"{kind.name.lower().replace('_', ' ')} {share * 100:g} %" for kind, share in shares if share)
