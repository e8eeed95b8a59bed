"""The result file of a night with reserves: it holds, it says nothing of who somebody is, and every change is found."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from server.fairness.allotment import Candidates, Rules, allot
from server.fairness.allotment.reserves import ReserveRule
from server.fairness.line_numbers import LineNumbers, line_number
from server.fairness.lots import Lots
from server.fairness.merkle import Frontier
from server.fairness.result_lines import list_root
from server.fairness.verification import MadePublic, WrongFile, verify_allotment
from server.night.published import Published
from tests.support.seeded_nights import seeded_night
from tests.support.single_changes import changes, compact

RESERVES = (ReserveRule("A", 30), ReserveRule("B", 20, "lot"))
# SHA-256 of file and proofs, as the first night with reserves wrote them.
NIGHTS: dict[str, tuple[dict[str, Any], str]] = {
    "a few": (
        dict(people=60, doses=0.9, relatives=0.5, sites=1),
        "b63eb052098583863ebba63b390b637580dea0790f1c60f249aaa4428b3b8065",
    ),
    "a village": (
        dict(people=900, doses=0.6, relatives=0.3, sites=2, closed=0.0),
        "347a66ecd0fb81ab425d52ef543569a9fa6b26cabf256eedb6a54590cfecee72",
    ),
    "a district": (
        dict(people=4000, doses=0.4),
        "f5abc605d07dcc7f95e56ec092d005932f92a45e3f638bffb650c3a6eb990410",
    ),
}


def written(name: str, folder: Path, reserves: tuple[ReserveRule, ...] = RESERVES, **made: Any) -> tuple[Path, str]:
    """A night's result file, and its root."""
    night = seeded_night(name, reserves=reserves, **made)
    offered, candidates = night.rules.offered(night.table.items()), Candidates(night.people, night.rules.periods)
    lots, listed = Lots(night.seed, 2, 1), list_root(night.rules, candidates)
    key = lots.key(f"{night.rules.district}:{night.rules.date}", listed)
    results = Published(folder, LineNumbers(bytes(32)))
    root = results.write(night.rules, lots, offered, allot(night.rules, offered, candidates, key), listed)
    file = results.path(night.rules.date, night.rules.district)
    assert file is not None
    return file, root


@pytest.mark.parametrize("name", NIGHTS)
def test_a_night_with_reserves_writes_the_octets_that_it_always_wrote_and_holds(name: str, tmp_path: Path) -> None:
    made, expected = NIGHTS[name]
    file, root = written(name, tmp_path, **made)
    held = verify_allotment(file, MadePublic(root=root))
    head, *lines, foot = map(json.loads, file.read_bytes().splitlines())
    assert head["format"] == "jiaohao allotment 3"
    assert head["rules"]["reserves"] == [
        {"letter": "A", "percent": 30},
        {"letter": "B", "percent": 20, "order": "lot"},
    ]
    for letter in "AB":
        given = [line for line in lines if line.get("by") == letter]
        assert all(letter in line["reserves"] for line in given)
        assert foot["by_reserve"][letter]["given"] == len(given) > 0
    assert held.foot.by_reserve["A"].given == foot["by_reserve"]["A"]["given"]
    assert hashlib.sha256(file.read_bytes() + file.with_suffix(".proof").read_bytes()).hexdigest() == expected


def test_every_change_of_a_line_of_a_night_with_reserves_is_found_with_a_mended_root(tmp_path: Path) -> None:
    file, _ = written("changes", tmp_path, people=24, doses=0.6, sites=1, closed=0.0, horizon=3)
    raw = file.read_bytes().splitlines()
    verify_allotment(file)
    count, fields = 0, set()
    for n, line in enumerate(raw[:-1]):
        if n == 0:  # other rules may come to the same; whoever knows the published root knows which it is of
            continue
        for what, other in changes(json.loads(line)):
            if compact(other) == line:
                continue
            lines = [*raw[:n], compact(other), *raw[n + 1 : -1]]
            frontier = Frontier()
            for each in lines:
                frontier.append(each)
            foot = json.loads(raw[-1]) | {"root": frontier.root()}
            file.write_bytes(b"".join(each + b"\n" for each in (*lines, compact(foot))))
            with pytest.raises(WrongFile):
                verify_allotment(file)
            count += 1
            fields.add(what.split(":")[0].removeprefix("without "))
    assert count > 300 and {"by", "reserves", "slot", "no"} <= fields


def test_a_group_given_to_a_friend_or_kept_from_somebody_is_another_list_than_was_frozen(tmp_path: Path) -> None:
    file, _ = written("friends", tmp_path, people=60, doses=0.5, sites=2)
    raw = file.read_bytes().splitlines()
    lines = [json.loads(line) for line in raw]
    friend = next(n for n, line in enumerate(lines) if "tie" in line and "reserves" not in line)
    member = next(n for n, line in enumerate(lines) if line.get("reserves") == "A" and "by" not in line)
    for n, made in (
        (friend, raw[friend].replace(b',"tie"', b',"reserves":"A","tie"')),
        (member, raw[member].replace(b',"reserves":"A"', b"")),
    ):
        file.write_bytes(b"".join(line + b"\n" for line in (*raw[:n], made, *raw[n + 1 :])))
        with pytest.raises(WrongFile, match="list_root"):
            verify_allotment(file)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"allotment 3", b"allotment 2", "format"),
        (b',"reserves":[{"letter":"A","percent":30},{"letter":"B","percent":20,"order":"lot"}]', b"", "format"),
        (b'"letter":"B"', b'"letter":"C"', "cannot be read"),
        (b'"percent":20', b'"percent":71', "cannot be read"),
        (b'"percent":30', b'"percent":9', "line"),
        (b',{"letter":"B","percent":20,"order":"lot"}', b"", "the rules have only A"),
    ],
)
def test_other_reserves_in_the_head_are_refused(old: bytes, new: bytes, why: str, tmp_path: Path) -> None:
    file, _ = written("heads", tmp_path, people=60, doses=0.5, sites=2)
    head, rest = file.read_bytes().split(b"\n", 1)
    assert head.count(old) == 1
    file.write_bytes(head.replace(old, new) + b"\n" + rest)
    with pytest.raises(WrongFile, match=why):
        verify_allotment(file)


def test_reserves_of_more_than_everything_are_no_rules() -> None:
    rules = seeded_night("rules", people=0).rules
    for wrong in ((ReserveRule("A", 60), ReserveRule("B", 41)), (ReserveRule("B", 10),)):
        with pytest.raises(ValueError, match="reserves"):
            Rules(rules.district, rules.date, 2, 14, None, {}, ("am", "pm"), wrong)


def test_a_lines_number_is_made_of_the_registrations_and_says_nothing_without_the_blind() -> None:
    numbers = LineNumbers(b"k" * 32)
    no, other = "106190100000008", "106190100000016"
    blind = numbers.blind("440106:2021-06-19", 0, no)
    mine = line_number(blind, no)
    # By the words of `line_numbers.py`: 8 octets of SHA-256 over blind and number, 15 digits.
    assert mine == f"{int(hashlib.sha256(blind + no.encode()).hexdigest()[:16], 16) % 10**15:015d}"
    assert numbers.numbers("440106:2021-06-19", [int(no), int(other)], 0)[0] == int(mine)
    assert numbers.blind_of_line("440106:2021-06-19", no, mine) == blind
    assert numbers.blind_of_line("440106:2021-06-19", other, mine) is None
    elsewhere = (numbers.blind("440106:2021-06-20", 0, no), LineNumbers(b"l" * 32).blind("440106:2021-06-19", 0, no))
    assert len({blind, *elsewhere, numbers.blind("440106:2021-06-19", 1, no)}) == 4
