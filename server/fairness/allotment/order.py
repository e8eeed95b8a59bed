"""Who goes before whom: by cohort, first-dose date, HMAC-SHA256(key, registration number) (contract, "The draw")."""

import hashlib
import hmac
from array import array
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from server.fairness.allotment.candidates import SENT_BACK as SENT_BACK_FLAG
from server.fairness.allotment.candidates import Candidates, day_of
from server.fairness.allotment.rules import SENT_BACK, Rules
from server.fairness.draw import check_seed

if TYPE_CHECKING:
    import numpy as np

TIE_BYTES: Final = 32
_NO_DATE: Final = 0xFFFFFF  # after every date; 24 bits hold the ordinals up to the year 9999
_HASH_BLOCK_BYTES: Final = 64
_CHUNK: Final = 8192


class Order(NamedTuple):
    """Who goes before whom.

    Attributes:
        indices: of the candidates, the first in order first.
        cohorts: index -> cohort.
        ties: the tie-breaks, 32 bytes each; that of index i is ties[32 * i : 32 * i + 32].
    """

    indices: "array[int]"
    cohorts: "array[int]"
    ties: bytes

    def tie(self, i: int) -> bytes:
        """The tie-break of the candidate with index i."""
        return self.ties[TIE_BYTES * i : TIE_BYTES * i + TIE_BYTES]


def tie_break(key: bytes, no: int) -> bytes:
    """HMAC-SHA256(key, registration number), 32 bytes; the smaller goes first."""
    return hmac.digest(key, b"%015d" % no, "sha256")


def in_order(rules: Rules, candidates: Candidates, key: bytes) -> Order:
    """Candidates by cohort, first-dose date (none: last) and tie-break.

    Raises:
        ValueError: a registration twice, a key of another length.
    """
    import numpy as np  # here, as everywhere in this room: no worker of the web needs its 16 MB

    check_seed(key)
    _refuse_twice(candidates)
    cohorts = cohorts_of(rules, candidates)
    ties = _tie_breaks(key, candidates.no)
    day = np.asarray(candidates.first_dose)
    group = np.asarray(cohorts).astype(np.uint32) << 24 | np.where(day == 0, _NO_DATE, day).astype(np.uint32)
    indices = array("I")
    indices.frombytes(ranked(group, ties).astype(np.uintc).tobytes())
    return Order(indices, cohorts, ties)


def ranked(group: "np.ndarray[Any, Any]", ties: bytes) -> "np.ndarray[Any, Any]":
    """The indices by (group, tie-break of 32 bytes), the smallest first."""
    import numpy as np

    first = np.frombuffer(ties, ">u8").reshape(-1, TIE_BYTES // 8)[:, 0].astype(np.uint64)
    indices = np.lexsort((first, group))
    by_group, by_first = group[indices], first[indices]
    alike = (by_group[1:] == by_group[:-1]) & (by_first[1:] == by_first[:-1])
    if alike.any():  # not in a thousand years, but then by the other 24 bytes too
        whole = [ties[at : at + TIE_BYTES] for at in range(0, len(ties), TIE_BYTES)]
        indices = np.array(sorted(range(len(whole)), key=lambda i: (int(group[i]), whole[i])))
    return indices


def _tie_breaks(key: bytes, numbers: Iterable[int]) -> bytes:
    """Each one's `tie_break`: with the two halves of the key hashed once, a third of the work."""
    padded = key.ljust(_HASH_BLOCK_BYTES, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded)).copy
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded)).copy
    remaining = iter(numbers)
    ties = bytearray()
    while chunk := list(islice(remaining, _CHUNK)):
        found = []
        for message in map(b"%015d".__mod__, chunk):
            within, around = inner(), outer()
            within.update(message)
            around.update(within.digest())
            found.append(around.digest())
        ties += b"".join(found)
    return bytes(ties)


def cohorts_of(rules: Rules, candidates: Candidates) -> "array[int]":
    """Index of the candidate -> cohort."""
    import numpy as np

    of_day = {
        ordinal: rules.cohort(day_of(ordinal) if ordinal else None, sent_back=False)
        for ordinal in set(candidates.first_dose)
    }
    cohorts = array("B", map(of_day.__getitem__, candidates.first_dose))
    np.asarray(cohorts)[np.asarray(candidates.flags) & SENT_BACK_FLAG != 0] = SENT_BACK
    return cohorts


def _refuse_twice(candidates: Candidates) -> None:
    """Raises ValueError where a registration stands twice in the list."""
    import numpy as np

    numbers = np.sort(np.asarray(candidates.no))
    twice = numbers[1:][numbers[1:] == numbers[:-1]]
    if len(twice):
        raise ValueError(f"the registration {twice[0]:015d} stands twice in the list")
