"""A result file made up by hand, and RFC 6962 written anew."""

import hashlib
import io
from datetime import date

from server.core.city import load_city
from server.core.keys import registration_no
from server.fairness.allotment import Candidate, Candidates, OfferedSlot, Rules, allot
from server.fairness.lots import BeaconRound, Lots
from server.fairness.merkle import Tree
from server.fairness.result_lines import list_root, write

SEED = bytes(range(32))
NIGHT = date(2021, 7, 2)
RULES = Rules.of(load_city(), "440106", NIGHT, 14)
NOS = [registration_no(1, NIGHT, entry) for entry in range(30)]
MAY = date(2021, 5, 12)
TABLE = [
    (OfferedSlot(date(2021, 7, 4), "440106-1", "am", "inactivated"), 2),
    (OfferedSlot(date(2021, 7, 5), "440106-2", "pm", "inactivated"), 9),
    (OfferedSlot(date(2021, 7, 5), "440106-2", "pm", "cho"), 0),
    (OfferedSlot(date(2021, 7, 6), "440106-3", "am", "inactivated"), 1),
]

PEOPLE = [
    Candidate(NOS[0], MAY, "inactivated", [("440106-1", "am")], True),
    Candidate(NOS[1], MAY, "inactivated", [("440106-1", "any"), ("440106-3", "am")], False),
    Candidate(NOS[2], date(2021, 6, 30), "inactivated", [("440106-1", "am")], False),
    Candidate(NOS[3], MAY, "cho", [("440106-2", "pm")], False),
    Candidate(NOS[4], None, "", [("440106-3", "am")], True, date(2021, 7, 5)),
    Candidate(NOS[5], date(2021, 6, 2), "inactivated", [("440106-9", "am")], False, sent_back=True),
    Candidate(NOS[6], date(2021, 6, 1), "inactivated", [("440106-3", "am"), ("440106-2", "pm")], False)._replace(
        together=NOS[7]
    ),
    Candidate(NOS[7], date(2021, 6, 3), "inactivated", [("440106-2", "any")], False, together=NOS[6]),
    Candidate(NOS[8], date(2021, 6, 4), "inactivated", [("440106-1", "pm")], False),
    Candidate(NOS[9], date(2021, 6, 5), "inactivated", [("440106-1", "am")], False, date(2021, 8, 1)),
]  # fmt: skip


FIRST_VERSION = Lots(SEED)
# A round that drand-verify's README has, and its signature.
ROUND = 657413
SIGNATURE = (
    "b713718a38ae728dfd477991af2822e08d2f305e47718cef9f7848ce4050e7be41076862b98fad56e91a6b85b89cd97b"
)  # fmt: skip
FROZEN_MS = (1692803367 + 3 * (ROUND - 2)) * 1000  # three seconds before it is due


def a_file(people: list[Candidate] = PEOPLE, lots: Lots = FIRST_VERSION) -> tuple[bytes, Tree]:
    """A night's result file and its tree."""
    offered, candidates = RULES.offered(TABLE), Candidates(people, RULES.periods)
    listed = list_root(RULES, candidates)
    out = io.BytesIO()
    key = lots.key(f"{RULES.district}:{RULES.date}", listed)
    written = write(out, RULES, lots, offered, allot(RULES, offered, candidates, key), listed)
    return out.getvalue(), written.tree


def bound(missing: str | None = None) -> Lots:
    """The lots of the second version, with a beacon's round or without."""
    return Lots(SEED, 2, FROZEN_MS, BeaconRound("quicknet", ROUND, None if missing else SIGNATURE, missing))


def rfc_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + rfc_root(leaves[:k]) + rfc_root(leaves[k:])).digest()


def rfc_path(m: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962, 2.1.1, spelled out as it is written."""
    if len(leaves) <= 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if m < k:
        return [*rfc_path(m, leaves[:k]), rfc_root(leaves[k:])]
    return [*rfc_path(m - k, leaves[k:]), rfc_root(leaves[:k])]
