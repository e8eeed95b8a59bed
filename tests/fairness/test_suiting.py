"""What somebody whom the slots did not reach is told: how many would have suited them, and all went to people ahead."""

import io
import random
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from server.fairness.allotment import Candidates, allot
from server.fairness.lots import Lots
from server.fairness.result_file import Head, Line
from server.fairness.result_lines import write
from server.fairness.suiting import NightSlots
from server.fairness.verification import MadePublic, WrongFile
from server.fairness.verification.suited import count_suited
from tests.support.small_cities import City, order, ranking, rules, some_city


def result_of(city: City) -> bytes:
    offered, candidates = rules().offered(city.table.items()), Candidates(city.people)
    out = io.BytesIO()
    write(out, rules(), Lots(city.seed), offered, allot(rules(), offered, candidates, city.seed))
    return out.getvalue()


def test_in_random_cities_it_is_as_many_as_got_what_would_have_suited_and_all_were_ahead(tmp_path: Path) -> None:
    chance, seen, file = random.Random("suited"), Counter[str](), tmp_path / "result.jsonl"
    for _ in range(160):
        city = some_city(chance, 9, 6, 2, relatives=0.3)
        file.write_bytes(result_of(city))
        first, *middle, _ = file.read_bytes().splitlines()
        head = msgspec.json.decode(first, type=Head)
        lines = [msgspec.json.decode(raw, type=Line) for raw in middle]
        slots = NightSlots(head.rules, head.slots)
        people = {candidate.no: candidate for candidate in city.people}
        assert [line.no for line in lines] == [candidate.no for candidate in order(city)]
        for leaf, line in enumerate(lines, 1):
            if line.reason != "full":
                continue
            liked = set(ranking(people[line.no], city.table))
            ahead = [it for it in lines[: leaf - 1] if it.slot in liked]
            assert slots.suiting(line) == sum(city.table[it] for it in liked) == len(ahead)
            assert count_suited(file, line, leaf, MadePublic()) == len(ahead)
            seen["nothing" if not ahead else "any site" if line.any_site else "some"] += 1
            seen["a first dose"] += line.first_dose is None and len(ahead) > 0
            seen["not before a day"] += line.not_before is not None and len(ahead) > 0
    assert min(seen[it] for it in ("nothing", "any site", "some", "a first dose", "not before a day")) > 5, seen


def test_a_result_in_which_somebody_behind_got_it_is_refused(tmp_path: Path) -> None:
    chance, file = random.Random("behind"), tmp_path / "result.jsonl"
    city = some_city(chance, 9, 6, 2)
    while not [line for line in result_of(city).splitlines() if b'"reason":"full"' in line]:
        city = some_city(chance, 9, 6, 2)
    file.write_bytes(result_of(city))
    lines = [msgspec.json.decode(raw, type=Line) for raw in file.read_bytes().splitlines()[1:-1]]
    mine = msgspec.structs.replace(next(it for it in lines if it.slot), slot=None)
    with pytest.raises(WrongFile, match="stands after"):
        count_suited(file, mine, 1, MadePublic())
    with pytest.raises(WrongFile, match="root"):
        count_suited(file, mine, 1, MadePublic(root="0" * 64))
