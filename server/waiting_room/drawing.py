"""How an opening's draw stands, as a worker holds it in memory."""

from typing import Final, NamedTuple

from server.fairness.beacon import Chain, chain_named, randomness_of
from server.fairness.draw import Draw, commitment
from server.records.opening import OpeningRecord

# A round is there some hundred milliseconds after it was due.
_BEACON_COMES_MS: Final = 1000


class Heard(NamedTuple):
    """What came of asking for a beacon's round: its verified signature (hex), or why there is none."""

    signature: str
    missing: str


class Bound(NamedTuple):
    """The beacon's round that a draw is bound to beside its seed.

    `signature` and `randomness` (hex) are None until it is there, and for good where `missing` says why there was none.
    """

    chain: Chain
    round: int
    signature: str | None
    randomness: str | None
    missing: str | None

    @property
    def due_ms(self) -> int:
        """When the round is due."""
        return self.chain.due_ms(self.round)


class Drawing:
    """The draw of one opening: nothing is of record here; `follow` takes over what the store says.

    `version` is 1 where the numbers follow from the seed, and 2 where they follow from a key that nobody can know
    before the draw is over. `numbers` is None until they are known.

    Args:
        chain: the beacon that the city file names; the store's word comes before it.
    """

    def __init__(self, chain: str = "") -> None:
        self.version = 2
        self.commitment: str | None = None
        self.sealed: str | None = None
        self.seed = b""  # empty until it is revealed, but for a draw of the first version
        self.chain = chain
        self.drawn: int | None = None
        self.root: str | None = None
        self.root_ms: int | None = None
        self.key: str | None = None
        self.settled = False
        self.numbers: Draw | None = None
        self._signature = self._missing = ""
        self._numbered: tuple[bytes, int] | None = None

    def follow(self, kept: OpeningRecord) -> None:
        """Take over what the store says."""
        begun_anew = kept.sealed != self.sealed  # the store was emptied
        self.version, self.sealed, self.chain = kept.version, kept.sealed, kept.beacon
        if kept.seed is not None and not self.seed:
            self.seed = bytes.fromhex(kept.seed)
        if self.commitment is None or begun_anew:
            self.commitment = kept.commitment or commitment(self.seed)
        if kept.drawn is not None:
            self.drawn = kept.drawn
        self.root, self.root_ms = kept.root, kept.root_ms
        self._signature, self._missing = kept.signature, kept.no_beacon
        self.key, self.settled = kept.key, kept.settled
        self._number()

    def number(self, entry: int) -> int | None:
        """The number of an entry; None until it is known."""
        if self.numbers is not None:
            return self.numbers.number(entry)
        return None if self.drawn is None or entry < self.drawn else entry + 1

    def number_among(self, drawn: int, entry: int) -> int | None:
        """The number of an entry where the store has just told N, perhaps ahead of this worker's view."""
        self.drawn = drawn
        self._number()
        return self.number(entry)

    def _number(self) -> None:
        """Know the numbers once what they follow from is there: made once and kept, as they learn with use."""
        key = self.seed if self.version == 1 else bytes.fromhex(self.key or "")
        if key and self.drawn is not None and self._numbered != (key, self.drawn):
            self.numbers, self._numbered = Draw(key, self.drawn), (key, self.drawn)

    def bound(self, draw_ms: int) -> Bound | None:
        """The beacon's round that it is bound to where it ends at this time; None where it is to none."""
        chain = chain_named(self.chain)
        if chain is None:
            return None
        signature = self._signature or None
        randomness = randomness_of(signature).hex() if signature else None
        return Bound(chain, chain.round_for(draw_ms), signature, randomness, self._missing or None)

    def numbers_ms(self, draw_ms: int) -> int:
        """When the numbers of a draw that ends at this time can be expected."""
        chain = chain_named(self.chain)
        if chain is None or not chain.is_soon(round_ := chain.round_for(draw_ms), draw_ms):
            return draw_ms
        return chain.due_ms(round_) + _BEACON_COMES_MS
