"""How often a waiting page asks: few looks, none too late, and the opening's budget held, from 10^4 to 10^6 waiting."""

import hashlib
import heapq
import math
import random
from datetime import date

import pytest

from server.core.city import City, load_city
from server.records.opening import Advance, OpeningRecord
from server.waiting_room.opening import Opening

DAY = date(2021, 6, 19)
SEED = bytes(range(32))


@pytest.fixture(scope="module")
def city() -> City:
    return load_city()


def opening(city: City) -> Opening:
    tianhe = city.district("440106")
    assert tianhe is not None
    return Opening(city, tianhe, DAY)


def news(it: Opening, at_ms: int, *, issued: int, serving: int, rate: float = 100.0, **more: int) -> Advance:
    """What `advance` would tell: everyone called has claimed and registered."""
    values: dict[str, int | float | str] = {
        "opens_ms": it.opens_ms, "draw_ms": it.draw_ms, "closes_ms": it.closes_ms, "seed": SEED.hex(),
        "drawn": issued, "settled": 1, "rate": rate, "max_active": 30_000, "paused": 0, "message": "",
        "issued": issued, "serving": serving, "called": serving, "claimed": serving, "missed": 0, "left": 0,
        "left_called": 0, "hold_ms": it.draw_ms,
    }  # fmt: skip
    return Advance(at_ms, 0, OpeningRecord.unpack({k: str(v) for k, v in (values | more).items()}), [])


def at_the_end_of_the_draw(city: City, waiting: int, rate: float = 100.0) -> Opening:
    it = opening(city)
    it.follow(news(it, it.draw_ms, issued=waiting, serving=0, rate=rate))
    return it


CROWDS = [10_000, 100_000, 1_000_000]


@pytest.mark.parametrize("rate", [0.5, 20.0, 100.0, 1000.0])
@pytest.mark.parametrize("waiting", [1, 100, *CROWDS])
def test_no_look_is_later_than_the_call_but_for_the_floor_and_a_share_of_the_claim_time(
    city: City, waiting: int, rate: float
) -> None:
    it = at_the_end_of_the_draw(city, waiting, rate)
    claim_s, floor_s = city.policy.claim_seconds, city.policy.poll_floor_seconds
    for exponent in range(0, 61):
        ahead = min(waiting - 1, int(10 ** (exponent / 10)) - 1)
        after = it.poll_after_s(ahead)
        earliest_s = ahead / rate
        assert after <= max(earliest_s, floor_s, claim_s / 3), (ahead, after)
        assert after >= min(floor_s, claim_s / 3) * 0.85


@pytest.mark.parametrize("waiting", CROWDS)
def test_looks_grow_with_the_logarithm_of_the_wait(city: City, waiting: int) -> None:
    it = at_the_end_of_the_draw(city, waiting)
    ceiling_s = city.policy.poll_ceiling_seconds
    for ahead in (waiting // 100, waiting // 10, waiting // 2, waiting - 1):
        looks, left = 0, float(ahead)
        while left > 0:
            left -= it.poll_after_s(int(left)) * 100.0
            looks += 1
        wait_s = ahead / 100.0
        # Each look uses up at least half (0.6 * 0.85) of the wait that is left, or the ceiling where it is long.
        bound = math.log(max(wait_s, 5.0) / 5.0) / math.log(1 / (1 - 0.51)) + wait_s / (ceiling_s * 0.85) + 3
        assert looks <= bound, (ahead, looks)
    assert looks <= 40


def _polls_per_half_minute(city: City, waiting: int, sample: int = 16_000) -> list[float]:
    """Polls of a crowd that was in the draw and does as it is told, a second each, averaged over half minutes.

    Every so many-th resident is followed; the worker hears from the store once a second.
    """
    rng = random.Random(20210619)
    random.seed(20210619)
    it = at_the_end_of_the_draw(city, waiting)
    numbers = list(range(1, waiting + 1, max(1, waiting // sample)))
    weight = waiting / len(numbers)
    draw_s = it.draw_ms / 1000
    due: list[tuple[float, int]] = []
    for number in numbers:
        entry = rng.randrange(waiting)
        due.append((it.poll_after_draw_s(entry, it.draw_ms), number))
    heapq.heapify(due)
    polls: dict[int, float] = {}
    heard_s = 0
    while due:
        at_s, number = heapq.heappop(due)
        if int(at_s) > heard_s:
            heard_s = int(at_s)
            it.follow(
                news(it, int((draw_s + heard_s) * 1000), issued=waiting, serving=min(waiting, int(heard_s * 100.0)))
            )
        polls[int(at_s // 30)] = polls.get(int(at_s // 30), 0.0) + weight
        if number > it.serving:
            heapq.heappush(due, (at_s + it.poll_after_s(number - it.serving - 1), number))
    return [polls.get(i, 0.0) / 30 for i in range(max(polls) + 1)]


@pytest.mark.parametrize("waiting", CROWDS)
def test_the_poll_budget_is_held_whatever_the_crowd(city: City, waiting: int) -> None:
    budget = city.policy.poll_budget_per_second
    assert max(_polls_per_half_minute(city, waiting)) <= budget * 1.3


def test_the_draws_end_is_no_stampede(city: City) -> None:
    it = opening(city)
    budget = city.policy.poll_budget_per_second
    looks = sorted(it.poll_after_draw_s(entry, it.opens_ms) for entry in range(0, 1_000_000, 10))
    assert looks[0] >= city.policy.draw_seconds  # nobody looks before there is anything to see
    per_second: dict[int, int] = {}
    for at_s in looks:
        per_second[int(at_s)] = per_second.get(int(at_s), 0) + 10
    assert max(per_second.values()) <= budget * 1.3
    # And nobody's time to claim runs before they have looked: hold_ms of lua/prelude.lua.
    assert looks[-1] <= city.policy.draw_seconds + 1_000_000 / budget + 1.5


def test_everyone_who_looks_as_told_can_claim_in_time(city: City) -> None:
    claim_s = city.policy.claim_seconds
    for waiting in CROWDS:
        it = at_the_end_of_the_draw(city, waiting)
        for ahead in range(0, waiting, waiting // 500):
            called_s = (ahead + 1) / 100.0
            at_s = 0.0
            while at_s < called_s:
                left = max(0, ahead - int(at_s * 100.0))
                at_s += it.poll_after_s(left)
            assert at_s - called_s < claim_s / 2, (waiting, ahead)


def test_nobody_asks_in_a_tight_loop_when_nobody_is_called(city: City) -> None:
    for waiting in (1, 1_000_000):
        it = at_the_end_of_the_draw(city, waiting, rate=0.0)
        after = it.poll_after_s(0)
        assert after >= max(city.policy.poll_floor_seconds, waiting / city.policy.poll_budget_per_second) * 0.85
        assert it.eta_s(5) is None


def test_the_wait_told_follows_the_pace_where_max_active_holds_the_line_back(city: City) -> None:
    it = at_the_end_of_the_draw(city, 50_000)
    assert it.eta_s(1000) == 10.0
    for second in range(1, 40):  # 10 a second get through, and every pass is taken
        called = 100 + second * 10
        told = news(
            it, it.draw_ms + second * 1000, issued=50_000, serving=called, called=called, claimed=called, max_active=100
        )
        it.follow(told._replace(passes_alive=100))
    assert it.pace == pytest.approx(10.0, rel=0.15)
    assert it.eta_s(1000) == pytest.approx(100.0, rel=0.15)
    # The intervals stay those of the full rate: the line may start to move again at once.
    assert it.poll_after_s(1000) <= 10.0


def test_the_wait_told_knows_of_max_active_before_it_holds_the_line_back(city: City) -> None:
    """Everybody called takes 20 s, and 800 may be inside: 100 a second for 8 s, and 40 a second from then on."""
    it = at_the_end_of_the_draw(city, 50_000)
    inside: list[int] = []  # by second of being called
    called, told_at = 0, {}
    for second in range(1, 120):
        inside = [at for at in inside if second - at < 20]
        more = min(100, 800 - len(inside))
        called += more
        inside += [second] * more
        told = news(
            it, it.draw_ms + second * 1000, issued=50_000, serving=called, called=called, claimed=called, max_active=800
        )
        it.follow(told._replace(passes_alive=len(inside)))
        told_at[second] = it.eta_s(4000)
    # by hand: of 4,000 ahead at that moment the last is called 100 s later, at 40 a second
    for second in range(60, 120):
        assert told_at[second] == pytest.approx(100, rel=0.2), second
    assert told_at[22] is not None and told_at[22] > 60  # at full rate it would be 40


def test_a_cap_that_does_not_hold_anybody_back_changes_no_promise(city: City) -> None:
    it = at_the_end_of_the_draw(city, 50_000)
    for second in range(1, 60):  # 100 a second, each for 5 s, of 30,000 who may be inside
        called, inside = second * 100, min(second, 5) * 100
        told = news(it, it.draw_ms + second * 1000, issued=50_000, serving=called, called=called, claimed=called)
        it.follow(told._replace(passes_alive=inside))
        assert it.eta_s(1000) == 10.0


def test_the_counts_are_the_contracts(city: City) -> None:
    it = opening(city)
    told = news(
        it, it.draw_ms + 1000, issued=100, serving=40, called=38, claimed=20, missed=5, left=7, left_called=3
    )  # 2 of the 40 had left before they were called, 3 after it, 2 still ahead
    it.follow(told)
    assert (it.pending, it.waiting) == (10, 58)
    assert it.waiting + it.pending + 20 + 5 + 7 == 100
    assert it.drawing.commitment == hashlib.sha256(SEED).hexdigest()


def test_a_worker_that_knows_nothing_yet_says_so(city: City) -> None:
    it = opening(city)
    it.follow(Advance(it.opens_ms, 0, None, []))
    assert not it.prepared
    assert it.drawing.commitment is None
    assert it.number(0) is None
