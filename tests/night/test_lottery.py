"""What a night's lots are drawn from: sealed, bound to a round once, the same for whoever goes on with it."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from server.core.beacon import Beacon
from server.core.encryption import SeedCipher
from server.core.errors import SetupError
from server.fairness.beacon import can_verify
from server.fairness.draw import commitment
from server.fairness.lots import BeaconRound, Lots
from server.fairness.verification import verify_allotment
from server.night.lottery import Lottery
from server.records.night import NightRecord
from server.waiting_room.drawing import Heard
from server.waiting_room.relays import Relays
from tests.support.nights import DAY, NightHouse, fill
from tests.support.results import FROZEN_MS, ROUND, SIGNATURE
from tests.support.serving import TIANHE, StandingClock
from tests.support.stores import Store

NIGHT = date(2021, 6, 19)
TODAY = f"{TIANHE}:{DAY}"
SECRET, OTHER = b"s" * 32, b"o" * 32


class Asked:
    """Relays that give one answer, and what they were asked for."""

    def __init__(self, heard: Heard) -> None:
        self.heard, self.rounds = heard, list[int]()

    async def ask(self, number: int) -> Heard:
        self.rounds.append(number)
        return self.heard


def lottery(relays: Any = None, *secrets: bytes, chain: str = "quicknet") -> Lottery:
    return Lottery(SeedCipher(secrets or (SECRET,)), chain, relays)


async def test_a_frozen_list_is_bound_to_the_first_round_that_is_due_three_seconds_later() -> None:
    relays = Asked(Heard(SIGNATURE, ""))
    it = lottery(relays)
    frozen = it.bind(FROZEN_MS)
    assert (frozen.version, frozen.beacon, frozen.round, frozen.frozen_ms) == (2, "quicknet", ROUND, FROZEN_MS)
    assert it.bind(FROZEN_MS + 1).round == ROUND + 1
    heard = await it.hear(frozen)
    assert heard == NightRecord(signature=SIGNATURE) and relays.rounds == [ROUND]
    assert await it.hear(frozen.with_news(heard)) is None, "it is asked for once"
    assert lottery(chain="").bind(FROZEN_MS) == NightRecord(version=2, frozen_ms=FROZEN_MS)
    assert await it.hear(NightRecord(version=2, frozen_ms=FROZEN_MS)) is None


async def test_why_there_is_no_round_is_noted_for_good() -> None:
    frozen = lottery().bind(FROZEN_MS)
    before = StandingClock()
    before.at_ms = FROZEN_MS - 10**9
    nobodys = Beacon(["http://127.0.0.1:9"])
    for it, why in (
        (lottery(Asked(Heard("", "nobody answered"))), "nobody answered"),
        (lottery(None), "of nobody"),
        (lottery(Relays(nobodys, before)), "far away"),
    ):
        heard = await it.hear(frozen)
        assert heard is not None and heard.signature is None and why in (heard.no_beacon or "")
        assert await lottery(Asked(Heard(SIGNATURE, ""))).hear(frozen.with_news(heard)) is None


def test_a_seed_is_opened_by_the_secret_that_sealed_it_and_the_one_before_only() -> None:
    promise = lottery().promise(TIANHE, NIGHT)
    night = NightRecord(commitment=promise.commitment, sealed=promise.sealed, version=2, frozen_ms=FROZEN_MS)
    lots = lottery().lots(TIANHE, NIGHT, night)
    assert commitment(lots.seed) == promise.commitment and lots.seed.hex() not in promise.sealed
    assert lottery(None, OTHER, SECRET).lots(TIANHE, NIGHT, night) == lots
    with pytest.raises(SetupError, match="JIAOHAO_PREVIOUS_SECRETS"):
        lottery(None, OTHER).lots(TIANHE, NIGHT, night)
    with pytest.raises(SetupError, match="damaged, or encrypted for something else"):
        lottery().lots("440111", NIGHT, night)
    with pytest.raises(SetupError, match="not the one that was committed to"):
        lottery().lots(TIANHE, NIGHT, night.with_news(NightRecord(commitment="00" * 32)))
    with pytest.raises(SetupError, match="no seed"):
        lottery().lots(TIANHE, NIGHT, NightRecord(version=2))


def test_a_night_that_an_earlier_version_has_frozen_goes_by_its_seed_alone() -> None:
    assert lottery().lots(TIANHE, NIGHT, NightRecord(seed="ab" * 32, frozen_ms=5)) == Lots(b"\xab" * 32)


@pytest.mark.skipif(not can_verify(), reason="needs drand-verify, which this Python has no wheel of")
async def test_a_night_without_its_round_says_so_in_its_result_and_holds(store: Store, tmp_path: Path) -> None:
    house = NightHouse(store, tmp_path, chain="quicknet")
    house.at("20:10:00")
    await fill(store, 12)
    await house.run()
    (night,) = await store.nights([TODAY])
    path = house.published.path(DAY, TIANHE)
    assert path is not None
    head = verify_allotment(path).head
    assert head.beacon == BeaconRound("quicknet", 1, missing=night.no_beacon)
    assert (
        night.no_beacon
        and "nobody" in night.no_beacon
        and commitment(bytes.fromhex(night.seed or "")) == night.commitment
    )
