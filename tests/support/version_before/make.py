"""Fills the store of a small city with an earlier version's code, and keeps what that version answers for it.

    git worktree add /tmp/before COMMIT
    python -m tests.support.version_before.make /tmp/before

Everything in `kept/` but the city and its people is written anew: `store.aof` (the store, commands as text),
`results/` (the nights' files), `known.json` (tickets, passes, receipts and tokens in people's hands) and `answers.json`
(what the earlier version answered when it was asked by `life.py`, with what is not the same each time left open).
"""

import asyncio
import csv
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from redis import Redis

from tests.support.fake_smsc import FakeSmsc, fake_smsc
from tests.support.serving import until
from tests.support.version_before.life import LATER, go_on, read
from tests.support.version_before.same import same_of_both
from tests.support.version_before.town import (
    KEPT,
    OPERATOR,
    Town,
    connected,
    papers,
    people,
    put_back,
    receipt_of,
    store_in,
)

_SITES = "site,name_zh,name_en,district,address\nE1,东一,East One,east,路1号\nE2,东二,East Two,east,路2号\n\
W1,西一,West One,west,路3号\n"


def at(day: int, clock: str) -> str:
    """An instant of June 2021."""
    return f"2021-06-{day:02d}T{clock}:00+08:00"


def registry(file: Path, **doses: str) -> Path:
    """The registry's file, with some first doses at another date."""
    lines = [line | {"first_dose_date": doses.get(who, line["first_dose_date"])} for who, line in people().items()]
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(lines[0]))
        writer.writeheader()
        writer.writerows(line for line in lines if line["district"])
    return file


def capacity(file: Path) -> Path:
    """Slots from the 23rd on: at E1 enough in the morning, one in the afternoon; at E2 and W1 two; none for `cho`."""
    rows = ["site,date,period,product,capacity"]
    for day in [f"2021-06-{n}" for n in range(23, 31)] + ["2021-07-01", "2021-07-02"]:
        rows += [f"E1,{day},am,inactivated,4", f"E1,{day},pm,inactivated,1"]
        rows += [f"{site},{day},am,inactivated,2" for site in ("E2", "W1")]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


class Senders:
    """Hands messages over to an SMSC, which gives each an id of its own and says what became of most of them."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.ids: dict[str, list[str]] = {}
        self._given = 0

    def run(self, **states: str) -> None:
        """Send what is owed; `states`: what is said of somebody's messages, empty: nothing yet. Else: delivered."""
        asyncio.run(self._run({people()[who]["phone"]: state for who, state in states.items()}))

    async def _run(self, states: dict[str, str]) -> None:
        first = self._given
        async with fake_smsc(lambda n: f"{first + n:010d}") as smsc, self.town.sender(smsc.port):
            await connected(smsc)
            await self._quiet(smsc)
            for taken in smsc.submitted:
                phone = taken.phone[-11:]
                self.ids.setdefault(phone, []).append(taken.answer)
                if state := states.get(phone, "DELIVRD"):
                    await smsc.say(receipt_of(taken.answer, state), phone=taken.phone)
            await asyncio.sleep(1)
            self._given += len(smsc.submitted)

    async def _quiet(self, smsc: FakeSmsc) -> None:
        many, since = -1, 0.0
        while len(smsc.submitted) != many or time.monotonic() - since < 3:
            if len(smsc.submitted) != many:
                many, since = len(smsc.submitted), time.monotonic()
            await asyncio.sleep(0.1)


def fill(town: Town) -> dict[str, Any]:
    """A week of the city; what people have in their hands at its end."""
    folder = town.folder
    (folder / "sites.csv").write_text(_SITES, encoding="utf-8")
    with Redis.from_url(town.url) as client:
        client.set("clock:{clock}", 0)
    town.set_clock(at(21, "07:30"))
    town.command("import", "sites", str(folder / "sites.csv"))
    town.command("import", "registry", str(registry(folder / "registry.csv")))
    town.command("import", "capacity", str(capacity(folder / "capacity.csv")))
    staff = {
        site: town.command("token", "staff", site, "--role", "manager", "--days", "366")[0] for site in ("E1", "E2")
    }
    senders, registrations = Senders(town), []

    def note(registration: dict[str, str]) -> dict[str, str]:
        registrations.append(registration)
        return registration

    def cancel(one: dict[str, str]) -> None:
        town.must("POST", f"/registrations/{one['no']}/cancellation", one["receipt"])

    def night(day: int) -> None:
        town.set_clock(at(day, "20:30"))
        town.command("night")

    with town.serving():
        town.set_clock(at(21, "08:31"))
        ann = note(town.register("ann"))
        for who in ("bea", "dan", "ivy"):
            note(town.register(who))
        cid, fay = note(town.register("cid", not_before="2021-06-24")), note(town.register("fay"))
        note(town.register("gus", "E2", "pm"))
        cancel(fay)
        senders.run()
        night(21)
        senders.run(dan="UNDELIV")

        town.set_clock(at(22, "09:00"))
        cancel(cid)
        senders.run()
        night(22)
        senders.run()

        town.set_clock(at(23, "09:00"))
        town.must("POST", "/attendances", staff["E1"], {"registration_no": ann["no"], "date": "2021-06-23"})
        night(23)

        town.set_clock(at(24, "08:31"))
        note(town.register("bea", not_before="2021-06-26"))
        note(town.register("kim", "E1", "pm", not_before="2021-06-27"))
        oda = note(town.register("oda", not_before="2021-06-27"))
        note(town.register("hal", not_before="2021-06-28"))
        senders.run()
        night(24)
        senders.run(kim="", hal="UNDELIV")

        town.set_clock(at(25, "08:31"))
        note(town.register("eve", "E2", not_before="2021-06-29"))
        note(town.register("ned", not_before="2021-06-29"))
        note(town.register("jon"))
        town.command("import", "registry", str(registry(folder / "registry.csv", ned="2021-05-03")))
        senders.run()
        night(25)
        senders.run()

        town.set_clock(at(26, "09:00"))
        cancel(oda)
        senders.run()
        night(26)
        senders.run()

        town.set_clock(at(27, "08:31"))
        tickets, passes = {who: town.join(who) for who in ("tina", "uma")}, {}
        passes["uma"] = town.claim(tickets["uma"])
        note(town.register("rex"))
        town.command("notify", "--once", "--file", "/dev/full")  # nobody takes it: a dead letter
        town.command("outbox", "stop", "--phone", people()["quin"]["phone"])
        note(town.register("quin"))
        senders.run()

        town.set_clock(at(27, "12:05"))
        for one in (oda, fay):
            town.must("POST", "/attendances", staff["E1"], {"registration_no": one["no"], "date": "2021-06-27"})
        town.must("POST", "/sites/E2/closures", staff["E2"], {"date": "2021-06-29", "reason": "停电"})
        passes["sue"] = town.claim(town.join("sue"))
        wishes = {"preferences": [], "accept_any_site": True}
        done = town.must("POST", "/registrations", passes["sue"], wishes)
        note({"who": "sue", "no": done["registration_no"], "receipt": done["receipt"]})
        note(town.register("lou"))
        tickets |= {who: town.join(who) for who in ("vic", "xia", "yan", "zoe")}
        town.called(tickets["zoe"])
        passes["yan"] = town.claim(tickets["yan"])
        for who in ("vic", "zoe"):
            town.must("DELETE", "/ticket", tickets[who])
        town.must("PATCH", "/openings/east", OPERATOR, {"rate_per_second": 0, "message": "请稍候"})
        tickets["gone"] = tickets["zoe"]
        tickets |= {who: town.join(who) for who in ("wes", "mia", "zoe")}
        tickets |= {who: town.join(who, "west") for who in ("aki", "bob", "cat")}
        town.must("DELETE", "/ticket", tickets["cat"])
        for who, many in (("ned", 2), ("hal", 5)):
            for n in range(many):
                town.ask("POST", "/openings/east/tickets", body=papers(who, phone=f"1381111000{n}"))
        wrong = {"wrong": 5 + 2, "refused": 0, "locked": 1}
        until(lambda: town.must("GET", "/operations", OPERATOR)["totals"]["papers"] == wrong, "guesses are counted")
        for who in ("ann", "dan"):
            asked = papers(who)
            del asked["name"]
            town.must("POST", "/access-codes", body=asked)
    return {
        "registrations": registrations, "tickets": tickets, "passes": passes, "staff": staff,
        "ids": {"kim": senders.ids[people()["kim"]["phone"]]},
    }  # fmt: skip


def keep(town: Town, folder: Path, known: dict[str, Any]) -> None:
    """Keep the store as it is now, commands as text, and what belongs to it."""
    with Redis.from_url(town.url) as client:
        client.bgrewriteaof()
        time.sleep(0.5)
        while client.info("persistence")["aof_rewrite_in_progress"]:
            time.sleep(0.1)
        seconds, microseconds = client.time()
    (base,) = (folder / "appendonlydir").glob("*.base.aof")
    (KEPT / "store.aof").write_bytes(base.read_bytes())
    shutil.rmtree(KEPT / "results", ignore_errors=True)
    shutil.copytree(town.results, KEPT / "results")
    known["made_ms"] = int(seconds) * 1000 + int(microseconds) // 1000
    _write("known.json", known)


def answers(code: Path, known: dict[str, Any], later_s: int) -> dict[str, Any]:
    """What this version answers, looked at so many seconds later."""
    with tempfile.TemporaryDirectory(prefix="jh-") as name:
        put_back(Path(name), KEPT, known)
        with store_in(Path(name)) as url:
            with Redis.from_url(url) as client:
                client.incrby("clock:{clock}", later_s * 1000)
            town = Town(code, url, Path(name))
            return read(town, known) | go_on(town, known)


def main() -> None:
    """Fill, keep, ask."""
    code = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="jh-") as name, store_in(Path(name)) as url:
        town = Town(code, url, Path(name))
        keep(town, Path(name), fill(town))
    known = json.loads((KEPT / "known.json").read_text(encoding="utf-8"))
    _write("answers.json", same_of_both(answers(code, known, 0), answers(code, known, LATER)))


def _write(name: str, what: Any) -> None:
    """A line for each of its members."""
    lines = (f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in what.items())
    (KEPT / name).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
