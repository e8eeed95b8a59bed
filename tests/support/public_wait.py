"""A waiting resident who asks the public answer only: what they make of it, by the README's rules."""

import math
from collections.abc import Mapping
from typing import Any

from tests.support.model import permutation


def number_of(opening: Mapping[str, Any], entry: int) -> int | None:
    """The number of an entry, by the contract's draw; None before what it follows from is out."""
    draw = opening["draw"]
    if draw["seed"] is None:
        return None
    if entry >= draw["entries"]:
        return entry + 1
    key = draw["key"] if draw.get("version") == 2 else draw["seed"]
    return 1 + permutation(bytes.fromhex(key), draw["entries"])(entry)


def given_up_before(opening: Mapping[str, Any], number: int) -> tuple[int, float]:
    """(at most, likely) so many of those in front of a number are given up."""
    at, gone = opening["serving"], 0
    for upto, count in opening["wait"]["given_up"]:
        if number <= upto:
            width = number - 1 - at
            return gone + min(count - gone, width), gone + (count - gone) * width / (upto - at)
        at, gone = upto, count
    return gone, gone


def soonest_s(opening: Mapping[str, Any], number: int) -> float:
    """The shortest wait that is possible."""
    most, _ = given_up_before(opening, number)
    behind = number - int(opening["serving"]) - 1 - most
    return max(0.0, behind / float(opening["rate_per_second"]))


def look_after_s(opening: Mapping[str, Any], number: int, chance: float = 1.0) -> float:
    """When they look again; `chance` from 0 to 1."""
    look, claim_s = opening["wait"]["look"], opening["wait"]["claim_seconds"]
    if opening["rate_per_second"] <= 0:
        wanted = look["floor_seconds"] * look["stretch"]
    else:
        soonest = soonest_s(opening, number)
        share = min(soonest * look["share"], look["ceiling_seconds"])
        wanted = max(look["floor_seconds"], share) * look["stretch"]
        wanted = min(wanted, max(soonest * 0.9, claim_s / 3))
    return float(wanted * (0.85 + 0.15 * chance))


def ahead_of(opening: Mapping[str, Any], number: int) -> int:
    """How many are called before them."""
    _, likely = given_up_before(opening, number)
    return max(0, round(number - int(opening["serving"]) - 1 - likely))


def turn_s(opening: Mapping[str, Any], number: int) -> tuple[float, float] | None:
    """Between how many seconds after the answer's `now` the call comes, nine times in ten; None where nobody knows."""
    at, low, high = opening["serving"], 0.0, 0.0
    for upto, begins, ends in opening["wait"]["turns"]:
        if number <= upto:
            share = (number - at) / (upto - at)
            return low + (begins - low) * share, high + (ends - high) * share
        at, low, high = upto, begins, ends
    return None


def eta_s(opening: Mapping[str, Any], number: int) -> int | None:
    """How long until the call."""
    wait, behind = opening["wait"], ahead_of(opening, number) + 1
    if wait["pace_per_second"] <= 0:
        return None
    wait_s: float = max(behind / opening["rate_per_second"], (behind - wait["free"]) / wait["pace_per_second"])
    return math.ceil(wait_s)
