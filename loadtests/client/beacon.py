"""What a draw or a night is bound to, worked out again from the contract alone: which round, and whose signature."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from loadtests.client.answers import BeaconRound

_PUBLIC = {
    "quicknet": (
        1692803367, 3,
        "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc2"
        "2b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
    )
}  # fmt: skip
_NAMED = re.compile("drand:[0-9a-f]{64}:([0-9]+):([0-9]+):([0-9a-f]{192})")
_SIGNATURE = re.compile("[0-9a-f]{96}")
_AFTER_MS = 3000


class Unverifiable(Exception):
    """This Python has not got the library that checks a beacon's signatures."""


class Chain(NamedTuple):
    """Says when a chain's first round was due, how long a round is, and whose signatures count."""

    genesis_s: int
    period_s: int
    public_key: str

    def round_for(self, ends_ms: int) -> int:
        """Return the first round that is due three seconds after this time, or later."""
        since_ms = ends_ms + _AFTER_MS - self.genesis_s * 1000
        return 1 + max(0, -(-since_ms // (self.period_s * 1000)))

    def is_signed(self, number: int, signature: str) -> bool:
        """Return whether a round has this signature.

        Raises:
            Unverifiable: this Python cannot tell.
        """
        try:
            from drand_verify import verify_quicknet
        except ImportError:
            raise Unverifiable from None
        if not _SIGNATURE.fullmatch(signature):  # the library panics at what is no such text at all
            return False
        try:
            return bool(verify_quicknet(number, signature, self.public_key))
        except ValueError:
            return False


def chain_named(name: str) -> Chain | None:
    """Return a public chain, or one that its name describes; None for what is neither."""
    if name in _PUBLIC:
        return Chain(*_PUBLIC[name])
    found = _NAMED.fullmatch(name)
    return Chain(int(found[1]), int(found[2]), found[3]) if found else None


def fault_of(told: BeaconRound, ended_ms: int) -> str | None:
    """Say what is wrong with what was told of a round in the end; None where nothing is.

    Args:
        told: chain, round, and a signature or why there is none.
        ended_ms: when the draw ended, or the night's list was frozen.

    Raises:
        Unverifiable: this Python cannot tell.
    """
    chain = chain_named(told.chain)
    if chain is None:
        return f"the chain {told.chain} is none"
    if (due := chain.round_for(ended_ms)) != told.round:
        return f"it is bound to round {told.round}, and {due} is the first that was due three seconds later"
    if not told.signature:
        return None if told.missing else f"round {told.round} has no signature, and nothing says why"
    if told.missing:
        return f"round {told.round} has a signature, and is said to be missing"
    if told.randomness and hashlib.sha256(bytes.fromhex(told.signature)).hexdigest() != told.randomness:
        return f"the randomness told of round {told.round} is not its signature's"
    return None if chain.is_signed(told.round, told.signature) else f"round {told.round} has another signature"
