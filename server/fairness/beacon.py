"""A public beacon: randomness that did not exist before its time, and that nobody can choose or foresee.

drand's network signs the number of each round; the signature's hash is the round's randomness. Whoever has the chain's
public key can check it, wherever it came from. The round to be used follows from the clock alone (`Chain.round_for`),
so there is nothing to choose from.
"""

import hashlib
import re
from typing import Final, NamedTuple

from server.core.beacon import OWN_CHAIN

try:
    from drand_verify import verify_quicknet
except ImportError:  # the library has no wheels for this Python; `can_verify` says so
    verify_quicknet = None

RANDOMNESS_BYTES: Final = 32
DUE_AFTER_MS: Final = 3000
"""A draw is bound to the first round that is due so long after its end: none that was there before."""
_SOON_MS: Final = 60_000
_SIGNATURE = re.compile("[0-9a-f]{96}")
# A point of the curve that signs no round: its generator.
_NOBODYS_SIGNATURE: Final = (
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
)
_MOST_ROUND: Final = 2**63 - 1


class NotOfTheBeacon(ValueError):
    """This is not the round's signature; the text says what is wrong with it."""


class Chain(NamedTuple):
    """A beacon: its name, the hash that relays know it by, when its first round was due, and how long a round is."""

    name: str
    hash: str
    genesis_s: int
    period_s: int
    public_key: str

    @property
    def in_words(self) -> str:
        """Its name as people can read it: that of a chain of somebody's own says whose it is not."""
        return self.name if self == QUICKNET else f"a network that is not public, drand {self.hash[:12]}…"

    def round_for(self, ends_ms: int) -> int:
        """The round that what ends at this time (ms) is bound to: the first due `DUE_AFTER_MS` later, or after that."""
        since_ms = ends_ms + DUE_AFTER_MS - self.genesis_s * 1000
        return max(0, -(-since_ms // (self.period_s * 1000))) + 1

    def due_ms(self, number: int) -> int:
        """When a round is due."""
        return (self.genesis_s + self.period_s * (number - 1)) * 1000

    def is_soon(self, number: int, now_ms: int) -> bool:
        """Whether a round can be that of something which ends about now; nobody waits for one that is far away.

        What was before the chain's first round is bound to that one, which may be due in years; and a city's clock may
        be wrong, or set back.
        """
        return self.due_ms(number) <= now_ms + DUE_AFTER_MS + self.period_s * 1000 + _SOON_MS

    def verify(self, number: int, signature: str) -> bytes:
        """The randomness of a round, once its signature (hex) has been checked.

        Raises:
            NotOfTheBeacon: it is not this round's signature, or none at all.
            BeaconUnverifiable: this Python cannot check it.
        """
        if verify_quicknet is None:
            raise BeaconUnverifiable
        # What is no such text at all makes the library panic, past any `except Exception`.
        if not _SIGNATURE.fullmatch(signature):
            raise NotOfTheBeacon("signature: expected 96 hexadecimal digits in lower case")
        if not 1 <= number <= _MOST_ROUND:
            raise NotOfTheBeacon(f"round: the beacon has none of number {number}")
        if self != QUICKNET and not self.has_valid_key():
            raise NotOfTheBeacon(f"chain: the public key of {self.in_words} is none")
        try:
            verify_quicknet(number, signature, self.public_key)
        except ValueError:
            raise NotOfTheBeacon(f"signature: it is not that of round {number} of {self.in_words}") from None
        return randomness_of(signature)

    def has_valid_key(self) -> bool:
        """Whether its public key is one; the library that verifies panics over what is none.

        Raises:
            BeaconUnverifiable: this Python has not got the library.
        """
        if verify_quicknet is None:
            raise BeaconUnverifiable
        try:
            verify_quicknet(1, _NOBODYS_SIGNATURE, self.public_key)
        except ValueError:
            return True
        except BaseException as panic:
            # It is no Exception, and its class can be had from nowhere.
            if type(panic).__name__ != "PanicException":
                raise
            return False
        return True


QUICKNET: Final = Chain(
    "quicknet",
    "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971",
    1692803367,
    3,
    "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc22b"
    "0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
)


def chain_named(name: str) -> Chain | None:
    """The chain of a name: a public one, or one whose name says how to verify it; None where there is none.

    What is verified is of the scheme bls-unchained-g1-rfc9380.
    """
    if name == QUICKNET.name:
        return QUICKNET
    own = OWN_CHAIN.fullmatch(name)
    if own is None:
        return None
    return Chain(name, own["hash"], int(own["genesis_s"]), int(own["period_s"]), own["public_key"])


class BeaconUnverifiable(Exception):
    """This Python has not got the library that checks a beacon's signatures (`drand-verify`)."""

    def __init__(self) -> None:
        super().__init__(
            "this Python has no drand-verify, which checks a beacon's signatures: it is there up to Python 3.12"
        )


def can_verify() -> bool:
    """Whether this Python can check a beacon's signatures."""
    return verify_quicknet is not None


def randomness_of(signature: str) -> bytes:
    """What a signature (hex) says, whether or not it is anybody's."""
    return hashlib.sha256(bytes.fromhex(signature)).digest()
