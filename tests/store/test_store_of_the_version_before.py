"""A store that the version before has filled works with this one: all is read as it was, and life goes on.

What is expected was answered by that version itself (`tests/support/version_before`).
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import API, REPO, up
from tests.support.version_before.life import go_on, read
from tests.support.version_before.same import OPEN, differences
from tests.support.version_before.town import KEPT, SECRETS, Town, put_back, store_in


def kept(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((KEPT / name).read_text(encoding="utf-8"))
    return found


# What the version before took, and this one must take as well.
TAKEN = (
    "yan registers", "xia claims", "xia registers", "sue registers again", "wes leaves", "tina joins again",
    "mia registers", "cat joins again", "sue changes her wishes", "lou cancels", "ned cancels what is booked",
    "kim was here", "fay's dose is taken over", "bea's bar is lifted", "hal was called", "code of ann", "code of dan",
)  # fmt: skip
KNOWN, EXPECTED = kept("known.json"), kept("answers.json")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the store stands as it was left; a short path, as a socket is in it."""
    with tempfile.TemporaryDirectory(prefix="jh-") as name:
        put_back(Path(name), KEPT, KNOWN)
        yield Path(name)


@pytest.mark.long
def test_all_is_read_as_it_was_and_life_goes_on(folder: Path) -> None:
    with store_in(folder) as url:
        town = Town(REPO, url, folder)
        got = read(town, KNOWN) | go_on(town, KNOWN)
    assert list(differences(EXPECTED, got)) == []


def test_up_goes_on_with_the_data_it_had(folder: Path) -> None:
    clock = ("--clock", "2021-06-27T12:05:30+08:00")
    env: dict[str, Any] = {**SECRETS}
    with up(folder, "--no-demo", "--workers", "1", "--city", str(KEPT / "city.toml"), *clock, **env) as server:
        for one in KNOWN["registrations"]:
            answer = server.call("GET", f"{API}/registrations/{one['no']}", bearer=one["receipt"])
            expected = EXPECTED[f"{one['who']} {one['no']}"]
            assert answer.status_code == expected["status"]
            # `up` sends what was owed, so the messages may be on their way.
            body = {name: it for name, it in expected["body"].items() if name != "messages"}
            assert list(differences(body, answer.json())) == []


def test_what_is_expected_says_something() -> None:
    """Every standing of a place and state of a registration is there, and next to nothing was left open."""
    tickets = [answer["body"]["state"] for name, answer in EXPECTED.items() if name.startswith("ticket of ")]
    assert set(tickets) == {"drawing", "waiting", "ready", "claimed", "missed", "left"}
    found = [EXPECTED[f"{one['who']} {one['no']}"] for one in KNOWN["registrations"]]
    states = {answer["body"]["state"] for answer in found if answer["status"] == 200}
    assert states == {"proposed", "booked", "fulfilled", "cancelled", "noshow"}
    said = {message["state"] for answer in found if answer["status"] == 200 for message in answer["body"]["messages"]}
    assert said >= {"accepted", "delivered", "undelivered", "unsent"}
    assert {EXPECTED[what]["status"] for what in TAKEN} == {200, 201, 204}
    leaves = list(_leaves(EXPECTED))
    assert leaves.count(OPEN) < len(leaves) / 20


def _leaves(of: Any) -> Iterator[Any]:
    children = of.values() if isinstance(of, dict) else of if isinstance(of, list) else None
    if children is None:
        yield of
    for child in children or ():
        yield from _leaves(child)
