"""`jiaohao verify`: yes to what holds, and no to every single change."""

import copy
import hashlib
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from server.cli import cli, main
from server.core.keys import registration_no
from server.fairness.draw import Draw
from server.fairness.merkle import Frontier, Tree, leaf_hash
from server.fairness.verification import (
    MadePublic,
    Published,
    WrongFile,
    verify_allotment,
    verify_draw,
    verify_inclusion,
)
from tests.support import SUPPORT
from tests.support.results import NOS, PEOPLE, a_file
from tests.support.single_changes import changes, compact

VECTORS: dict[str, Any] = json.loads((SUPPORT / "draw_vectors.json").read_text("utf-8"))
TEXT, TREE = a_file()
RAW = TEXT.splitlines()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "result.jsonl"


def refused(path: Path, lines: list[bytes], published: MadePublic | None = None) -> WrongFile:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    with pytest.raises(WrongFile) as caught:
        verify_allotment(path, published)
    assert "\n" not in str(caught.value)
    return caught.value


def with_root(lines: list[bytes]) -> list[bytes]:
    """As somebody would write it who changes a line and mends the root."""
    frontier = Frontier()
    for line in lines[:-1]:
        frontier.append(line)
    return [*lines[:-1], compact(json.loads(lines[-1]) | {"root": frontier.root()})]


def changed_files() -> Iterator[tuple[int, str, list[bytes]]]:
    for n, line in enumerate(RAW):
        for what, other in changes(json.loads(line)):
            if compact(other) != line:
                yield n, what, [*RAW[:n], compact(other), *RAW[n + 1 :]]


# The allotment


def test_a_result_file_holds(path: Path) -> None:
    path.write_bytes(TEXT)
    told: list[int] = []
    held = verify_allotment(path, progress=told.append)
    assert (held.head.registrations, held.foot.counts["allotted"]) == (10, 5)
    assert told == sorted(told) and told[-1] == 2 * len(TEXT)
    path.write_bytes(a_file([])[0])
    assert verify_allotment(path).head.registrations == 0


def test_every_change_of_a_single_field_is_caught(path: Path) -> None:
    count = 0
    for n, what, lines in changed_files():
        wrong = refused(path, lines)
        count += 1
        if what.startswith(("no: ", "tie: ", "slot: ", "reason: ", "reached: ", "moved: ", "seed: ", "root: ")):
            assert wrong.line == n + 1, (n, what, wrong)
    assert count > 800


def test_mending_the_root_helps_nobody_who_knows_the_published_one(path: Path) -> None:
    root = json.loads(RAW[-1])["root"]
    for _, what, lines in changed_files():
        if not what.startswith(("root: ", "without root")):  # that is the one thing it mends
            refused(path, with_root(lines), MadePublic(root=root))


def test_with_a_mended_root_the_replay_still_finds_every_changed_outcome(path: Path) -> None:
    found = set()
    for n, what, lines in changed_files():
        field = what.split(":")[0].removeprefix("without ")
        if 0 < n < len(RAW) - 1 and field in ("no", "cohort", "tie", "slot", "moved", "reason", "reached"):
            refused(path, with_root(lines))
            found.add(field)
    assert found == {"no", "cohort", "tie", "slot", "reason", "reached"}


@pytest.mark.parametrize(
    ("change", "line", "why"),
    [
        (lambda raw: raw[:3] + raw[4:], 1, "registrations"),
        (lambda raw: [*raw[:3], raw[2], *raw[3:]], 4, "order"),
        (lambda raw: [raw[0], raw[2], raw[1], *raw[3:]], 3, "order"),
        (lambda raw: raw[:-1], len(RAW) - 1, "cannot be read"),
        (lambda raw: raw[:1], 1, "cut off"),
        (lambda raw: [*raw, raw[-1]], len(RAW), "cannot be read"),
        (lambda raw: [*raw, b""], len(RAW), "cannot be read"),
        (lambda raw: raw[1:], 1, "cannot be read"),
        (lambda raw: [raw[0].replace(b'"horizon_days":14', b'"horizon_days":99999999999'), *raw[1:]], 1, "cannot be"),
        (lambda raw: [raw[0].replace(b'"date":"2021', b'"date":"9999').replace(b"-07-02", b"-12-31"), *raw[1:]], 1, ""),
        (lambda raw: [raw[0].replace(b'"cho",0', b'"cho",99999999999999999999'), *raw[1:]], 1, "cannot be read"),
        (lambda raw: [*raw[:2], raw[2].replace(b"-05-12", b"-02-30"), *raw[3:]], 3, "cannot be read"),
        (lambda raw: [raw[0] + b" ", *raw[1:]], 1, "not written as"),
        (lambda raw: [*raw[:4], raw[4][:-1] + b',"any_site":true}', *raw[5:]], 5, "not written as"),
        (lambda raw: [*raw[:2], b'{"no":"\xff"}', *raw[3:]], 3, "cannot be read"),
        (lambda raw: [*raw[:2], raw[2].replace(b"2021-05", b"2021-15"), *raw[3:]], 3, "cannot be read"),
    ],
)
def test_lines_missing_added_moved_or_written_otherwise(change: Any, line: int, why: str, path: Path) -> None:
    wrong = refused(path, change(RAW))
    assert (wrong.line, why in str(wrong)) == (line, True), str(wrong)


def test_a_file_that_is_cut_off_or_empty(path: Path) -> None:
    long = TEXT.replace(RAW[1], b"\n".join([RAW[1]] * 1500))  # beyond the first report of progress
    for cut, why in ((long, "order"), (TEXT[:-1], "cut off"), (b"", "empty"), (TEXT[:-40], "cut off")):
        path.write_bytes(cut)
        with pytest.raises(WrongFile, match=why):
            verify_allotment(path)


def test_a_slot_given_to_a_friend_is_named(path: Path) -> None:
    """Who ranked last gets the slot of who ranked second, with all roots made anew."""
    lines = [json.loads(line) for line in RAW]
    first = next(line for line in lines[1:-1] if "slot" in line)
    friend = next(line for line in lines[1:-1] if line.get("reason") == "full")
    friend["slot"] = first["slot"]
    del friend["reason"], friend["reached"]
    n = lines.index(friend)
    wrong = refused(path, with_root([*RAW[:n], compact(friend), *RAW[n + 1 :]]))
    assert wrong.line == n + 1 and "slot" in str(wrong)


def test_a_registration_in_two_cohorts_is_caught(path: Path) -> None:
    """Twice on different lines, each line right in itself."""
    twice = [*PEOPLE[:-1], PEOPLE[0]._replace(no=NOS[9], sent_back=True)]
    lines = a_file(twice)[0].splitlines()
    forged = [line.replace(NOS[9].encode(), NOS[0].encode()) for line in lines]
    own = {json.loads(line)["no"]: json.loads(line)["tie"] for line in RAW[1:-1]}
    forged = [
        compact({**json.loads(line), "tie": own[NOS[0]]})
        if 0 < n < len(forged) - 1 and NOS[0].encode() in line
        else line
        for n, line in enumerate(forged)
    ]
    forged = [forged[0], *sorted(forged[1:-1], key=_rank), forged[-1]]
    assert "twice" in str(refused(path, forged))


@pytest.mark.parametrize(
    ("no", "why"),
    [(registration_no(2, date(2021, 7, 2), 3), "another district"), (NOS[9][:-1] + "x", "no registration number")],
)
def test_numbers_of_another_district_or_of_nobody_are_caught(no: str, why: str, path: Path) -> None:
    """Right in everything else: as if the night itself had been run with them."""
    digit = next(d for d in "0123456789" if d != NOS[9][-1])
    people = [*PEOPLE[:-1], PEOPLE[-1]._replace(no=no.replace("x", digit))]
    path.write_bytes(a_file(people)[0])
    with pytest.raises(WrongFile, match=why):
        verify_allotment(path)


def _rank(line: bytes) -> tuple[int, str, str]:
    values = json.loads(line)
    return values["cohort"], values.get("first_dose", "9"), values["tie"]


def test_what_was_published_is_compared(path: Path) -> None:
    path.write_bytes(TEXT)
    head, foot = json.loads(RAW[0]), json.loads(RAW[-1])
    right = MadePublic(head["commitment"], head["list_root"], foot["root"], round=0)
    verify_allotment(path, right)
    for field in ("commitment", "list_root", "root"):
        with pytest.raises(WrongFile, match=f"{field}: published was 00"):
            verify_allotment(path, right._replace(**{field: "00" * 32}))  # type: ignore[arg-type]
    with pytest.raises(WrongFile, match="round: published was 7"):
        verify_allotment(path, right._replace(round=7))


def test_the_command_says_yes_with_the_counts(path: Path) -> None:
    path.write_bytes(TEXT)
    root = json.loads(RAW[-1])["root"]
    result = CliRunner().invoke(cli, ["verify", "allotment", str(path), "--root", root.upper()])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "yes: 440106 2021-07-02: 10 registrations",
        "allotted 5, full 1, no-such-site 1, too-early 1, not-before 1, not-offered 1",
        f"root {root}",
    ]


def test_the_command_says_no_in_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_bytes(TEXT.replace(b'"am"', b'"pm"', 1))
    monkeypatch.setattr("sys.argv", ["jiaohao", "verify", "allotment", str(path)])
    with pytest.raises(SystemExit) as exit_:
        main()
    out, err = capsys.readouterr()
    assert (exit_.value.code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"jiaohao: no: {path}: line ")


def test_a_hash_that_is_none_is_a_usage_error(path: Path) -> None:
    path.write_bytes(TEXT)
    result = CliRunner().invoke(cli, ["verify", "allotment", str(path), "--root", "xyz"])
    assert (result.exit_code, "64 hexadecimal digits" in result.output) == (2, True)


# One's own line

COMMITMENT = hashlib.sha256(bytes(range(32))).hexdigest()


def status(number: int) -> dict[str, Any]:
    """What the holder of this line (from 1) is told, by hand."""
    line, root = json.loads(RAW[number - 1]), json.loads(RAW[-1])["root"]
    proof = TREE.prove(number - 1)
    night = {
        "date": "2021-07-02",
        "reason": line.get("reason"),
        "reached": line.get("reached"),
        "nights": 0 if "slot" in line else 2,
        "line": RAW[number - 1].decode(),
        "leaf": number - 1,
        "root": root,
        "proof": {"index": number - 1, "leaves": 11, "hashes": proof.hashes},
        "list_root": json.loads(RAW[0])["list_root"],
        "commitment": COMMITMENT,
        "seed": bytes(range(32)).hex(),
        "file_url": "/api/v1/allotments/440106/2021-07-02/file",
    }
    slot = line.get("slot")
    return {
        "registration_no": line["no"],
        "state": "booked" if slot else "proposed",
        "district": "440106",
        "priority": {"first_dose_date": line.get("first_dose"), "product": line.get("product")},
        "preferences": [],
        "appointment": {"date": slot[0], "site": slot[1], "period": slot[2]} if slot else None,
        "night": night,
    }


def not_included(path: Path, said: Any, published: str | None = None) -> WrongFile:
    path.write_bytes(compact(said))
    with pytest.raises(WrongFile) as caught:
        verify_inclusion(path, published)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("number", range(2, 12))
def test_every_registrations_line_is_included(path: Path, number: int) -> None:
    said = status(number)
    path.write_text(json.dumps(said, indent=1))
    found = verify_inclusion(path, said["night"]["root"])
    assert (found.number, found.registrations, found.root) == (number, 10, json.loads(RAW[-1])["root"])
    assert found.line.no == json.loads(RAW[number - 1])["no"]


# What stands elsewhere, or is only shown: whoever knows the root knows what it is the root of.
TAKEN_ON_TRUST = (
    "date", "nights", "list_root", "file_url", "district", "state", "preferences", "product", "without state",
)  # fmt: skip


@pytest.mark.parametrize("number", range(2, 12))
def test_every_single_change_of_a_saved_status_is_caught(path: Path, number: int) -> None:
    said = status(number)
    caught = set()
    for part in ("night", "priority", "appointment", None):
        values = said if part is None else said[part]
        for name in values or ():
            if name in TAKEN_ON_TRUST or (part is None and name in ("night", "priority", "appointment")):
                continue
            for what, other in changes({name: values[name]}):
                if what == "one more" or (part == "priority" and what == "without product"):
                    continue
                # How many lines there are decides on the way up, but not always: who cares compares it, as the root.
                if what.startswith("proof: leaves: ") and isinstance(other["proof"]["leaves"], int):
                    continue
                changed = copy.deepcopy(said)
                target = changed if part is None else changed[part]
                target.pop(name)
                target |= other
                not_included(path, changed)
                caught.add(name)
    assert caught >= {"line", "leaf", "root", "proof", "commitment", "seed", "reason", "registration_no"}
    assert caught >= {"first_dose_date"}
    assert ("site" in caught) == (said["state"] == "booked")


def test_a_line_that_somebody_writes_for_themselves_is_under_no_published_root(path: Path) -> None:
    number = next(n for n in range(2, 12) if b'"reason":"full"' in RAW[n - 1])
    said = status(number)
    mine = json.loads(RAW[number - 1]) | {"slot": ["2021-07-04", "440106-1", "am", "inactivated"]}
    mine.pop("reason")
    mine.pop("reached", None)
    lines = [*RAW[: number - 1], compact(mine), *RAW[number:-1]]
    frontier, hashes = Frontier(), bytearray()
    for line in lines:
        frontier.append(line)
        hashes += leaf_hash(line)
    said["night"] |= {"line": compact(mine).decode(), "reason": None, "reached": None, "root": frontier.root()}
    said["night"]["proof"]["hashes"] = Tree(hashes).prove(number - 1).hashes
    path.write_bytes(compact(said))
    verify_inclusion(path)  # consistent in itself
    assert "root: published was" in str(not_included(path, said, json.loads(RAW[-1])["root"]))


def test_somebody_elses_line_is_not_mine(path: Path) -> None:
    assert "registration_no" in str(not_included(path, status(4) | {"registration_no": status(5)["registration_no"]}))
    assert "registration_no" in str(not_included(path, status(4) | {"night": status(5)["night"]}))


def test_what_was_withdrawn_in_the_same_night_stands_as_given_in_the_line(path: Path) -> None:
    number = next(n for n in range(2, 12) if b'"slot"' in RAW[n - 1])
    said = status(number) | {"state": "proposed", "appointment": None}
    said["night"]["reason"] = "withdrawn"
    path.write_bytes(compact(said))
    assert verify_inclusion(path).line.slot is not None
    said["night"]["reason"] = "full"
    assert "reason" in str(not_included(path, said))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"night": None}, "in none yet"),
        ({"night": status(3)["night"] | {"root": None}}, "not public yet"),
        ({"night": status(3)["night"] | {"line": None, "proof": None}}, "none at hand"),
    ],
)
def test_what_is_not_there_yet_is_said(path: Path, change: dict[str, Any], why: str) -> None:
    assert why in str(not_included(path, status(3) | change))


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"registration_no": 7}', b"\xff", b"{" * 10_000])
def test_a_file_that_is_no_status_is_refused_in_a_line(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with pytest.raises(WrongFile, match="cannot be read"):
        verify_inclusion(path)


def test_the_command_says_whether_my_line_is_in_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = json.loads(RAW[-1])["root"]
    path.write_bytes(compact(status(2)))
    result = CliRunner().invoke(cli, ["verify", "inclusion", str(path), "--root", root.upper()])
    assert result.exit_code == 0, result.output
    line = json.loads(RAW[1])
    assert result.output.splitlines() == [
        f"yes: {line['no']} is line 2 of the result, number 1 of 10",
        " ".join(line["slot"]) if "slot" in line else f"no slot: {line['reason']}",
        f"root {root}",
    ]
    bare = CliRunner().invoke(cli, ["verify", "inclusion", str(path)])
    assert bare.output.splitlines()[:3] == result.output.splitlines()
    assert bare.output.splitlines()[3:] == [
        "compare the root, and how many there are, with what is published for 440106 2021-07-02"
    ]
    monkeypatch.setattr("sys.argv", ["jiaohao", "verify", "inclusion", str(path), "--root", "00" * 32])
    with pytest.raises(SystemExit) as exit_:
        main()
    out, err = capsys.readouterr()
    assert (exit_.value.code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"jiaohao: no: {path}: root: published was 00")


# The draw


def vector(n: int = 0) -> dict[str, Any]:
    case = next(c for c in VECTORS["cases"][n:] if len(c.get("number_of_entry", ())) > 3)
    numbers = {str(entry): number for entry, number in enumerate(case["number_of_entry"])}
    return {
        "seed": VECTORS["seed"],
        "commitment": VECTORS["commitment"],
        "entries": case["entries"],
        "numbers": numbers,
    }


def test_the_contracts_vectors_hold(path: Path) -> None:
    path.write_bytes(compact(vector()))
    drawn = verify_draw(path, Published(VECTORS["commitment"]))
    assert drawn.compared == drawn.draw.entries == vector()["entries"]


def test_a_saved_answer_holds(path: Path) -> None:
    draw = {key: vector()[key] for key in ("seed", "commitment", "entries")} | {"seconds": 120}
    path.write_bytes(compact({"district": "440106", "state": "open", "issued": 9, "draw": draw}))
    assert verify_draw(path).compared == 0
    result = CliRunner().invoke(cli, ["verify", "draw", str(path), "--entry", "2"])
    assert result.output.splitlines() == [
        f"yes: {draw['entries']} entries, 0 numbers compared",
        f"entry 2 has number {vector()['numbers']['2']}",
    ]


def test_every_change_to_a_draw_is_caught(path: Path) -> None:
    right = vector()
    changed = [
        right | {"entries": right["entries"] + 1},
        right | {"seed": "11" * 32},
        right | {"commitment": "0" * 64},
    ]
    for entry in right["numbers"]:
        other = copy.deepcopy(right)
        other["numbers"][entry] += 1
        changed.append(other)
    for other in changed:
        path.write_bytes(compact(other))
        with pytest.raises(WrongFile, match=r"commitment|numbers"):
            verify_draw(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"{}", "commitment"),
        (compact({"draw": {"commitment": "0" * 64, "entries": None, "seed": None}}), "not revealed"),
        (compact(vector() | {"seed": "xy"}), "seed"),
        (compact(vector() | {"seed": "00"}), "64 hexadecimal"),
        (compact(vector() | {"entries": -1}), "entries"),
        (compact(vector() | {"numbers": {"-1": 1}}), "no entry"),
        (compact(vector() | {"numbers": {"1": 0}}), "cannot be read"),
    ],
)
def test_what_is_no_draw(text: bytes, why: str, path: Path) -> None:
    path.write_bytes(text)
    with pytest.raises(WrongFile, match=why):
        verify_draw(path)


def test_another_commitment_was_published(path: Path) -> None:
    path.write_bytes(compact(vector()))
    with pytest.raises(WrongFile, match="published was 00"):
        verify_draw(path, Published("00" * 32))


def test_numbers_after_the_draw_are_in_the_order_of_joining(path: Path) -> None:
    right = vector()
    late = right["entries"] + 5
    path.write_bytes(compact(right | {"numbers": {str(late): late + 1}}))
    assert verify_draw(path).compared == 1
    assert Draw(bytes.fromhex(right["seed"]), right["entries"]).number(late) == late + 1
