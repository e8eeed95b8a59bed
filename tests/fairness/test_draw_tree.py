"""The tree over a draw's entries is RFC 6962's, however its entries come, and proves each of them."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.fairness.draw import leaf_of
from server.fairness.draw_tree import BLOCK, DrawTree
from server.fairness.merkle import check
from tests.support.results import rfc_path, rfc_root


def grown(blinds: list[bytes], cuts: list[int]) -> DrawTree:
    tree, at = DrawTree(), 0
    for cut in [*sorted(cuts), len(blinds)]:
        tree.grow(b"".join(blinds[at:cut]))
        at = max(at, cut)
    return tree


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 127, 128, 129, 200, 1000])
def test_each_entry_is_proved_by_rfc_6962(count: int) -> None:
    blinds = [os.urandom(16) for _ in range(count)]
    leaves = [entry.to_bytes(8, "big") + blind for entry, blind in enumerate(blinds)]
    tree = grown(blinds, [])
    assert tree.root() == rfc_root(leaves).hex()
    for entry in {0, 1, BLOCK - 1, BLOCK, count // 2, count - 2, count - 1} & set(range(count)):
        start = entry // BLOCK * BLOCK
        proof = tree.prove(entry, b"".join(blinds[start : start + BLOCK]))
        assert proof.hashes == [node.hex() for node in rfc_path(entry, leaves)]
        assert check(tree.root(), leaf_of(entry, blinds[entry]), proof)
        assert not check(tree.root(), leaf_of(entry, bytes(16)), proof)


@given(st.integers(0, 300), st.lists(st.integers(0, 300), max_size=6))
def test_it_is_the_same_tree_however_the_entries_come(count: int, cuts: list[int]) -> None:
    blinds = [entry.to_bytes(16, "big") for entry in range(count)]
    leaves = [entry.to_bytes(8, "big") + blind for entry, blind in enumerate(blinds)]
    tree = grown(blinds, [min(cut, count) for cut in cuts])
    assert (tree.entries, tree.root()) == (count, rfc_root(leaves).hex())


def test_there_is_no_proof_of_an_entry_that_is_not_in_the_draw() -> None:
    tree = grown([bytes(16)] * 70, [])
    with pytest.raises(IndexError):
        tree.prove(70, bytes(16) * 6)
