"""Heads of the public log: read and written as others read and write them; and that a log has only grown."""

import base64
import hashlib

import pytest

from server.fairness.checkpoint import Checkpoint, Notary, NotSigned, Verifier
from server.fairness.merkle import Tree, check_growth, leaf_hash
from tests.support.results import rfc_root

# A head that Go's checksum database has published, and its key as the go command has it.
GO_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
GO_HEAD = """go.sum database tree
63096908
8lHrQPRYe4KT4WQ9/Qk8/taKnD6IRHbFgfN7vQE2Y54=

\N{EM DASH} sum.golang.org Az3gri/oVBN1jAhNZ/iS+W31psFAWRT20/GyrhpU6taFwulQGetBkH5S7wpGXdS935jiIGiUUAXBVHzT/P6fYhqAmAk=
"""
ROOT = hashlib.sha256(b"root").hexdigest()


def test_a_head_that_others_have_signed_is_read() -> None:
    root = "f251eb40f4587b8293e1643dfd093cfed68a9c3e884476c581f37bbd0136639e"  # the third line, by base64 -d | xxd
    assert Verifier(GO_KEY).read(GO_HEAD) == Checkpoint("go.sum database tree", 63096908, root)


@pytest.mark.parametrize(
    ("what", "becomes"),
    [
        ("63096908", "63096909"),
        ("8lHrQ", "8lHrR"),
        ("go.sum database tree", "go.sum database"),
        ("Az3gri/o", "Az3gri/p"),
        ("sum.golang.org Az", "sum.golang.org Bz"),
        ("\N{EM DASH} sum.golang.org", "\N{EM DASH} sum.golang.com"),
        ("63096908\n", "63096908\r\n"),
        ("63096908", "063096908"),
        ("\n\n", "\n"),
        ("\N{EM DASH}", "-"),
        ("Y54=\n", "Y54=\n\tmore\n"),
    ],
)
def test_a_changed_one_is_not(what: str, becomes: str) -> None:
    assert what in GO_HEAD
    with pytest.raises(NotSigned):
        Verifier(GO_KEY).read(GO_HEAD.replace(what, becomes, 1))


def test_what_we_sign_has_that_form_and_is_read_by_our_key_alone() -> None:
    notary = Notary("example.org/log", b"s" * 32)
    size, root, note = notary.sign(7, ROOT)
    assert (size, root) == (7, ROOT)
    text, _, signature = note.partition("\n\n")
    assert text.splitlines() == ["example.org/log", "7", base64.b64encode(bytes.fromhex(ROOT)).decode()]
    dash, name, encoded = signature.removesuffix("\n").split(" ")
    assert (dash, name, len(base64.b64decode(encoded))) == ("\u2014", "example.org/log", 4 + 64)
    assert Verifier(notary.verifier_key).read(note) == Checkpoint("example.org/log", 7, ROOT)
    name, key_id, key = notary.verifier_key.split("+", 2)
    assert (name, len(key_id), base64.b64decode(key)[0], len(base64.b64decode(key))) == ("example.org/log", 8, 1, 33)
    with pytest.raises(NotSigned):
        Verifier(Notary("example.org/log", b"t" * 32).verifier_key).read(note)
    with pytest.raises(NotSigned):
        Verifier(GO_KEY).read(note)


@pytest.mark.parametrize(
    "key", ["", "name", "a+b", "name+00000000+AQ==", GO_KEY.replace("033de0ae", "033de0af"), GO_KEY[:-4]]
)
def test_what_is_no_key_is_said_at_once(key: str) -> None:
    with pytest.raises(ValueError, match=r"expected NAME|the key is not"):
        Verifier(key)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u3000b", "a\tb"])
def test_a_name_that_other_tools_would_not_read_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="spaces"):
        Notary(name, b"s" * 32)


# Growth


def rfc_subproof(m: int, leaves: list[bytes], is_whole: bool) -> list[bytes]:
    """RFC 6962, 2.1.2, spelled out as it is written."""
    if m == len(leaves):
        return [] if is_whole else [rfc_root(leaves)]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if m <= k:
        return [*rfc_subproof(m, leaves[:k], is_whole), rfc_root(leaves[k:])]
    return [*rfc_subproof(m - k, leaves[k:], False), rfc_root(leaves[:k])]


@pytest.mark.parametrize("count", [*range(1, 20), 32, 33])
def test_proofs_of_growth_are_those_of_the_rfc(count: int) -> None:
    leaves = [f"line {n}".encode() for n in range(count)]
    tree, root = Tree(b"".join(map(leaf_hash, leaves))), rfc_root(leaves).hex()
    for first in range(1, count + 1):
        earlier = rfc_root(leaves[:first]).hex()
        proof = tree.prove_growth(first)
        assert proof == [node.hex() for node in rfc_subproof(first, leaves, True)]
        assert check_growth(first, earlier, count, root, proof)
        for n in range(len(proof)):
            assert not check_growth(first, earlier, count, root, [*proof[:n], ROOT, *proof[n + 1 :]])
        assert not check_growth(first, earlier, count, root, [*proof, ROOT])
        assert not check_growth(first, ROOT, count, root, proof)
        assert not check_growth(first, earlier, count, ROOT, proof)
        if proof:
            assert not check_growth(first, earlier, count, root, proof[:-1])
    for nowhere in (0, count + 1):
        with pytest.raises(IndexError):
            tree.prove_growth(nowhere)
