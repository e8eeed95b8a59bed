"""What a night's lots are drawn from: its sealed seed, and the beacon's round that follows the frozen list."""

import secrets
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from server.core.encryption import SeedCipher, Unreadable
from server.core.errors import SetupError
from server.core.keys import night_seed_name
from server.fairness.beacon import chain_named
from server.fairness.draw import SEED_BYTES, commitment
from server.fairness.lots import LATEST, BeaconRound, Lots
from server.records.night import NightRecord

if TYPE_CHECKING:
    from server.waiting_room.relays import Relays


class Promise(NamedTuple):
    """A new seed: what of it is public, and itself, sealed."""

    commitment: str
    sealed: str


def lots_of(night: NightRecord, seed: bytes) -> Lots:
    """What the lots of a frozen night with this seed are drawn from; of the first version, where an earlier version of
    this program has frozen it."""
    if night.version is None:
        return Lots(seed)
    beacon = None
    if night.beacon is not None and night.round is not None:
        beacon = BeaconRound(night.beacon, night.round, night.signature, night.no_beacon)
    return Lots(seed, 2, night.frozen_ms, beacon)


class Lottery:
    """Makes seeds, opens them, and binds a night to a beacon's round.

    Args:
        seeds: seals the seeds.
        chain: the beacon that the city file names; empty for none.
        relays: of the beacon.
    """

    def __init__(self, seeds: SeedCipher, chain: str = "", relays: "Relays | None" = None) -> None:
        self._seeds = seeds
        self._chain = chain
        self._relays = relays

    def promise(self, district: str, day: date) -> Promise:
        """A seed for a night that has none yet."""
        seed = secrets.token_bytes(SEED_BYTES)
        return Promise(commitment(seed), self._seeds.seal(night_seed_name(district, day), seed))

    def bind(self, frozen_ms: int) -> NightRecord:
        """What a list that is frozen now is bound to, to be noted with it."""
        chain = chain_named(self._chain)
        if chain is None:
            return NightRecord(frozen_ms=frozen_ms, version=LATEST)
        return NightRecord(frozen_ms=frozen_ms, version=LATEST, beacon=chain.name, round=chain.round_for(frozen_ms))

    async def hear(self, night: NightRecord) -> NightRecord | None:
        """What is to be noted of the round that a night is bound to: its signature, or why there is none; None where
        nothing is."""
        if night.beacon is None or night.round is None or night.signature or night.no_beacon:
            return None
        if self._relays is None or night.beacon != self._chain:
            return NightRecord(
                no_beacon=f"round {night.round} was asked of nobody: the city file names no relays for it"
            )
        heard = await self._relays.ask(night.round)
        return NightRecord(signature=heard.signature or None, no_beacon=heard.missing or None)

    def lots(self, district: str, day: date, night: NightRecord) -> Lots:
        """What the lots of a frozen night are drawn from.

        Raises:
            SetupError: its seed cannot be opened here.
        """
        return lots_of(night, self._seed(district, day, night))

    def _seed(self, district: str, day: date, night: NightRecord) -> bytes:
        if night.sealed is None:
            if night.seed is None:
                raise SetupError(f"the night of {day} in {district} has no seed")
            return bytes.fromhex(night.seed)
        try:
            seed = self._seeds.unseal(night_seed_name(district, day), night.sealed)
        except Unreadable as error:
            raise SetupError(
                f"{error}: run the night with the JIAOHAO_SECRET that it was begun with, or name that one in "
                "JIAOHAO_PREVIOUS_SECRETS"
            ) from None
        if commitment(seed) != night.commitment:
            raise SetupError(f"the night of {day} in {district}: its sealed seed is not the one that was committed to")
        return seed
