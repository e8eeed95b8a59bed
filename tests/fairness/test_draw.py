"""The draw is the contract's, and fair by construction: a permutation that the seed alone decides."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.fairness.draw import Draw, commitment, draw_key, leaf_hashes, leaf_of, night_key
from server.fairness.merkle import Tree, check, root_of
from tests.support import SUPPORT

VECTORS: dict[str, Any] = json.loads((SUPPORT / "draw_vectors.json").read_text("utf-8"))
VECTORS_2: dict[str, Any] = json.loads((SUPPORT / "draw_vectors_2.json").read_text("utf-8"))
SEED = bytes.fromhex(VECTORS["seed"])

seeds = st.binary(min_size=32, max_size=32)


def contract_number(seed: bytes, entries: int, entry: int) -> int:
    """The contract's words, one by one, with nothing kept."""
    if entry >= entries:
        return entry + 1
    w = 1
    while 2 ** (2 * w) < entries:
        w += 1
    x = entry
    while True:
        left, right = x >> w, x % (1 << w)
        for r in range(8):
            code: bytes = hmac.new(seed, bytes([r]) + right.to_bytes(8, "big"), "sha256").digest()
            left, right = right, left ^ (int.from_bytes(code[:8], "big") % (1 << w))
        x = (left << w) | right
        if x < entries:
            return 1 + x


def test_the_commitment_of_the_vectors() -> None:
    assert commitment(SEED) == VECTORS["commitment"]


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: str(case["entries"]))
def test_the_numbers_of_the_vectors(case: dict[str, Any]) -> None:
    draw = Draw(SEED, case["entries"])
    if "number_of_entry" in case:
        assert [draw.number(entry) for entry in range(case["entries"])] == case["number_of_entry"]
    else:
        assert {entry: draw.number(int(entry)) for entry in case["some"]} == case["some"]


@settings(max_examples=60)
@given(seeds, st.integers(0, 3000))
def test_everyone_in_the_draw_gets_a_number_of_their_own(seed: bytes, entries: int) -> None:
    draw = Draw(seed, entries)
    assert sorted(draw.number(entry) for entry in range(entries)) == list(range(1, entries + 1))


@given(seeds, st.integers(1, 2**40), st.data())
def test_anyone_can_compute_it_from_the_contract(seed: bytes, entries: int, data: st.DataObject) -> None:
    entry = data.draw(st.integers(0, entries - 1))
    draw = Draw(seed, entries)
    assert draw.number(entry) == contract_number(seed, entries, entry)
    assert draw.number(entry) == contract_number(seed, entries, entry)  # and from what it kept


@pytest.mark.parametrize("power", [4, 16, 64, 256, 1024, 4096])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_around_a_power_of_four(power: int, more: int) -> None:
    entries = power + more
    draw = Draw(SEED, entries)
    sample = {0, 1, entries // 2, entries - 1}
    assert {e: draw.number(e) for e in sample} == {e: contract_number(SEED, entries, e) for e in sample}


@given(seeds, st.integers(0, 10**6), st.integers(0, 10**6))
def test_after_the_draw_the_order_is_that_of_joining(seed: bytes, entries: int, later: int) -> None:
    assert Draw(seed, entries).number(entries + later) == entries + later + 1


def test_an_empty_draw_and_a_draw_of_one() -> None:
    assert [Draw(SEED, 0).number(entry) for entry in range(3)] == [1, 2, 3]
    assert [Draw(SEED, 1).number(entry) for entry in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(("seed", "entries"), [(b"", 1), (SEED[:31], 1), (SEED + b"\0", 1), (SEED, -1)])
def test_a_seed_of_another_length_or_negative_entries_are_refused(seed: bytes, entries: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        Draw(seed, entries)


def test_a_negative_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an entry"):
        Draw(SEED, 10).number(-1)


with_blinds = pytest.mark.parametrize("case", VECTORS_2["cases"], ids=lambda case: str(case["entries"]))


@with_blinds
def test_the_second_versions_root_key_and_numbers_of_the_vectors(case: dict[str, Any]) -> None:
    entries, seed, tag = case["entries"], bytes.fromhex(case["seed"]), case["tag"]
    if len(case["blinds"]) == entries:
        assert root_of(leaf_hashes(bytes.fromhex("".join(case["blinds"])))) == case["root"]
    randomness = bytes.fromhex(case["beacon"])
    key = draw_key(seed, tag, case["root"], randomness)
    assert key.hex() == case["key"]
    assert night_key(seed, tag, case["root"], randomness).hex() == case["night_key"]
    draw = Draw(key, entries)
    if "number_of_entry" in case:
        assert [draw.number(entry) for entry in range(entries)] == case["number_of_entry"]
    else:
        assert {entry: draw.number(int(entry)) for entry in case["some"]} == case["some"]


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=40), st.data())
def test_the_root_of_a_draw_is_the_same_however_its_leaves_come(blinds: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(blinds)))
    hashes = leaf_hashes(b"".join(blinds[:cut])) + leaf_hashes(b"".join(blinds[cut:]), cut)
    each = [hashlib.sha256(b"\0" + entry.to_bytes(8, "big") + blind).digest() for entry, blind in enumerate(blinds)]
    assert hashes == b"".join(each)
    tree = Tree(hashes)
    for entry, blind in enumerate(blinds):
        proof = tree.prove(entry)
        assert check(tree.root(), leaf_of(entry, blind), proof)
        assert not check(tree.root(), leaf_of(entry + 1, blind), proof)


def test_each_part_of_what_the_key_is_made_of_changes_it() -> None:
    root, other = "00" * 32, "00" * 31 + "01"
    keys = {
        draw_key(SEED, "440106:2021-06-26", root),
        draw_key(SEED[::-1], "440106:2021-06-26", root),
        draw_key(SEED, "440106:2021-06-26:2", root),
        draw_key(SEED, "440106:2021-06-26", other),
        draw_key(SEED, "440106:2021-06-26", root, bytes(32)),
        night_key(SEED, "440106:2021-06-26", root),
    }
    assert len(keys) == 6


def test_a_blind_that_is_cut_off_is_refused() -> None:
    with pytest.raises(ValueError, match="expected blinds of 16 bytes"):
        leaf_hashes(bytes(17))
