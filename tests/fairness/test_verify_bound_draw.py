"""`verify draw` on a draw of the second version: made here by the contract's words, and red at each single change."""

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from server.fairness.beacon import can_verify
from server.fairness.verification import Published, WrongFile, verify_draw

SEED = bytes(range(32))
BLINDS = [hashlib.sha256(bytes([n])).digest()[:16] for n in range(11)]
TAG = "440106:2023-08-23"
# Recorded rounds of drand's quicknet (its HTTP documentation, and drand-verify's README).
CHAIN, ROUND, GENESIS, PERIOD = "quicknet", 42, 1692803367, 3
SIGNATURE = "95a9f9f5b231b7714de1553105d8ffdf3dcda24cfdb1e689319bccf79a9c8ce430a91b811fbfaf763900bc998b5d686a"
RANDOMNESS = "8ada64bae5c6c0f5540a6a13af56e663240edfbd2c76ac6a8f27671eb7259ce3"
OTHER = "b713718a38ae728dfd477991af2822e08d2f305e47718cef9f7848ce4050e7be41076862b98fad56e91a6b85b89cd97b"
# The first round that is due 3 s or more after the draw's end is this one.
DRAW_ENDS = datetime.fromtimestamp(GENESIS + PERIOD * (ROUND - 1) - 3, UTC)
SECONDS = 60

VERIFIED = pytest.mark.skipif(not can_verify(), reason="needs drand-verify, which this Python has no wheel of")

Change = Callable[[dict[str, Any]], object]


def root_of(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root_of(leaves[:half]) + root_of(leaves[half:])).digest()


ROOT = root_of([hashlib.sha256(b"\0" + n.to_bytes(8, "big") + blind).digest() for n, blind in enumerate(BLINDS)])


def key_with(randomness: str) -> bytes:
    told = b"jiaohao draw 2\n" + TAG.encode() + b"\n" + ROOT + bytes.fromhex(randomness)
    return hmac.digest(SEED, told, "sha256")


def number(key: bytes, entry: int) -> int:
    """The contract's permutation of eleven entries: w is 2."""
    x = entry
    while True:
        left, right = x >> 2, x & 3
        for turn in range(8):
            mixed = hmac.digest(key, bytes([turn]) + right.to_bytes(8, "big"), "sha256")
            left, right = right, left ^ (int.from_bytes(mixed[:8], "big") & 3)
        x = left << 2 | right
        if x < len(BLINDS):
            return x + 1


def a_draw(*, bound: bool) -> dict[str, Any]:
    """A saved answer of `GET /openings/{district}`, and the numbers that entries were told."""
    key = key_with(RANDOMNESS if bound else "")
    beacon = {"chain": CHAIN, "round": ROUND, "randomness": RANDOMNESS, "signature": SIGNATURE}
    draw = {
        "seconds": SECONDS, "version": 2, "commitment": hashlib.sha256(SEED).hexdigest(), "seed": SEED.hex(),
        "entries": len(BLINDS), "root": ROOT.hex(), "key": key.hex(), "beacon": beacon if bound else None,
    }  # fmt: skip
    return {
        "district": "440106", "date": "2023-08-23", "draw": draw,
        "opens_at": (DRAW_ENDS - timedelta(seconds=SECONDS)).isoformat(),
        "numbers": {str(n): number(key, n) for n in range(len(BLINDS))},
    }  # fmt: skip


def saved(folder: Path, draw: dict[str, Any], leaves: bytes = b"".join(BLINDS)) -> tuple[Path, Published]:
    file, its_leaves = folder / "draw.json", folder / "leaves"
    file.write_text(json.dumps(draw))
    its_leaves.write_bytes(leaves)
    return file, Published(leaves=its_leaves)


@pytest.mark.parametrize("bound", [pytest.param(True, marks=VERIFIED), False], ids=["to a round", "to none"])
def test_what_follows_from_the_contract_holds(tmp_path: Path, bound: bool) -> None:
    held = verify_draw(*saved(tmp_path, a_draw(bound=bound)))
    assert (held.version, held.root, held.compared) == (2, ROOT.hex(), len(BLINDS))
    assert bool(held.bound_to) is bound


def _flipped(text: str) -> str:
    return ("1" if text[0] == "0" else "0") + text[1:]


CHANGES: dict[str, Change] = {
    "the seed": lambda f: f["draw"].update(seed=_flipped(f["draw"]["seed"])),
    "the commitment": lambda f: f["draw"].update(commitment=_flipped(f["draw"]["commitment"])),
    "the root": lambda f: f["draw"].update(root=_flipped(f["draw"]["root"])),
    "the key": lambda f: f["draw"].update(key=_flipped(f["draw"]["key"])),
    "no key": lambda f: f["draw"].update(key=None),
    "one entry fewer": lambda f: f["draw"].update(entries=10),
    "one entry more": lambda f: f["draw"].update(entries=12),
    "the first version": lambda f: f["draw"].update(version=1),
    "a version to come": lambda f: f["draw"].update(version=3),
    "another district": lambda f: f.update(district="440111"),
    "another day": lambda f: f.update(date="2023-08-24"),
    "another window of the day": lambda f: f.update(window=2),
    "a number": lambda f: f["numbers"].update({"3": f["numbers"]["4"]}),
}
OF_THE_BEACON: dict[str, Change] = {
    "no beacon": lambda f: f["draw"].update(beacon=None),
    "its randomness": lambda f: f["draw"]["beacon"].update(randomness=_flipped(RANDOMNESS)),
    "its signature": lambda f: f["draw"]["beacon"].update(signature=OTHER),
    "its round": lambda f: f["draw"]["beacon"].update(round=ROUND + 1),
    "its chain": lambda f: f["draw"]["beacon"].update(chain="another"),
    "that it is missing": lambda f: f["draw"]["beacon"].update(randomness=None, signature=None, missing="too late"),
    "when the draw ended": lambda f: f["draw"].update(seconds=SECONDS + PERIOD),
}


@pytest.mark.parametrize(
    ("bound", "what"),
    [
        *(pytest.param(True, what, marks=VERIFIED) for what in CHANGES | OF_THE_BEACON),
        *((False, what) for what in CHANGES),
    ],
)
def test_each_single_change_is_found(tmp_path: Path, bound: bool, what: str) -> None:
    draw = a_draw(bound=bound)
    (CHANGES | OF_THE_BEACON)[what](draw)
    with pytest.raises(WrongFile):
        verify_draw(*saved(tmp_path, draw))


@pytest.mark.parametrize(
    "leaves",
    [
        b"".join(BLINDS[1:]),
        b"".join([*BLINDS, BLINDS[0]]),
        b"".join(BLINDS)[:-1],
        b"".join([*BLINDS[:5], BLINDS[6], BLINDS[5], *BLINDS[7:]]),
        bytes(16) + b"".join(BLINDS[1:]),
    ],
    ids=["one fewer", "one more", "an octet fewer", "two changed places", "one that is empty"],
)
def test_leaves_that_are_others_are_found(tmp_path: Path, leaves: bytes) -> None:
    with pytest.raises(WrongFile):
        verify_draw(*saved(tmp_path, a_draw(bound=False), leaves))
