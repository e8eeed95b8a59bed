"""Result files are what they were, octet by octet: a file of years ago is checked by a server of today."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.fairness.allotment import Candidates, allot
from server.fairness.allotment.order import ranked
from server.fairness.line_numbers import LineNumbers
from server.fairness.lots import Lots
from server.fairness.verification import verify_allotment
from server.night.published import Published
from tests.support.seeded_nights import seeded_night

# SHA-256 of file and proofs, as the night of commit 4c766b3 wrote them, one registration after the other.
NIGHTS: dict[str, tuple[dict[str, Any], str]] = {
    "nobody": (
        dict(people=0),
        "98f59fc6e963b07d2c88b3b05f43603cf0856bfd15041128eed842c5a8bdd356",
    ),
    "one": (
        dict(people=1, doses=9.0),
        "14591b6d3e1c1818c51c9a85bbac0c25a154d8d97b2a7ceffdba8e57a29d5587",
    ),
    "a few": (
        dict(people=40, doses=0.5, relatives=0.5),
        "97385fcd9bd742716ad08f012efe8f35b0aefb00424839a16ba24425d9d643de",
    ),
    "a village": (
        dict(people=700, relatives=0.3),
        "7f04b1dcd54c152585dba65183d0278ffde4fa16a79b5cb2af888bdc1ff006fb",
    ),
    "a district": (
        dict(people=9000),
        "15fae5f724cbb66e731184ead43f10fbf8116b36ad5994c5b95a8fe8bedf8ea4",
    ),
    "room for all": (
        dict(people=3000, doses=3.0, relatives=0.5, closed=0.0),
        "106e56fd46d7e3e766f0cb76fa9d0105ff0c72b057b3ee16d880b97aeae15301",
    ),
    "nothing to give": (
        dict(people=800, doses=0.0, closed=1.0),
        "bc5d7f7f117bea023a14f57046785233f0056ddc1d33e8dde99f715e8d185b0a",
    ),
    "no site left": (
        dict(people=500, sites=0),
        "dedbc81184f475ca118a05a215c428bfe0d71e0b60422eb1381793b0d59d7604",
    ),
    "two sites": (
        dict(people=2000, sites=2, doses=0.1),
        "7054cd97eebfb50150013f75430b6554ee33ff0d26c6c915b8ca6b57b533e909",
    ),
    "three periods": (
        dict(people=1500, periods=("small-hours", "am", "evening"), relatives=0.2),
        "037176827b5d4839dc67dd2d542824b226405c692ce6641e650925401b9e80fa",
    ),
    "one period": (
        dict(people=500, periods=("am",)),
        "e4df93bacd89c87892e37ea6d0b5ad74c1deb0ffc509190d7a8cf57de9c7d161",
    ),
    "no priority": (
        dict(people=1500, priority=None),
        "e6094506bae578607b7f132048f924c45028e3adb473ae46c654fb38866a7d3a",
    ),
    "one day": (
        dict(people=600, horizon=2, doses=0.6),
        "ca41f950ebd9b866eb03f8270d8c6665d5ee0af1aa1dd201ba219492f57d42cc",
    ),
    "no day": (
        dict(people=300, horizon=1),
        "6713afe445a4af591a6069bddee8009c0b6ae18939780d9ebc4777c78e484cbd",
    ),
    "families": (
        dict(people=2500, doses=1.3, relatives=0.8, sites=4, closed=0.0),
        "a1dd52d40167b5dafed71b51105fd789662452d3a32867b2ea8f99dfa83fc8cc",
    ),
}


@pytest.mark.parametrize("name", NIGHTS)
def test_a_night_writes_the_octets_that_it_always_wrote(name: str, tmp_path: Path) -> None:
    made, expected = NIGHTS[name]
    night = seeded_night(name, **made)
    offered = night.rules.offered(night.table.items())
    allotted = allot(night.rules, offered, Candidates(night.people, night.rules.periods), night.seed)
    results = Published(tmp_path, LineNumbers(bytes(32)))
    root = results.write(night.rules, Lots(night.seed), offered, allotted)
    file = results.path(night.rules.date, night.rules.district)
    assert file is not None
    assert hashlib.sha256(file.read_bytes() + file.with_suffix(".proof").read_bytes()).hexdigest() == expected
    assert verify_allotment(file).foot.root == root


def test_two_whose_tie_breaks_begin_alike_are_told_apart_by_the_rest() -> None:
    ties = [bytes(8) + bytes([n]) * 24 for n in (3, 1, 2)] + [b"\0" * 7 + b"\1" + bytes(24), bytes(32)]
    assert ranked(np.array([0, 0, 0, 0, 1], np.uint32), b"".join(ties)).tolist() == [1, 2, 0, 3, 4]
