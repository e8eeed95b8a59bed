#!/usr/bin/env bash
# pymerkle 7.0.0: an inclusion proof is RFC 6962's with one hash more, and leaves count from 1.
#
# Roots agree with RFC 6962 (leaf SHA-256(0x00 || data), node SHA-256(0x01 || left || right)). But `prove_inclusion(i, n)`
# takes 1 for the first leaf (0 is an InvalidChallenge), and the `path` it gives begins with the leaf's own hash: of five
# leaves the audit path of the first has three hashes, the path four. A verifier by RFC 6962, 2.1.1, that is given it as it
# is computes another root. Take the first element off, and ask for index + 1.
#
# Seen with pymerkle 7.0.0 on Python 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check pymerkle==7.0.0
"$work/venv/bin/python" - <<'PY' | tee "$work/seen"
import hashlib

from pymerkle import InmemoryTree


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\0" + data).digest()


def root(leaves: list[bytes]) -> bytes:  # RFC 6962, 2.1
    if len(leaves) == 1:
        return leaf(leaves[0])
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()


def audit_path(m: int, leaves: list[bytes]) -> list[bytes]:  # RFC 6962, 2.1.1
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*audit_path(m, leaves[:k]), root(leaves[k:])]
    return [*audit_path(m - k, leaves[k:]), root(leaves[:k])]


leaves = [bytes([n]) for n in range(5)]
tree = InmemoryTree(algorithm="sha256")
for data in leaves:
    tree.append_entry(data)
print("root as in RFC 6962:", tree.get_root() == root(leaves))
for m in range(5):
    path = tree.prove_inclusion(m + 1, 5).path
    print(
        f"leaf {m}: {len(path)} hashes for an audit path of {len(audit_path(m, leaves))};",
        "the leaf's own first" if path[0] == leaf(leaves[m]) else "another order",
        "and then the audit path" if path[1:] == audit_path(m, leaves) else "and something else",
    )
try:
    tree.prove_inclusion(0, 5)
except Exception as error:
    print("index 0:", type(error).__name__)
PY
diff "$work/seen" - <<'SEEN'
root as in RFC 6962: True
leaf 0: 4 hashes for an audit path of 3; the leaf's own first and then the audit path
leaf 1: 4 hashes for an audit path of 3; the leaf's own first and then the audit path
leaf 2: 4 hashes for an audit path of 3; the leaf's own first and then the audit path
leaf 3: 4 hashes for an audit path of 3; the leaf's own first and then the audit path
leaf 4: 2 hashes for an audit path of 1; the leaf's own first and then the audit path
index 0: InvalidChallenge
SEEN
echo "as described"
