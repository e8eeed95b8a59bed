"""The audit of what a draw is bound to, and of what tickets prove: honest ones are green, each wrong thing is red."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from loadtests.audit.evidence import Check
from loadtests.audit.promises import audit
from loadtests.audit.seen import OpeningSeen, ProofSeen
from loadtests.client.answers import BeaconRound, Proof
from loadtests.client.merkle import draw_leaf, root_by
from server.fairness.beacon import can_verify
from tests.support.beacon import RECORDED
from tests.support.honest_opening import World
from tests.support.results import rfc_path, rfc_root

DAY_S = 1692803367 + 3 * (RECORDED[0].number - 1) - 3  # three seconds before the recorded round was due
ROUND = BeaconRound("quicknet", RECORDED[0].number)
TOLD = msgspec.structs.replace(ROUND, signature=RECORDED[0].signature, randomness=RECORDED[0].randomness)
MISSING = msgspec.structs.replace(ROUND, missing="nobody answered")
needs_library = pytest.mark.skipif(not can_verify(), reason="needs drand-verify, which this Python has no wheel of")


class Bound(World):
    """The first opening has a draw of the second version; who has a ticket has asked for a proof.

    Args:
        before, after: what is told of the beacon's round, of the second opening too.
    """

    def __init__(self, before: BeaconRound | None = None, after: BeaconRound | None = None) -> None:
        super().__init__()
        seen = self.evidence.seen.openings
        for district, looks in seen.items():
            seen[district] = [replace(look, beacon=after if look.seed else before) for look in looks]
        it = self.first
        blinds = [hashlib.sha256(b"%d" % entry).digest()[:16] for entry in range(it.drawn)]
        self.leaves = [entry.to_bytes(8, "big") + blind for entry, blind in enumerate(blinds)]
        self.root = rfc_root(self.leaves).hex()
        seen[it.opening.district] = [replace(look, root=self.root if look.seed else None) for look in self.looks]
        self.proofs = [self.proof(i) for i in it.people if self.observations.entry[i] < it.drawn]
        self.evidence.seen.proofs[it.opening.district] = self.proofs

    def proof(self, i: int) -> ProofSeen:
        entry = self.observations.entry[i]
        path = [node.hex() for node in rfc_path(entry, self.leaves)]
        return ProofSeen(i, entry, 200, Proof(entry, self.leaves[entry][8:].hex(), path, self.root))

    def change(self, **changes: object) -> None:
        """Of the second proof."""
        proof = self.proofs[1].proof
        assert proof is not None
        self.proofs[1] = replace(self.proofs[1], proof=msgspec.structs.replace(proof, **changes))

    def at_the_beacons_time(self) -> None:
        """The draws ended three seconds before the recorded round was due."""
        self.evidence.openings = tuple(
            replace(it, opens_at=it.opens_at.fromtimestamp(DAY_S - it.draw_seconds, it.opens_at.tzinfo))
            for it in self.evidence.openings
        )

    def check(self, name: str) -> Check:
        (found,) = (check for check in audit(replace(self.evidence)) if check.name == name)
        return found


def test_paths_lead_to_the_roots_of_every_size() -> None:
    for count in (1, 2, 3, 5, 8, 13):
        leaves = [entry.to_bytes(8, "big") + bytes([entry]) * 16 for entry in range(count)]
        root = rfc_root(leaves)
        for entry in range(count):
            path, leaf = rfc_path(entry, leaves), draw_leaf(entry, bytes([entry]) * 16)
            assert root_by(leaf, entry, count, path) == root
            assert root_by(leaf, entry, count, [*path, root]) is None
            assert not path or root_by(leaf, entry, count, path[:-1]) is None
            assert root_by(leaf, entry + 1, count, path) != root
        assert root_by(leaf, count, count, []) is None


def test_a_sample_of_proofs_that_lead_to_the_root_is_green() -> None:
    world = Bound()
    check = world.check("listed in the draw")
    assert check.ok and check.detail == f"{len(world.proofs)} residents' proofs lead to the root"
    assert "draw bound" not in {check.name for check in audit(world.evidence)}, "no beacon is named"


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda w: w.change(blind="00" * 16), "its path leads elsewhere"),
        (lambda w: w.change(blind="no hex"), "not hexadecimal"),
        (lambda w: w.change(path=[]), "its path leads elsewhere"),
        (lambda w: w.change(entry=0), "one of entry 0"),
        (lambda w: w.change(root="00" * 32), "another root"),
        (lambda w: w.proofs.__setitem__(1, replace(w.proofs[1], status=404, proof=None)), "answered 404"),
        (lambda w: w.proofs.__setitem__(1, replace(w.proofs[1], status=200, proof=None)), "no proof"),
    ],
)
def test_a_proof_that_does_not_hold_turns_exactly_its_check_red(break_it: Callable[[Bound], None], why: str) -> None:
    world = Bound()
    break_it(world)
    assert world.red() == {"listed in the draw"} and why in world.check("listed in the draw").detail


def test_residents_who_are_not_answered_prove_nothing() -> None:
    world = Bound()
    world.proofs[0] = replace(world.proofs[0], status=503, proof=None)
    assert world.check("listed in the draw").detail.endswith("; 1 more were not answered")
    world.proofs[:] = [replace(it, status=0, proof=None) for it in world.proofs]
    assert world.check("listed in the draw").ok is None


def key_of(world: Bound, signature: str) -> str:
    randomness = hashlib.sha256(bytes.fromhex(signature)).digest() if signature else b""
    it = world.evidence.openings[0]
    message = f"jiaohao draw 2\n{it.district}:{it.date}\n".encode() + bytes.fromhex(world.root) + randomness
    return hmac.new(world.first.seed, message, hashlib.sha256).hexdigest()


@needs_library
@pytest.mark.parametrize("after", [TOLD, MISSING])
def test_a_draw_that_kept_to_its_round_or_says_why_not_is_green(after: BeaconRound) -> None:
    world = Bound(ROUND, after)
    world.at_the_beacons_time()
    check = world.check("draw bound")
    assert check.ok, check.detail
    of_each = "round 657413 verified" if after == TOLD else "round 657413 is missing: nobody answered"
    assert check.detail == f"{of_each}; {of_each}"
    world.evidence.beacon = "own"
    assert world.check("draw bound").ok is (after == TOLD), "its relay answers"
    world.evidence.beacon = "silent"
    assert world.check("draw bound").ok is (after == MISSING)


def told(**changes: object) -> BeaconRound:
    return msgspec.structs.replace(TOLD, **changes)


@needs_library
@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (ROUND, told(round=ROUND.round + 1), "changed"),
        (ROUND, told(chain="another"), "changed"),
        (told(chain="another"), told(chain="another"), "is none"),
        (told(round=42), told(round=42, signature=RECORDED[1].signature), "657413 is the first"),
        (ROUND, told(signature=RECORDED[1].signature, randomness=None), "another signature"),
        (ROUND, told(signature="x" * 96, randomness=None), "another signature"),
        (ROUND, told(randomness="00" * 32), "not its signature's"),
        (ROUND, told(missing="late"), "said to be missing"),
        (ROUND, ROUND, "nothing says why"),
        (TOLD, TOLD, "before the draw was done"),
    ],
)
def test_each_wrong_thing_of_a_round_is_red(before: BeaconRound, after: BeaconRound, why: str) -> None:
    world = Bound(before, after)
    world.at_the_beacons_time()
    check = world.check("draw bound")
    assert check.ok is False and why in check.detail


def test_a_draw_whose_key_is_made_of_another_round_is_red() -> None:
    world = Bound(ROUND, TOLD)

    def keyed(look: OpeningSeen, signature: str) -> OpeningSeen:
        return replace(look, key=key_of(world, signature) if look.seed else None)

    for signature, ok in ((RECORDED[0].signature, True), (RECORDED[1].signature, False), ("", False)):
        looks = [keyed(look, signature) for look in world.looks]
        world.evidence.seen.openings[world.first.opening.district] = looks
        assert world.check("draw committed").ok is ok
