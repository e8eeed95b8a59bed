"""The public log: what gets into it, that anybody can check it, and that a changed one is found out."""

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from server.appointments.staff import Role
from server.fairness.checkpoint import Verifier
from tests.support.results import rfc_path, rfc_root
from tests.support.serving import OPERATOR, TIANHE, House, Jiaohao, person

TAG = f"{TIANHE}:2021-06-19"


async def lines(house: House) -> list[dict[str, Any]]:
    await house.services.public_log.look()
    answer = await house.call("GET", "/log/entries")
    return [json.loads(line) for line in answer.text.splitlines()]


async def text(house: House, path: str) -> str:
    answer = await house.call("GET", path)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_an_openings_promise_its_draw_and_every_change_are_in_it_in_that_order(house: House) -> None:
    await house.at("07:50:00")
    before = [it for it in await lines(house) if it.get("district") == TIANHE and it["what"] == "opening"]
    public = await house.get(f"/openings/{TIANHE}")
    assert [it["commitment"] for it in before] == [public["draw"]["commitment"]]
    await house.at("08:00:30")
    changed = await house.call(
        "PATCH", f"/openings/{TIANHE}", bearer=OPERATOR, json={"rate_per_second": 3, "message": "请稍候"}
    )
    assert changed.status_code == 200
    await house.at("08:02:01")
    told = [it for it in await lines(house) if it.get("district") == TIANHE]
    assert [it["what"] for it in told if it["what"] not in ("night",)] == ["opening", "change", "root", "draw"]
    change = next(it for it in told if it["what"] == "change")
    assert change["at"].startswith("2021-06-19T08:00:30")
    assert set(change["changed"]) == {"rate", "message"} and change["changed"]["rate"].endswith("-> 3.0")
    drawn = await house.get(f"/openings/{TIANHE}")
    draw = next(it for it in told if it["what"] == "draw")
    assert (draw["entries"], draw["seed"]) == (0, drawn["draw"]["seed"])
    root = next(it for it in told if it["what"] == "root")
    assert (root["entries"], root["root"]) == (0, hashlib.sha256().hexdigest()), "of nobody"
    public = drawn["draw"]
    assert (draw["version"], draw["root"], draw["key"]) == (2, public["root"], public["key"]) and draw["beacon"] is None


async def test_a_closed_site_is_in_it_with_who_and_why(house: House) -> None:
    await house.at("08:10:00")
    body = {"date": "2021-06-25", "period": "am", "reason": "停电"}
    token, actor = house.services.staff_tokens.token("T1", Role.MANAGER, house.day, 2**32 - 1)
    assert (await house.call("POST", "/sites/T1/closures", bearer=token, json=body)).status_code == 200
    (change,) = [it for it in await lines(house) if it["what"] == "change"]
    assert (change["district"], change["date"], change["who"]) == (TIANHE, "2021-06-25", actor)
    assert change["changed"] == {"closed": "T1|am", "reason": "停电"}


async def test_a_nights_seed_is_promised_before_and_its_result_is_bound_after(house: House, tmp_path: Path) -> None:
    await house.at("08:10:00")
    assert [it["what"] for it in await lines(house) if it["district"] == TIANHE] == ["opening", "root", "draw", "night"]
    await house.at("20:30:00")
    await house.services.night.run(date(2021, 6, 19))
    told = [it for it in await lines(house) if it["district"] == TIANHE and it["what"] in ("night", "frozen", "result")]
    assert [it["what"] for it in told] == ["night", "frozen", "result"]
    public = await house.get(f"/allotments/{TIANHE}/2021-06-19")
    assert told[0]["commitment"] == public["commitment"]
    assert told[1]["list_root"] == public["list_root"]
    assert (told[2]["root"], told[2]["seed"]) == (public["root"], public["seed"])


async def test_everything_is_appended_once_whoever_looks_and_however_often(house: House) -> None:
    await house.at("08:10:00")
    first = await lines(house)
    other = type(house.services.public_log)(house.services.city, house.store, house.services.room, b"x" * 32)
    await other.look()  # as another worker, or one that is started again
    assert await lines(house) == first
    assert other.size == len(first)


async def test_anybody_can_check_it_and_a_changed_one_is_found_out(
    house: House, tmp_path: Path, jiaohao: Jiaohao
) -> None:
    await house.at("07:50:00")
    await lines(house)
    key = (await text(house, "/log/key")).strip()
    old, head, entries, growth = (tmp_path / name for name in ("old", "head", "entries", "growth"))
    old.write_text(await text(house, "/log/head"))
    await house.at("08:10:00")
    await lines(house)
    head.write_text(await text(house, "/log/head"))
    entries.write_text(await text(house, "/log/entries"))
    was, now = (int(it.read_text().splitlines()[1]) for it in (old, head))
    assert 0 < was < now
    growth.write_text(await text(house, f"/log/growth?first={was}&second={now}"))

    def said(*more: str | Path) -> tuple[int, str]:
        code, out, err = jiaohao("verify", "log", str(head), "--key", key, *map(str, more))
        return code, out + err

    code, out = said("--entries", entries, "--earlier", old)
    assert code == 0 and f"has {now:,} entries" in out and f"when it had {was:,}" in out
    assert said("--earlier", old, "--growth", growth)[0] == 0
    whole = entries.read_text()
    root = rfc_root([line.encode() for line in whole.splitlines()[:was]]).hex()
    printed = f"{was:,}:{root[:4]} {root[4:8]} {root[8:12]} {root[12:16]}"
    code, out = said("--entries", entries, "--printed", printed)
    assert code == 0 and f"first {was:,}" in out
    other = "0" if root[0] != "0" else "1"
    for wrong in (f"{was}:{other}{root[1:16]}", f"{was + 1}:{root[:16]}", f"{now + 1}:{root[:16]}"):
        assert said("--entries", entries, "--printed", wrong)[0] == 1
    assert said("--printed", printed)[0] == 1  # nothing to compare by
    assert said("--entries", entries, "--printed", f"{was}:{root[:12]}")[0] == 2  # too few digits stand for nothing
    for broken in (whole.replace("opening", "openinG", 1), whole.partition("\n")[2], "{}\n" + whole, whole[:-1]):
        entries.write_text(broken)
        code, out = said("--entries", entries)
        assert code == 1 and out.startswith("jiaohao: no: ")
    hashes = json.loads(growth.read_text())
    growth.write_text(json.dumps(hashes | {"hashes": hashes["hashes"][:-1]}))
    assert said("--earlier", old, "--growth", growth)[0] == 1
    assert said("--earlier", old)[0] == 1  # nothing to compare by
    head.write_text(head.read_text().replace(f"\n{now}\n", f"\n{now + 1}\n"))
    assert "signature" in said()[1]


async def test_each_entry_is_proved_by_itself(house: House) -> None:
    await house.at("08:10:00")
    await lines(house)
    raw = [line.encode() for line in (await text(house, "/log/entries")).splitlines()]
    assert len(raw) > 3
    for index in range(len(raw)):
        proof = await house.get(f"/log/inclusion?index={index}&size={len(raw)}")
        assert proof["hashes"] == [node.hex() for node in rfc_path(index, raw)]
    head = (await text(house, "/log/head")).splitlines()
    assert int(head[1]) == len(raw) and rfc_root(raw)


@pytest.mark.parametrize(
    "path",
    ["growth?first=1&second=999", "growth?first=0&second=1", "inclusion?index=5&size=3", "inclusion?index=0&size=999"],
)
async def test_what_there_is_no_proof_of_is_not_found(path: str, house: House) -> None:
    await house.at("08:10:00")
    await lines(house)
    assert (await house.call("GET", f"/log/{path}")).status_code == 404


async def test_every_receipt_carries_the_head_that_stands_for_what_was_before_it(house: House) -> None:
    await house.at("09:00:00")
    written = len(await lines(house))
    done = await house.registered(person(0))
    entries = [line.encode() for line in (await text(house, "/log/entries")).splitlines()]
    head = Verifier((await text(house, "/log/key")).strip()).read(done["log"]["checkpoint"])
    assert (head.size, head.root) == (done["log"]["size"], done["log"]["root"])
    assert (head.size, head.root) == (written, rfc_root(entries[:written]).hex())
    await house.call("PATCH", f"/openings/{TIANHE}", bearer=OPERATOR, json={"message": "请稍候"})
    await lines(house)
    later = await house.get(f"/registrations/{done['registration_no']}", bearer=done["receipt"])
    assert later["log"]["size"] == head.size + 1
