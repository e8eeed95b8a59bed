"""A night's lots of the second version: what binds them, and that `jiaohao verify` is red for every single change."""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from server.fairness.beacon import can_verify
from server.fairness.lots import BeaconRound, Lots
from server.fairness.merkle import Tree
from server.fairness.verification import MadePublic, WrongFile, night_in_log, verify_allotment, verify_inclusion
from tests.support.results import FROZEN_MS, PEOPLE, ROUND, SEED, SIGNATURE, a_file, bound, rfc_root
from tests.support.serving import Jiaohao
from tests.support.single_changes import changes, compact

pytestmark = pytest.mark.skipif(not can_verify(), reason="needs drand-verify, which this Python has no wheel of")

# As drand-verify's README has it.
RANDOMNESS = "fc1873a13f3545aeade8401532ef5519920652eee6b0d2b19ca12643b87b3587"
FILES = {"bound": bound(), "missing": bound("no relay answered"), "no beacon": Lots(SEED, 2, FROZEN_MS)}


@pytest.fixture(params=FILES)
def raw(request: pytest.FixtureRequest) -> list[bytes]:
    """The lines of a night's result file."""
    return a_file(lots=FILES[request.param])[0].splitlines()


def with_root(lines: list[bytes]) -> list[bytes]:
    """As somebody would write it who mends the root."""
    return [*lines[:-1], compact(json.loads(lines[-1]) | {"root": rfc_root(lines[:-1]).hex()})]


def refused(file: Path, lines: list[bytes], published: MadePublic | None = None) -> str:
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    with pytest.raises(WrongFile) as caught:
        verify_allotment(file, published)
    return str(caught.value)


def test_ties_are_by_the_key_of_seed_list_and_randomness_written_out(tmp_path: Path) -> None:
    for lots, randomness in ((bound(), RANDOMNESS), (bound("none"), ""), (FILES["no beacon"], "")):
        lines = [json.loads(line) for line in a_file(lots=lots)[0].splitlines()]
        assert lines[0]["format"] == "jiaohao allotment 2"
        message = b"jiaohao night 2\n440106:2021-07-02\n" + bytes.fromhex(lines[0]["list_root"] + randomness)
        key = hmac.new(SEED, message, hashlib.sha256).digest()
        for line in lines[1:-1]:
            assert line["tie"] == hmac.new(key, line["no"].encode(), hashlib.sha256).hexdigest()
    ties = [{line["no"]: line["tie"] for line in map(json.loads, a_file(lots=it)[0].splitlines()[1:-1])}
            for it in (Lots(SEED), bound(), bound("none"))]  # fmt: skip
    assert all(len({of[no] for of in ties}) == 3 for no in ties[0])


def test_one_more_registration_changes_everybodys_lot() -> None:
    def ties(people: Any) -> dict[str, str]:
        return {it["no"]: it["tie"] for it in map(json.loads, a_file(people, bound())[0].splitlines()[1:-1])}

    all_, but_one = ties(PEOPLE), ties(PEOPLE[1:])
    assert not [no for no in but_one if all_[no] == but_one[no]]


def test_the_file_holds_and_says_what_it_is_bound_to(tmp_path: Path, raw: list[bytes], jiaohao: Jiaohao) -> None:
    file = tmp_path / "result.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in raw))
    head = verify_allotment(file).head
    code, out, err = jiaohao("verify", "allotment", str(file))
    assert code == 0, err
    if head.beacon is None:
        assert "quicknet" not in out
    else:
        assert f"round {ROUND} of quicknet" in out
        assert ("is missing: no relay answered" in out) == (head.beacon.signature is None)


def test_every_single_change_is_caught(tmp_path: Path, raw: list[bytes]) -> None:
    """Also where whoever changes the head mends the root over all lines: but for what the root alone can hold."""
    count, file = 0, tmp_path / "result.jsonl"
    root = json.loads(raw[-1])["root"]
    for n, line in enumerate(raw):
        for what, other in changes(json.loads(line)):
            changed = [*raw[:n], compact(other), *raw[n + 1 :]]
            if changed == raw:
                continue
            refused(file, changed)
            if n == 0 and what not in ("root", "without root"):
                assert refused(file, with_root(changed), MadePublic(root=root))
            count += 1
    assert count > 700


def head_changed(raw: list[bytes], change: Callable[[Any], Any]) -> list[bytes]:
    """With another head and everything else mended that follows from it and needs no key."""
    return with_root([compact(change(json.loads(raw[0]))), *raw[1:]])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda it: it | {"beacon": it["beacon"] | {"round": ROUND + 1}}, "round: that of a list frozen then is"),
        (lambda it: it | {"frozen_ms": FROZEN_MS + 1}, "round: that of a list frozen then is"),
        (lambda it: it | {"beacon": it["beacon"] | {"signature": SIGNATURE.replace("b", "c", 1)}}, "signature"),
        (lambda it: it | {"beacon": it["beacon"] | {"signature": SIGNATURE + "\n"}}, "signature"),
        (lambda it: it | {"beacon": it["beacon"] | {"chain": "quicknut"}}, "chain"),
        (lambda it: it | {"beacon": it["beacon"] | {"missing": "late"}}, "signature: expected one"),
        (lambda it: it | {"beacon": {"chain": "quicknet", "round": ROUND}}, "signature: expected one"),
        (lambda it: it | {"beacon": {"chain": "quicknet", "round": ROUND, "missing": "late"}}, "tie"),
        (lambda it: {name: value for name, value in it.items() if name != "beacon"}, "order"),
        (lambda it: {name: value for name, value in it.items() if name != "frozen_ms"}, "frozen_ms"),
        (lambda it: it | {"format": "jiaohao allotment 1"}, "format"),
        (lambda it: it | {"list_root": it["list_root"].replace("1", "2", 1)}, ""),
        (lambda it: it | {"seed": "00" * 32, "commitment": hashlib.sha256(bytes(32)).hexdigest()}, ""),
    ],
)
def test_with_the_root_mended_what_the_lots_are_bound_to_is_still_held_to(
    tmp_path: Path, change: Callable[[Any], Any], why: str
) -> None:
    raw = a_file(lots=bound())[0].splitlines()
    said = refused(tmp_path / "result.jsonl", head_changed(raw, change))
    assert why in said or (why == "order" and "tie" in said) or (why == "tie" and "order" in said), said


def entries(raw: list[bytes]) -> list[dict[str, Any]]:
    """What the public log says of the night, and of another one."""
    head, foot = json.loads(raw[0]), json.loads(raw[-1])
    which = {"district": "440106", "date": "2021-07-02"}
    beacon = {k: v for k, v in (head.get("beacon") or {}).items() if k in ("chain", "round")} or None
    return [
        {"what": "opening", **which, "commitment": "11" * 32},
        {"what": "night", **which, "commitment": head["commitment"]},
        {"what": "frozen", "district": "440111", "date": "2021-07-02", "list_root": "22" * 32, "beacon": None},
        {"what": "frozen", **which, "list_root": head["list_root"], "beacon": beacon},
        {"what": "result", **which, "root": foot["root"], "seed": head["seed"]},
    ]


def log_changes(log: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """With what is said of this night changed, taken away or said twice."""
    for n, field in ((1, "commitment"), (3, "list_root"), (4, "root")):
        yield [*log[:n], log[n] | {field: "33" * 32}, *log[n + 1 :]]
        yield log[:n] + log[n + 1 :]
        yield [*log, log[n]]
        yield [*log[:n], log[n] | {"date": "2021-07-03"}, *log[n + 1 :]]
    yield [*log[:3], log[3] | {"beacon": {"chain": "quicknet", "round": ROUND + 7}}, log[4]]


def test_what_the_public_log_says_of_the_night_is_held_to(tmp_path: Path, raw: list[bytes], jiaohao: Jiaohao) -> None:
    file, log = tmp_path / "result.jsonl", tmp_path / "entries"
    file.write_bytes(b"".join(line + b"\n" for line in raw))

    def verified(told: list[dict[str, Any]]) -> tuple[int, str]:
        log.write_bytes(b"".join(compact(it) + b"\n" for it in told))
        code, out, err = jiaohao("verify", "allotment", str(file), "--log", str(log))
        return code, out + err

    assert verified(entries(raw))[0] == 0
    for told in log_changes(entries(raw)):
        code, said = verified(told)
        assert code == 1 and said.startswith("jiaohao: no: "), said
    assert night_in_log(log, "440106", "2021-07-02").commitment is not None


def test_a_round_is_checked_by_its_chain() -> None:
    BeaconRound("quicknet", ROUND, SIGNATURE).check(FROZEN_MS)
    assert BeaconRound("quicknet", ROUND, SIGNATURE).randomness.hex() == RANDOMNESS


# One's own line


def status(raw: list[bytes], tree: Tree, number: int) -> dict[str, Any]:
    """What the holder of this line (from 1) is told, by hand."""
    head, line, root = json.loads(raw[0]), json.loads(raw[number - 1]), json.loads(raw[-1])["root"]
    message = b"jiaohao night 2\n440106:2021-07-02\n" + bytes.fromhex(head["list_root"] + RANDOMNESS)
    night = {
        "date": "2021-07-02", "reason": line.get("reason"), "reached": line.get("reached"), "nights": 1,
        "line": raw[number - 1].decode(), "leaf": number - 1, "root": root,
        "proof": {"index": number - 1, "leaves": len(raw) - 1, "hashes": tree.prove(number - 1).hashes},
        "list_root": head["list_root"], "commitment": head["commitment"], "seed": head["seed"], "file_url": None,
        "version": 2, "key": hmac.new(SEED, message, hashlib.sha256).hexdigest(),
        "beacon": head["beacon"] | {"randomness": RANDOMNESS, "missing": None},
    }  # fmt: skip
    slot = line.get("slot")
    return {
        "registration_no": line["no"], "state": "booked" if slot else "proposed", "district": "440106",
        "priority": {"first_dose_date": line.get("first_dose")}, "night": night,
        "appointment": {"date": slot[0], "site": slot[1], "period": slot[2]} if slot else None,
    }  # fmt: skip


def test_ones_own_line_is_held_to_the_key_and_all_that_it_is_made_of(tmp_path: Path) -> None:
    text, tree = a_file(lots=bound())
    raw, file = text.splitlines(), tmp_path / "status.json"
    for number in (2, len(raw) - 1):
        said = status(raw, tree, number)
        file.write_bytes(compact(said))
        assert verify_inclusion(file).line.no == said["registration_no"]
        night, count = said["night"], 0
        for name in ("seed", "commitment", "list_root", "key", "beacon", "version"):
            for what, other in changes({name: night[name]}):
                # why a signature is missing, where there is one, and a field more say nothing
                if what in ("one more", "beacon: one more") or "missing" in what:
                    continue
                changed = {field: value for field, value in night.items() if field != name} | other
                file.write_bytes(compact(said | {"night": changed}))
                with pytest.raises(WrongFile):
                    verify_inclusion(file)
                count += 1
        for wrong in (said | {"district": "440111"}, said | {"night": night | {"date": "2021-07-03"}}):
            file.write_bytes(compact(wrong))
            with pytest.raises(WrongFile, match="key"):
                verify_inclusion(file)
        assert count > 30
