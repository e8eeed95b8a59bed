"""Insiders who know the seed beforehand, and have friends join when it pays: of the second version they have nothing.

In each draw an insider reads the seed (and all that the store has by then), works out which stretch of entries has the
lowest numbers, and lets twenty friends join within it, each somewhere within fifty entries of its middle. Their best
number must be distributed as that of twenty who join whenever they like: by the exact law, which is that of the least
of twenty drawn out of N, by Kolmogorov and Smirnov's test, p > 0.01. The draws come from a fixed seed, so the test says
the same every time.
"""

import hashlib
import hmac
import math
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from server.fairness.draw import Draw, draw_key, leaf_hashes
from server.fairness.merkle import root_of

DRAWS, FRIENDS, REACH, CROWD = 1000, 20, 50, 1000
Numbers = np.ndarray[Any, np.dtype[np.int64]]


class Morning(NamedTuple):
    """A draw: its seed, how many joined, their blinds, and what the beacon says afterwards (nothing: there is none)."""

    seed: bytes
    entries: int
    blinds: bytes
    randomness: bytes

    @property
    def tag(self) -> str:
        return "440106:2021-06-19"


def permuted(key: bytes, entries: int) -> Numbers:
    """All numbers of a draw, by an insider's own program: the contract's network, all entries at once."""
    half = max(1, math.ceil(math.log2(entries) / 2))
    mask = (1 << half) - 1
    rounds = [
        np.array(
            [
                int.from_bytes(hmac.digest(key, bytes([r]) + v.to_bytes(8, "big"), "sha256")[:8], "big") & mask
                for v in range(mask + 1)
            ]
        )
        for r in range(8)
    ]
    numbers = np.arange(entries)
    walking = np.arange(entries)
    while len(walking):
        left, right = numbers[walking] >> half, numbers[walking] & mask
        for values in rounds:
            left, right = right, left ^ values[right]
        numbers[walking] = left << half | right
        walking = walking[numbers[walking] >= entries]
    return numbers + 1


def best_middle(numbers: Numbers) -> int:
    """The entry around which low numbers lie closest."""
    weights = np.exp(-numbers * (FRIENDS + 1) / len(numbers))
    width = 2 * REACH + 1
    sums = np.convolve(weights, np.ones(width), "valid")
    return int(np.argmax(sums)) + REACH


def by_seed(it: Morning, guess: int) -> bytes:
    """What an insider takes for the key of a draw of the first version: it is the key."""
    return it.seed


def by_all_there_is(it: Morning, guess: int) -> bytes:
    """What an insider can make of the second version's when half of the entries are there."""
    so_far = it.blinds[: 16 * (it.entries // 2)]
    return draw_key(it.seed, it.tag, root_of(leaf_hashes(so_far)))


def first_key(it: Morning) -> bytes:
    return it.seed


def second_key(it: Morning) -> bytes:
    return draw_key(it.seed, it.tag, root_of(leaf_hashes(it.blinds)), it.randomness)


def mornings(chance: random.Random, *, beacon: bool) -> Iterator[Morning]:
    for _ in range(DRAWS):
        entries = CROWD + chance.randint(-100, 100)
        randomness = chance.randbytes(32) if beacon else b""
        yield Morning(chance.randbytes(32), entries, chance.randbytes(16 * entries), randomness)


def chance_of_less(best: int, entries: int) -> float:
    """That the least of twenty numbers out of so many is below this one."""
    return 1.0 - float(math.prod((entries - best + 1 - i) / (entries - i) for i in range(FRIENDS)))


def p_value(points: list[float]) -> float:
    """That so many uniform points lie so unevenly (Kolmogorov's limit, Stephens' correction)."""
    n = len(points)
    apart = max(max((i + 1) / n - u, u - i / n) for i, u in enumerate(sorted(points)))
    scaled = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * apart
    return min(1.0, max(0.0, 2 * sum((1 if k % 2 else -1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))))


def held(
    name: str,
    plan: Callable[[Morning, int], bytes],
    key_of: Callable[[Morning], bytes],
    *,
    beacon: bool = False,
) -> tuple[list[float], list[float], list[float]]:
    """(the friends' points, those of twenty honest ones, the friends' best numbers as a share of the line)."""
    chance = random.Random(name)
    friends: list[float] = []
    honest: list[float] = []
    shares = []
    for it in mornings(chance, beacon=beacon):
        guess = CROWD  # how many will come is known about
        middle = min(best_middle(permuted(plan(it, guess), guess)), it.entries - REACH - 1)
        near = chance.sample(range(middle - REACH, middle + REACH + 1), FRIENDS)
        numbers = Draw(key_of(it), it.entries)
        for entries, points in ((near, friends), (chance.sample(range(it.entries), FRIENDS), honest)):
            best = min(map(numbers.number, entries))
            below, upto = chance_of_less(best, it.entries), chance_of_less(best + 1, it.entries)
            points.append(below + chance.random() * (upto - below))
            if points is friends:
                shares.append(best / it.entries)
    return friends, honest, shares


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def test_the_insiders_program_is_right() -> None:
    key = hashlib.sha256(b"key").digest()
    for entries in (1000, 1500, 2049):
        numbers = Draw(key, entries)
        assert permuted(key, entries).tolist() == [numbers.number(entry) for entry in range(entries)]


def test_of_the_first_version_who_knows_the_seed_goes_first() -> None:
    friends, honest, shares = held("first", by_seed, first_key)
    assert p_value(honest) > 0.01
    assert p_value(friends) < 1e-9
    assert median(shares) < 0.025 < 0.03 < 1 - 0.5 ** (1 / FRIENDS), "an honest one's median is 3.4 % of the line"


@pytest.mark.parametrize("beacon", [False, True], ids=["without a beacon", "with a beacon"])
def test_of_the_second_version_the_seed_is_worth_nothing(beacon: bool) -> None:
    friends, honest, shares = held(f"second {beacon}", by_all_there_is, second_key, beacon=beacon)
    assert p_value(honest) > 0.01
    assert p_value(friends) > 0.01
    assert 0.03 < median(shares) < 0.04


def test_the_test_itself_sees_a_small_advantage() -> None:
    """A friend who joins twice as often as others, say: it is no blunt instrument."""
    chance = random.Random(7)
    points = [chance.random() for _ in range(DRAWS)]
    assert p_value(points) > 0.01
    assert p_value([u**1.15 for u in points]) < 0.01
