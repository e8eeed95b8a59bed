"""Three weeks of a small city, from 19 June 2021 on: residents live at random, and plain books are kept beside it.

Everything goes through the public interface, with the clock moved; the books (`tests/support/books.py`) know nothing of
the code. `JIAOHAO_WEEKS_SEEDS=1,2,3` lives other lives.
"""

import asyncio
import hashlib
import hmac
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from server.core.errors import MessageRefused
from server.fairness.verification import MadePublic, verify_allotment
from tests.support.books import (
    INTERVAL_DAYS,
    Books,
    Given,
    Letter,
    Registration,
    Resident,
    Slot,
    cancel_before,
    refusal,
)
from tests.support.serving import (
    HAIZHU,
    OPERATOR,
    TIANHE,
    House,
    enrol,
    keep_sites,
    open_house,
    person,
    refused,
    run_cli,
    test_settings,
)

pytestmark = pytest.mark.long

YUEXIU = "440104"
OPENS = {TIANHE: 8, HAIZHU: 12, YUEXIU: 16}  # A6
SITES = {TIANHE: ("T1", "T2"), HAIZHU: ("H1", "H2"), YUEXIU: ("Y1",)}
FIRST_DAY, DAYS = date(2021, 6, 19), 21
PEOPLE = 72  # of each district
NEVER_COME = 4  # of each district, with the earliest first doses
ONE = timedelta(days=1)
SILENT = {date(2021, 6, 25), date(2021, 7, 1)}  # no SMS goes out from these evenings until 17:00 of the next day
NO_NIGHT = date(2021, 7, 5)  # nobody ran it, and the next one takes everybody over
SMALL_HOURS = {date(2021, 6, 22), date(2021, 6, 29), date(2021, 7, 2)}  # these nights are run, twice, at 03:00
# What these lives must have been through, so that nothing is left untried in silence.
EXPECTED = (
    "refused not-eligible", "refused barred", "refused already-registered", "registered", "registered again at once",
    "cancelled proposed", "cancelled booked", "too late to cancel", "sent back", "no-show put right", "excused",
    "again after a no-show", "lifted", "again after a bar", "first dose", "second dose", "allotted", "missed",
    "charged", "barred", "over", "in vain for six nights", "cohort 0", "cohort 1", "cohort 2", "cohort 3",
    "refused by the gateway",
    "sms registered", "sms allotted", "sms waiting", "sms reminder", "sms cancelled", "sms closed", "sms barred",
)  # fmt: skip
SEEDS = [int(seed) for seed in os.environ.get("JIAOHAO_WEEKS_SEEDS", "1").split(",")]


class Phones(dict[str, list[str]]):
    """A gateway that keeps what it was given, phone -> texts, and has no way to some."""

    ready = 50

    def __init__(self, out_of_reach: set[str]) -> None:
        super().__init__()
        self.out_of_reach = out_of_reach

    async def submit(self, phone: str, text: str) -> list[str]:
        """Take a message."""
        if phone in self.out_of_reach:
            raise MessageRefused("no such number")
        self.setdefault(phone, []).append(text)
        return []


class Town:
    """The city as its people and its operators see it, and its books.

    Args:
        house: the application.
        url: of its store, for the operator's commands.
        folder: for the operator's files.
        seed: of the lives.
    """

    def __init__(self, house: House, url: str, folder: Path, seed: int) -> None:
        self.house, self.url, self.folder = house, url, folder
        self.chance = random.Random(seed)
        self.books = Books(_residents(self.chance), SITES)
        self.day = FIRST_DAY
        self.happened: Counter[str] = Counter()
        self.phones = Phones({r.who.phone for r in self.books.residents if r.out_of_reach})

    async def settle_in(self) -> None:
        """The registry and the sites, as imported before the first day."""
        for resident in self.books.residents:
            if resident.dose is not None:
                await enrol(
                    self.house.store, [resident.who],
                    dose=resident.dose, product=resident.product, district=resident.district,
                )  # fmt: skip
        await keep_sites(self.house.store, SITES)
        await self.house.store.open_outbox([d.code for d in self.house.services.city.districts])

    @property
    def now(self) -> datetime:
        """The city's time."""
        return datetime.fromtimestamp(self.house.clock.at_ms / 1000, self.house.services.city.tz)

    # A day

    async def live(self, day: date) -> None:
        """A day and its night."""
        self.day = day
        await self.at("08:00:01")
        await self.late_desks()
        await self.deliver()
        await self.opening(TIANHE)
        await self.at("10:30:00")
        await self.desks("am")
        await self.cancellations(0.02)
        await self.opening(HAIZHU)
        await self.at("13:00:00")
        await self.closures()
        await self.deliver()  # before anybody sets out: once the afternoon is over it is not sent any more
        await self.at("14:30:00")
        await self.desks("pm")
        await self.opening(YUEXIU)
        await self.at("17:00:00")
        await self.deliver()
        await self.cancellations(0.03)
        await self.changes_of_mind()
        await self.operators()
        await self.at("19:40:00")
        await self.deliver()
        await self.look_everything_up()
        promised = {code: await self.house.get(f"/allotments/{code}/{day}") for code in OPENS}
        await self.at("20:00:00")
        await self.too_late_to_cancel()
        if self.day == NO_NIGHT:
            return
        if self.day in SMALL_HOURS:
            await self.house.at("03:00:00", self.day + ONE)
        else:
            await self.at("20:30:00")
        await self.night(promised)
        await self.deliver()

    async def at(self, clock_time: str) -> None:
        await self.house.at(clock_time, self.day)

    def _roll(self, probability: float) -> bool:
        return self.chance.random() < probability

    # An opening

    async def opening(self, district: str) -> None:
        """Who wants to joins, is called, claims and registers; some leave, miss their turn or let the pass lapse."""
        opens = f"{OPENS[district]:02d}"
        await self.at(f"{opens}:00:10")
        coming = [r for r in self.books.of(district) if self._comes(r)]
        strangers = [r for r in self.books.residents if r.district != district and self._roll(0.01)]
        self.chance.shuffle(coming)
        early, late = coming[::2], coming[1::2] + strangers
        tickets = [(r, t) for r in early if (t := await self._join(r, district))]
        await self.at(f"{opens}:03:00")
        tickets += [(r, t) for r in late if (t := await self._join(r, district))]
        for _ in range(3):
            await self.house.forward(2)
        fates: Counter[str] = Counter()
        absent = []
        for resident, ticket in tickets:
            assert (await self.house.get("/ticket", bearer=ticket))["state"] == "ready"
            fate = self.chance.choices(("registers", "leaves", "misses", "lapses", "repents"), (85, 4, 4, 4, 3))[0]
            fates[fate] += 1
            if fate == "leaves":
                assert (await self.house.call("DELETE", "/ticket", bearer=ticket)).status_code == 204
            elif fate == "misses":
                absent.append((resident, ticket))
            else:
                pass_ = await self.house.claim(ticket)
                if fate != "lapses":
                    await self._register(resident, district, pass_)
                if fate == "repents":
                    absent.append((resident, ticket))
        await self.at(f"{opens}:20:00")
        again = 0
        for resident, ticket in absent:
            if resident.latest is not None and resident.latest.state == "proposed":
                await self._cancel(resident)
                self.happened["registered again at once"] += 1
            else:
                assert (await self.house.get("/ticket", bearer=ticket))["state"] == "missed"
            if resident.latest is not None or self._roll(0.5):
                new = await self._join(resident, district)
                assert new is not None and new != ticket
                await self.house.forward(2)
                await self._register(resident, district, await self.house.claim(new))
                again += 1
        await self.house.passes_freed()
        await self.house.look()
        await self._check_counts(district, len(tickets) + again, again, fates)

    def _comes(self, resident: Resident) -> bool:
        held = resident.latest
        if held is not None and (held.is_open or held.state == "fulfilled"):
            return self._roll(0.01)
        if resident.barred:
            return self._roll(0.5)
        return self._roll(resident.haste if refusal(resident, resident.district, self.day) is None else 0.04)

    async def _join(self, resident: Resident, district: str) -> str | None:
        answer = await self.house.try_join(resident.who, district)
        expected = refusal(resident, district, self.day)
        if expected is not None:
            refused(answer, *expected)
            self.happened[f"refused {expected[0]}"] += 1
            return None
        assert answer.status_code == 201, answer.text
        return str(answer.json()["ticket"])

    async def _register(self, resident: Resident, district: str, pass_: str) -> None:
        resident.district = district  # who comes for a first dose is free to come to another one
        wishes = self._wishes(district)
        answer = await self.house.register(pass_, **_body(wishes))
        assert answer.status_code == 201, answer.text
        done = answer.json()
        assert done["no_shows"] == resident.no_shows
        self.books.register(resident, Registration(done["registration_no"], done["receipt"], *wishes))
        self.happened["registered"] += 1
        self.happened["again after a no-show"] += resident.no_shows > 0
        self.happened["again after a bar"] += resident.lifted

    def _wishes(self, district: str) -> tuple[list[tuple[str, str]], bool, date | None]:
        wanted = [(site, half) for site in SITES[district] for half in ("am", "pm", "any")]
        wishes = self.chance.sample(wanted, self.chance.randint(0, 3))
        not_before = self.day + self.chance.randint(0, 12) * ONE if self._roll(0.1) else None
        return wishes, not wishes or self._roll(0.7), not_before

    async def _check_counts(self, district: str, issued: int, again: int, fates: Counter[str]) -> None:
        """Guarantee 8: issued = waiting + called-and-unclaimed + claimed + missed + left."""
        seen = await self.house.get(f"/openings/{district}")
        (it,) = await self.house.store.advance([(f"{district}:{self.day}", 0)])
        assert it.opening is not None
        counted = {name: getattr(it.opening, name) for name in ("issued", "claimed", "missed", "left")}
        assert counted == {
            "issued": issued,
            "claimed": fates["registers"] + fates["lapses"] + fates["repents"] + again,
            "missed": fates["misses"],
            "left": fates["leaves"],
        }
        assert (seen["issued"], seen["serving"], seen["waiting"]) == (issued, issued, 0)
        assert issued == counted["claimed"] + counted["missed"] + counted["left"]

    # Between registering and the dose

    def _with(self, *states: str) -> list[Resident]:
        return [r for r in self.books.residents if r.latest is not None and r.latest.state in states]

    async def cancellations(self, probability: float) -> None:
        """Some give up, in time or not (A8)."""
        for resident in self._with("proposed", "booked"):
            if self._roll(probability):
                await self._cancel(resident)

    async def _cancel(self, resident: Resident) -> None:
        held = resident.held
        answer = await self.house.call("POST", f"/registrations/{held.no}/cancellation", bearer=held.receipt)
        if self.books.may_cancel(resident, self.now):
            assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
            self.happened["cancelled " + held.state] += 1
            self.books.cancel(resident)
        else:
            assert held.slot is not None
            problem = refused(answer, "too-late", 409)
            assert problem["cancel_before"] == cancel_before(held.slot, self.now).isoformat()
            self.happened["too late to cancel"] += 1

    async def too_late_to_cancel(self) -> None:
        """From 20:00 on nobody can log in (A7)."""
        for resident in self._with("booked")[:1]:
            held = resident.held
            answer = await self.house.call("POST", f"/registrations/{held.no}/cancellation", bearer=held.receipt)
            refused(answer, "maintenance", 503)

    async def changes_of_mind(self) -> None:
        """Some who wait change their wishes."""
        for resident in self._with("proposed"):
            if self._roll(0.05):
                held = resident.held
                held.wishes, held.any_site, held.not_before = wishes = self._wishes(resident.district)
                where, body = f"/registrations/{held.no}", _body(wishes)
                answer = await self.house.call("PATCH", where, bearer=held.receipt, json=body)
                assert answer.status_code == 200, answer.text

    async def desks(self, half: str) -> None:
        """Those who come today are seen at their sites."""
        for resident in self._with("booked"):
            slot = resident.held.slot
            if slot is not None and (slot.date, slot.half) == (self.day, half) and self._roll(resident.faith):
                await self._attend(resident)

    async def late_desks(self) -> None:
        """A desk without a network tells the next morning of somebody who had come, and was counted as missing."""
        for resident in self._with("noshow"):
            slot = resident.held.slot
            if slot is not None and slot.date == self.day - ONE and resident.faith and self._roll(0.2):
                self.happened["no-show put right"] += resident.held.charged
                await self._attend(resident)

    async def _attend(self, resident: Resident) -> None:
        held = resident.held
        assert held.slot is not None
        seen = {"registration_no": held.no, "date": str(held.slot.date)}
        answer = await self.house.call("POST", "/attendances", bearer=self.house.staff(held.slot.site), json=seen)
        assert answer.status_code == 200, answer.text
        self.happened["first dose" if resident.dose is None else "second dose"] += 1
        self.books.attend(resident)

    # Sites and operators

    async def closures(self) -> None:
        """Three times a site closes: a day ahead, half of tomorrow, this afternoon."""
        plan = {
            date(2021, 6, 25): ("T1", date(2021, 6, 27), None),
            date(2021, 6, 29): ("H1", date(2021, 6, 30), "am"),
            date(2021, 7, 3): ("Y1", date(2021, 7, 3), "pm"),
        }
        if self.day not in plan:
            return
        site, day, half = plan[self.day]
        body = {"date": str(day), "reason": "停电"} | ({"period": half} if half else {})
        answer = await self.house.call("POST", f"/sites/{site}/closures", bearer=self.house.staff(site), json=body)
        assert answer.status_code == 200, answer.text
        sent_back = self.books.close(site, day, (half,) if half else ("am", "pm"))
        assert answer.json()["sent_back"] == sent_back
        self.happened["sent back"] += sent_back

    async def operators(self) -> None:
        """Capacity comes as files, a part of it is lowered later; bars are lifted after a few days."""
        dates = {
            FIRST_DAY: (2, 6),
            date(2021, 6, 23): (3, 10),
            date(2021, 6, 30): (7, 22),
        }
        if self.day in dates:
            first, last = dates[self.day]
            days = [self.day + n * ONE for n in range(first, last + 1)]
            scarce = self.day < date(2021, 6, 30)
            await self._import_capacity({slot: self._doses(slot, scarce=scarce) for slot in _slots(days)})
        if self.day == date(2021, 6, 27):
            soon = [slot for slot in self.books.capacity if self.day + 2 * ONE <= slot.date <= self.day + 3 * ONE]
            await self._import_capacity({slot: self.books.capacity[slot] // 2 for slot in soon})
        for resident in self.books.residents:
            if resident.barred and self._roll(0.4):
                where, reason = f"/bars/{resident.held.no}", {"reason": "住院"}
                assert (await self.house.call("DELETE", where, bearer=OPERATOR, json=reason)).status_code == 204
                self.books.lift(resident)
                self.happened["lifted"] += 1

    def _doses(self, slot: Slot, *, scarce: bool) -> int:
        if slot.site == "Y1" and slot.product == "cho" and scarce:
            return 0  # some wait for two weeks
        if slot.product == "adenovirus":
            return 1 if slot.date >= date(2021, 7, 3) else 0
        most = 3 if slot.product == "inactivated" else 1
        return self.chance.randint(0, most) if scarce else self.chance.randint(1, most + 2)

    async def _import_capacity(self, slots: dict[Slot, int]) -> None:
        file = self.folder / f"capacity-{self.day}.csv"
        rows = [f"{s.site},{s.date},{s.half},{s.product},{doses}" for s, doses in slots.items()]
        file.write_text("\n".join(["site,date,period,product,capacity", *rows]) + "\n", encoding="utf-8")
        env = {"JIAOHAO_REDIS_URL": self.url, "JIAOHAO_SECRET": (b"s" * 32).hex(), "JIAOHAO_PEPPER": (b"p" * 32).hex()}
        done = await asyncio.to_thread(lambda: run_cli("import", "capacity", str(file), **env))
        assert done.returncode == 0, done.stderr
        self.books.capacity |= slots

    # Messages

    async def deliver(self) -> None:
        """Send what is owed: to each resident exactly what the books say, in the order of the events; from 21:00 to
        08:00 nobody is woken."""
        if (self.day in SILENT and self.now.hour >= 20) or (self.day - ONE in SILENT and self.now.hour < 17):
            return
        self.phones.clear()
        await self.house.services.sender.send_messages(self.phones, "test")
        asleep = not 8 <= self.now.hour < 21
        for resident in self.books.residents:
            letters = [] if asleep else self.books.due(resident, self.now)
            texts = self.phones.pop(resident.who.phone, [])
            if resident.out_of_reach:
                self.happened["refused by the gateway"] += len(letters)
                continue
            assert [_kind(text) for text in texts] == [letter.kind for letter in letters], (resident.latest, self.now)
            for letter, text in zip(letters, texts, strict=True):
                assert text.startswith("【广州健康通】" + resident.who.name[0] + "*")
                assert all(word in text for word in _words(letter)), (letter, text)
                self.happened["sms " + letter.kind] += 1
        assert not self.phones, "somebody got a message whom nobody knows"

    # What is seen

    async def look_everything_up(self) -> None:
        """Each registration as its holder sees it, each roster as its site sees it, against the books."""
        held = [r for r in self.books.residents if r.latest is not None]
        for start in range(0, len(held), 40):
            some = held[start : start + 40]
            seen = await asyncio.gather(
                *(self.house.get(f"/registrations/{r.held.no}", bearer=r.held.receipt) for r in some)
            )
            for resident, view in zip(some, seen, strict=True):
                self._compare(resident, view)
        for district, sites in SITES.items():
            for site in sites:
                for n in range(15):
                    await self._check_roster(district, site, self.day + n * ONE)
        assert sum(self.books.states().values()) == self.happened["registered"]
        await self._check_operations()

    async def _check_operations(self) -> None:
        """What the operator sees: who is barred, and how many slots of each day are taken."""
        seen = {it["code"]: it for it in (await self.house.get("/operations", bearer=OPERATOR))["districts"]}
        taken, days = self.books.taken(), [self.day + n * ONE for n in range(15)]
        for code, sites in SITES.items():
            used = [
                {
                    "date": str(day),
                    "capacity": sum(n for s, n in self.books.capacity.items() if s.date == day and s.site in sites),
                    "taken": sum(n for s, n in taken.items() if s.date == day and s.site in sites),
                }
                for day in days
            ]
            assert seen[code]["capacity"] == used
            assert seen[code]["barred"] == sum(resident.barred for resident in self.books.of(code))
        calls = (await self.house.get("/operations/calls", bearer=OPERATOR))["calls"]
        unheard = {r.held.no for r in self.books.residents if r.out_of_reach and r.latest is not None}
        assert {it["registration_no"] for it in calls if it["state"] is not None} <= unheard

    def _compare(self, resident: Resident, view: Any) -> None:
        held = resident.held
        slot = held.slot
        assert (view["state"], view["no_shows"], view["barred"]) == (held.state, resident.no_shows, resident.barred)
        there = view["appointment"]
        assert (there and (there["site"], there["date"], there["period"])) == (
            slot and (slot.site, str(slot.date), slot.half)
        )
        assert view["cancel_before"] == (cancel_before(slot, self.now).isoformat() if slot else None)
        assert view["priority"]["first_dose_date"] == (str(resident.dose) if resident.dose else None)

    async def _check_roster(self, district: str, site: str, day: date) -> None:
        params, token = {"date": str(day)}, self.house.staff(site)
        seen = (await self.house.call("GET", f"/sites/{site}/roster", params=params, bearer=token)).json()
        found = Counter((e["registration_no"], e["period"], e["product"], e["state"]) for e in seen["entries"])
        expected = Counter(
            (r.held.no, slot.half, slot.product, r.held.state)
            for r in self.books.of(district)
            if r.latest is not None and (slot := r.held.slot) is not None and slot[:2] == (day, site)
        )
        assert found == expected

    # The night

    async def night(self, promised: dict[str, Any]) -> None:
        """Run it; the result file must be what the books allot, and hold by itself."""
        before = self.books.taken()
        closed = {code: self.books.close_day(code, self.day) for code in OPENS}
        outcomes = await self.house.services.night.run(self.day)
        if self.day in SMALL_HOURS:
            assert await self.house.services.night.run(self.day) == outcomes
        brought = {outcome.district: outcome for outcome in outcomes}
        for code in OPENS:
            public = await self.house.get(f"/allotments/{code}/{self.day}")
            assert (promised[code]["seed"], public["state"]) == (None, "done")
            seed = bytes.fromhex(public["seed"])
            assert promised[code]["commitment"] == public["commitment"] == hashlib.sha256(seed).hexdigest()
            lines = await self._published(code, public)
            over, offered = self.books.over(code, self.day), self.books.offered(code, self.day)
            text = f"jiaohao night 2\n{code}:{self.day}\n".encode() + bytes.fromhex(public["list_root"])
            night_key = hmac.new(seed, text, hashlib.sha256).digest()
            nobody_is_wronged(lines, offered, night_key, self.day)
            given = self.books.allot(code, self.day, night_key, self.now)
            assert [Given(line["no"], line["cohort"], _slot(line)) for line in lines] == given
            it, allotted = brought[code], sum(line.slot is not None for line in given)
            assert (it.missed, it.charged, it.barred) == closed[code]
            assert (it.registrations, it.offered, len(it.over)) == (len(given), sum(offered.values()), over)
            assert (it.counts["allotted"], sum(it.counts.values()), it.withdrawn) == (allotted, len(given), 0)
            assert (public["registrations"], public["counts"]) == (len(given), it.counts)
            at = self._at(self.day + ONE, time(10))
            assert it.reminded == self.books.remind(code, self.day, at, self._at(self.day, time(20)))
            self.happened.update(missed=it.missed, charged=it.charged, barred=it.barred, over=over, allotted=allotted)
            self.happened["excused"] += it.missed - it.charged
            self.happened["in vain for six nights"] += any(
                r.held.nights >= 6 for r, _ in self.books.waiting(code, self.day, night_key)
            )
            self.happened.update(f"cohort {line.cohort}" for line in given if line.slot is not None)
        self._check_capacity(before)

    def _at(self, day: date, clock_time: time) -> datetime:
        return datetime.combine(day, clock_time, self.now.tzinfo)

    async def _published(self, code: str, public: Any) -> list[Any]:
        """The lines of a result file, as downloaded; it holds by itself, and against what was public before."""
        answer = await self.house.client.get(public["file_url"])
        assert answer.status_code == 200
        file = self.folder / f"{code}-{self.day}.jsonl"
        file.write_bytes(answer.content)
        held = verify_allotment(file, MadePublic(public["commitment"], public["list_root"], public["root"]))
        assert held.head.seed == public["seed"]
        assert held.head.registrations == public["registrations"]
        return [json.loads(line) for line in answer.content.splitlines()[1:-1]]

    def _check_capacity(self, before: Counter[Slot]) -> None:
        """Guarantee 5: no slot is given beyond its capacity (one that was lowered since is given to nobody more)."""
        for slot, count in self.books.taken().items():
            assert count <= max(self.books.capacity[slot], before[slot])


def nobody_is_wronged(lines: Sequence[Any], offered: dict[Slot, int], night_key: bytes, day: date) -> None:
    """Guarantees 5 and 6 from the lines of a result alone: no slot is given too often; everyone who got one ranks
    before everyone who did not and would have taken it; dates are from D+2 on, and the interval is over."""

    def rank(line: Any) -> tuple[int, str, bytes]:
        tie = hmac.new(night_key, line["no"].encode(), hashlib.sha256).digest()
        return line["cohort"], line.get("first_dose", "9999-12-31"), tie

    def takes(line: Any, slot: Slot) -> bool:
        dose = line.get("first_dose")
        if dose and line["product"] != slot.product:
            return False
        if dose and (slot.date - date.fromisoformat(dose)).days < INTERVAL_DAYS[slot.product]:
            return False
        wanted = any(site == slot.site and half in (slot.half, "any") for site, half in line.get("wishes", []))
        return str(slot.date) >= line.get("not_before", "") and (wanted or bool(line.get("any_site")))

    got = [(line, slot) for line in lines if (slot := _slot(line)) is not None]
    without = [line for line in lines if _slot(line) is None]
    given = Counter(slot for _, slot in got)
    assert len({line["no"] for line in lines}) == len(lines), "nobody is on the list twice"
    assert all(count <= offered[slot] for slot, count in given.items())
    for line, slot in got:
        assert takes(line, slot) and slot.date >= day + 2 * ONE, line
    for line in without:
        assert "reason" in line
        for holder, slot in got:
            assert rank(holder) < rank(line) or not takes(line, slot), (line, holder)
        assert not any(takes(line, slot) and free > given[slot] for slot, free in offered.items()), line


_TELLING = {
    "registered": "已登记",
    "allotted": "请于",
    "waiting": "还没有轮到您",
    "reminder": "提醒您",
    "cancelled": "已取消",
    "closed": "停诊",
    "barred": "不能再上网预约",
}


def _kind(text: str) -> str:
    """What a message is about."""
    (kind,) = (kind for kind, words in _TELLING.items() if words in text)
    return kind


def _words(letter: Letter) -> list[str]:
    """What its text must say."""
    if letter.slot is None:
        return [letter.no] if letter.kind in ("registered", "cancelled") else []
    slot = letter.slot
    hours = "08:30-12:00" if slot.half == "am" else "14:00-17:00"
    return [f"接种点{slot.site}", f"{slot.date.month}月{slot.date.day}日", hours]


def _body(wishes: tuple[list[tuple[str, str]], bool, date | None]) -> dict[str, Any]:
    preferences, any_site, not_before = wishes
    return {
        "preferences": [{"site": site, "period": half} for site, half in preferences],
        "accept_any_site": any_site,
        "not_before": str(not_before) if not_before else None,
    }


def _slots(days: Iterable[date]) -> list[Slot]:
    return [
        Slot(day, site, half, product)
        for day in days
        for sites in SITES.values()
        for site in sites
        for half in ("am", "pm")
        for product in ("inactivated", "cho", "adenovirus")
    ]


def _slot(line: Any) -> Slot | None:
    if line.get("slot") is None:
        return None
    day, *rest = line["slot"]
    return Slot(date.fromisoformat(day), *rest)


def _residents(chance: random.Random) -> list[Resident]:
    """Of each district: some who never come, and whose turn is always first; second doses of both phases; one who needs
    no second one; and people whom the registry does not know."""
    found: list[Resident] = []

    def add(
        district: str, dose: date | None, product: str, haste: float, faith: float, out_of_reach: bool = False
    ) -> None:
        found.append(Resident(person(len(found)), district, dose, product, haste, faith, out_of_reach))

    for district in OPENS:
        for n in range(NEVER_COME):
            add(district, date(2021, 4, 1) + n * ONE, "inactivated", 1.0, 0.0, n == 0)
        add(district, date(2021, 4, 20), "adenovirus", 0.3, 1.0)
        for n in range(PEOPLE - NEVER_COME - 1):
            haste, faith = chance.uniform(0.15, 0.6), chance.uniform(0.5, 0.98)
            product = "inactivated" if chance.random() < 0.8 else "cho"
            if n < 28:
                add(district, date(2021, 4, 10) + chance.randint(0, 36) * ONE, product, haste, faith)
            elif n < 52:
                add(district, date(2021, 5, 16) + chance.randint(0, 28) * ONE, product, haste, faith)
            else:
                add(district, None, "", haste, faith)
    return found


@pytest.fixture(params=SEEDS)
async def town(request: pytest.FixtureRequest, store_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    """The small city before its first day; the lives' seed draws its seeds too, so that a life can be lived again."""
    settings = test_settings(results_dir=tmp_path / "results")
    seeds = random.Random(f"seeds {request.param}")
    with patch("server.waiting_room.draws.secrets.token_bytes", seeds.randbytes):
        async with open_house(store_url, settings) as house:
            town = Town(house, store_url, tmp_path, request.param)
            await town.settle_in()
            yield town


async def test_three_weeks_by_the_books(town: Town) -> None:
    for n in range(DAYS):
        await town.live(FIRST_DAY + n * ONE)
    for what in EXPECTED:
        assert town.happened[what], f"never happened: {what}"
