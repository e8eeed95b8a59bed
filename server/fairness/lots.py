"""What decides among equals in a night: the key of its tie-breaks, and what the key is made of.

In the first version the key is the seed. In the second it binds the frozen list too and, where the city names a beacon,
a round of it that did not exist yet when the list was frozen and its root made public: so nobody, not even who knew the
seed, could have chosen a registration number by it.
"""

from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from server.fairness.beacon import Chain, NotOfTheBeacon, chain_named, randomness_of
from server.fairness.draw import commitment, night_key

Version = Literal[1, 2]
LATEST: Final[Version] = 2


class BeaconRound(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The beacon's round that a night is bound to: its signature (hex), or why there was none."""

    chain: str
    round: Annotated[int, msgspec.Meta(ge=1, le=10**12)]
    signature: str | None = None
    missing: str | None = None

    @property
    def randomness(self) -> bytes:
        """What goes into the key; nothing where there is no signature."""
        return randomness_of(self.signature) if self.signature else b""

    def check(self, frozen_ms: int) -> None:
        """Check that it is the round of a list frozen then, and that its signature is the beacon's.

        Raises:
            NotOfTheBeacon: it is not; the text says why.
            BeaconUnverifiable: this Python cannot check signatures.
        """
        due = self._known_chain().round_for(frozen_ms)
        if self.round != due:
            raise NotOfTheBeacon(f"round: that of a list frozen then is {due}, not {self.round}")
        if (self.signature is None) == (self.missing is None):
            raise NotOfTheBeacon("signature: expected one, or else why it is missing")
        if self.signature is not None:
            self.check_signature()

    def check_signature(self) -> None:
        """Check that its signature is the beacon's.

        Raises:
            NotOfTheBeacon: it is not; the text says why.
            BeaconUnverifiable: this Python cannot check signatures.
        """
        self._known_chain().verify(self.round, self.signature or "")

    def _known_chain(self) -> Chain:
        chain = chain_named(self.chain)
        if chain is None:
            raise NotOfTheBeacon(f"chain: {self.chain} is none that is known here")
        return chain


class Lots(NamedTuple):
    """What the lots of a night are drawn from.

    Attributes:
        seed: 32 bytes, committed to before the night.
        version: 1, where nothing else goes into the key; or 2.
        frozen_ms: when the list was frozen, of the second version.
        beacon: the round; None where the city names no beacon.
    """

    seed: bytes
    version: Version = 1
    frozen_ms: int | None = None
    beacon: BeaconRound | None = None

    @property
    def commitment(self) -> str:
        """What was public before the night: the hex SHA-256 of the seed."""
        return commitment(self.seed)

    def key(self, tag: str, list_root: str) -> bytes:
        """The key of the tie-breaks of the district's night `tag`, DISTRICT:DATE, whose frozen list has this root."""
        if self.version == 1:
            return self.seed
        return night_key(self.seed, tag, list_root, self.beacon.randomness if self.beacon else b"")
