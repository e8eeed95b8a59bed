"""The audit reads the documented keys, from a standalone server and from a cluster alike."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from loadtests.audit.truth import RegistrationTruth, connect, read_truth
from loadtests.crowd.crowd import Wishes
from loadtests.resident.run_opening import RunOpening

TAG = "{440106:2021-06-19}"
GROUND = RunOpening("440106", "2021-06-19", datetime(2021, 6, 19, tzinfo=UTC), 0, 120, "", ("s",))


@pytest.fixture(params=["store_url", "cluster_url"])
def client(request: pytest.FixtureRequest) -> Any:
    with connect(request.getfixturevalue(request.param)) as connected:
        yield connected


def test_an_opening_and_its_registrations_are_read_whole(client: Any) -> None:
    people = [k.to_bytes(16, "big") for k in range(1500)]
    client.hset(f"opening:{TAG}", mapping={"issued": 1501, "claimed": 2, "seed": "ab" * 32, "message": "请稍候"})
    client.hset(f"places:{TAG}", mapping={k: entry for entry, k in enumerate(people, 1)})
    client.rpush(f"left:{TAG}", 0)
    client.setbit(f"done:{TAG}", 9, 1)
    client.hset(f"claims:{TAG}", mapping={4: people[4] + b"0", 5: people[5] + b"1624060800000"})
    client.zadd(f"passes:{TAG}", {"5": 1624060800000})
    for k in (4, 5):
        tag = base64.urlsafe_b64encode(people[k]).rstrip(b"=").decode()
        fields = {
            "no": f"00619010000{k:04d}",
            "state": "proposed",
            "district": "440106",
            "date": "2021-06-19",
            "entry": k,
            "preferences": '[{"site":"A1","period":"am"},{"site":"B2","period":"any"}]',
            "accept_any_site": k - 4,
            "not_before": "2021-06-25" if k == 5 else "",
        }
        client.hset(f"registration:{{{tag}}}", mapping=fields)
    # the second one of whoever cancelled the first; and somebody who is barred, registered nowhere
    client.sadd(f"past:{{{tag}}}", "006190100000019")
    client.rpush(f"history:{{{tag}}}", '[1624060800000,"006190100000019","cancelled","resident",""]')
    client.set(f"stop:{{{tag}}}", "open 006190100000005")
    barred = base64.urlsafe_b64encode(people[9]).rstrip(b"=").decode()
    client.set(f"stop:{{{barred}}}", "barred")
    truth = read_truth(client, [GROUND])
    opening = truth.openings["440106"]
    assert (opening.count("issued"), opening.count("nothing"), opening.seed) == (1501, 0, b"\xab" * 32)
    assert sorted(opening.places.values()) == list(range(1, 1501))
    assert (opening.left_entries, opening.left, opening.claimed, opening.done) == ([0], 1, 2, 1)
    assert opening.claims == {4: (people[4], 0), 5: (people[5], 1624060800000)}
    assert opening.passes == {5: 1624060800000}
    assert [opening.is_done(number) for number in (8, 9, 10, 5000)] == [False, True, False, False]
    wished = (("A1", "am"), ("B2", "any"))
    first, second = sorted(truth.registrations, key=lambda r: r.entry)
    assert first == RegistrationTruth(
        people[4], 619010000 * 10**4 + 4, "proposed", "440106", "2021-06-19", 4, Wishes(wished, accept_any_site=False)
    )
    assert second == RegistrationTruth(
        people[5], 619010000 * 10**4 + 5, "proposed", "440106", "2021-06-19", 5,
        Wishes(wished, accept_any_site=True, not_before="2021-06-25"),
        past=(6190100000019,), history=((6190100000019, "cancelled"),),
    )  # fmt: skip
    assert truth.stops == {people[5]: "open 006190100000005", people[9]: "barred"}


def test_an_empty_store_is_read_as_empty(client: Any) -> None:
    truth = read_truth(client, [GROUND])
    assert (truth.registrations, truth.stops) == ([], {})
    assert truth.openings["440106"].places == {}
    assert truth.openings["440106"].done_bits == b""
