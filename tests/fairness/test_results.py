"""The result file and its Merkle tree: what it says, that it says it in one way only, and who is not in it."""

import hashlib
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.fairness.allotment import Candidates
from server.fairness.merkle import Frontier, Proof, Tree, check, leaf_hash, prove_from
from server.fairness.result_lines import list_root
from tests.support.results import NOS, PEOPLE, RULES, SEED, a_file, rfc_path, rfc_root


def lines_of(text: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_roots_of_the_certificate_transparency_test_vectors() -> None:
    """RFC 6962's reference implementation: the roots of its first eight test leaves."""
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    frontier = Frontier()
    assert frontier.root() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for leaf in leaves:
        frontier.append(bytes.fromhex(leaf))
    assert frontier.root() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@pytest.mark.parametrize("count", range(34))
def test_root_and_proofs_are_those_of_the_rfc(count: int) -> None:
    leaves = [f"line {n}".encode() for n in range(count)]
    frontier, tree = Frontier(), Tree(b"".join(map(leaf_hash, leaves)))
    for leaf in leaves:
        frontier.append(leaf)
    root = rfc_root(leaves).hex()
    assert frontier.root() == tree.root() == root
    saved = io.BytesIO()
    tree.save(saved)
    for n, leaf in enumerate(leaves):
        proof = tree.prove(n)
        assert proof == Proof(n, count, [node.hex() for node in rfc_path(n, leaves)]) == prove_from(saved, n)
        assert check(root, leaf, proof)
    for nowhere in (-1, count):
        with pytest.raises(IndexError):
            tree.prove(nowhere)
        with pytest.raises(IndexError):
            prove_from(saved, nowhere)


@given(st.integers(1, 70), st.data())
def test_a_proof_proves_nothing_else(count: int, data: st.DataObject) -> None:
    leaves = [f"line {n}".encode() for n in range(count)]
    tree = Tree(b"".join(map(leaf_hash, leaves)))
    n = data.draw(st.integers(0, count - 1))
    proof, root = tree.prove(n), tree.root()
    assert not check(root, b"another line", proof)
    assert not check("00" * 32, leaves[n], proof)
    hashes = proof.hashes
    assert not check(root, leaves[n], Proof(n, count, [*hashes, "00" * 32]))
    assert not check(root, leaves[n], Proof(-1, count, hashes))
    assert not check(root, leaves[n], Proof(count, count, hashes))
    if hashes:
        at = data.draw(st.integers(0, len(hashes) - 1))
        for wrong in ("00" * 32, hashes[at][:-2], "no hex", ""):
            assert not check(root, leaves[n], Proof(n, count, [*hashes[:at], wrong, *hashes[at + 1 :]]))
        assert not check(root, leaves[n], Proof(n, count, hashes[:-1]))
        other = data.draw(st.integers(0, count - 1).filter(lambda m: m != n))
        assert not check(root, leaves[other], proof)


def test_a_saved_tree_that_is_cut_off_is_noticed() -> None:
    saved = io.BytesIO()
    Tree(b"".join(leaf_hash(bytes([n])) for n in range(9))).save(saved)
    saved.truncate(200)
    with pytest.raises(ValueError, match="cut off"):
        prove_from(saved, 7)


# The file


def test_what_the_file_says() -> None:
    """By hand: 0 and 1 share the two slots of the 4th; 6 got the one at site 3, 7 and the first dose the 5th."""
    text, _ = a_file()
    head, *registrations, foot = lines_of(text)
    assert head["rules"]["district"] == "440106" and head["rules"]["date"] == "2021-07-02"
    assert head["rules"]["products"] == {"inactivated": 21, "cho": 28, "adenovirus": None}
    assert head["seed"] == SEED.hex() and head["commitment"] == hashlib.sha256(SEED).hexdigest()
    assert head["registrations"] == 10
    assert head["slots"][0] == ["2021-07-04", "440106-1", "am", "inactivated", 2]
    by_no = {line["no"]: line for line in registrations}
    early, late, cho = (
        ["2021-07-04", "440106-1", "am", "inactivated"],
        ["2021-07-05", "440106-2", "pm", "inactivated"],
        3,
    )
    assert by_no[NOS[0]]["slot"] == by_no[NOS[1]]["slot"] == early
    assert (by_no[NOS[2]]["reason"], by_no[NOS[cho]]["reason"]) == ("too-early", "full")
    assert by_no[NOS[cho]]["reached"] == "2021-06-03"
    assert by_no[NOS[4]]["slot"] == late and by_no[NOS[4]]["cohort"] == 3
    assert by_no[NOS[5]]["reason"] == "no-such-site" and by_no[NOS[5]]["cohort"] == 0
    assert by_no[NOS[6]]["slot"] == ["2021-07-06", "440106-3", "am", "inactivated"]
    assert by_no[NOS[7]]["slot"] == late
    assert (by_no[NOS[8]]["reason"], by_no[NOS[9]]["reason"]) == ("not-offered", "not-before")
    assert registrations[0]["no"] == NOS[5] and registrations[-1]["no"] == NOS[4]
    assert foot["counts"] == {
        "allotted": 5, "full": 1, "no-such-site": 1, "too-early": 1, "not-before": 1, "not-offered": 1,
    }  # fmt: skip
    assert foot["reached"] == [None, None, "2021-06-03", None]


def test_the_same_night_is_the_same_file() -> None:
    assert a_file()[0] == a_file(PEOPLE[::-1])[0] == a_file(PEOPLE[5:] + PEOPLE[:5])[0]


def test_every_line_has_its_proof() -> None:
    text, tree = a_file()
    raw = text.splitlines()
    root = json.loads(raw[-1])["root"]
    assert root == rfc_root(raw[:-1]).hex()
    for n, line in enumerate(raw[:-1]):
        assert check(root, line, tree.prove(n))


def test_the_lists_root_is_by_number_and_knows_no_seed() -> None:
    root = json.loads(a_file()[0].splitlines()[0])["list_root"]
    assert root == list_root(RULES, Candidates(PEOPLE)) == list_root(RULES, Candidates(PEOPLE[::-1]))
    assert root != list_root(RULES, Candidates([PEOPLE[0]._replace(any_site=False), *PEOPLE[1:]]))
    one = {"no": NOS[0], "cohort": 2, "first_dose": "2021-05-12", "product": "inactivated"}
    one |= {"wishes": [["440106-1", "am"]], "any_site": True}
    leaf = json.dumps(one, separators=(",", ":")).encode()
    assert list_root(RULES, Candidates(PEOPLE[:1])) == rfc_root([leaf]).hex()


def test_nothing_in_it_names_a_person() -> None:
    _, *registrations, _ = lines_of(a_file()[0])
    known = {"no", "cohort", "first_dose", "product", "wishes", "any_site", "not_before", "together"}
    assert set().union(*registrations) <= known | {"tie", "slot", "moved", "reason", "reached"}


def test_a_night_without_anybody() -> None:
    text, tree = a_file([])
    head, foot = lines_of(text)
    assert (head["registrations"], foot["root"]) == (0, tree.root())
    assert head["list_root"] == hashlib.sha256().hexdigest()
