"""The night's steps on a real store: what each does, that it may be done again, and by one at a time."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from server.appointments.giving import SlotGrant
from server.appointments.sites import Site
from server.appointments.staff import Role, Staff
from server.core.errors import SetupError, StoreUnavailable
from server.core.keys import day_tag, key, resident_tag
from server.fairness.draw import commitment
from server.fairness.verification import MadePublic, verify_allotment
from server.night.lease import Superseded
from server.records.night import NightRecord
from server.records.registration_changes import Change
from server.records.slot import RosterEntry, Slot
from tests.support.nights import DAY, NightHouse, fill
from tests.support.stores import Store, swap

TIANHE, HAIZHU = "440106", "440105"
TODAY = f"{TIANHE}:{DAY}"


@pytest.fixture
def house(store: Store, tmp_path: Path) -> NightHouse:
    """A night's service on an empty store, at noon; once standalone and once a cluster."""
    house = NightHouse(store, tmp_path / "results")
    house.at("12:00:00")
    return house


async def slots_of(house: NightHouse, district: str, day: date = DAY) -> Counter[tuple[date, str, str]]:
    """(date, site, period) -> how many have it, from the rosters."""
    found: Counter[tuple[date, str, str]] = Counter()
    for n in range(2, 15):
        for taken in await house.store.roster(day_tag(district, day + timedelta(days=n))):
            found[day + timedelta(days=n), taken.site, taken.period] += 1
    return found


# The whole night


async def test_everybody_gets_what_the_published_result_says(house: NightHouse) -> None:
    put = await fill(house.store, 120, per_slot=1)
    brought = await house.run()
    for district in (TIANHE, HAIZHU):
        lines = house.lines(district)
        mine = {no for no, each in put.items() if each["district"] == district}
        assert {line["no"] for line in lines} == mine
        got = Counter((date.fromisoformat(line["slot"][0]), *line["slot"][1:3]) for line in lines if line.get("slot"))
        assert got == await slots_of(house, district), "the store has given what the file says"
        assert max(got.values()) == 1, "each slot had one dose"
        assert brought[district].counts["allotted"] == sum(got.values()) == 5 * 4 * 2
        assert brought[district].registrations == 120
        for leaf, line in enumerate(lines, 1):
            kept = await house.fields(line["no"], put)
            assert (kept["night"], kept["leaf"]) == (str(DAY), str(leaf))
            if line.get("slot"):
                assert kept["state"] == "booked"
                assert [kept["day"], kept["site"], kept["period"]] == line["slot"][:3]
                assert await house.owed(put[line["no"]]["resident"]) == ["registered", "allotted"]
            else:
                assert (kept["state"], kept["why_not"]) == ("proposed", line["reason"])
                assert kept["reached"] == line.get("reached", "")
                assert await house.owed(put[line["no"]]["resident"]) == ["registered"]
        waiting = {no async for page in house.store.pending(district) for no, _ in page}
        assert waiting == {line["no"] for line in lines if not line.get("slot")}
        assert await house.pointed_to(district) == {put[no]["resident"] for no in mine}


async def test_the_result_is_the_one_that_was_committed_to(house: NightHouse) -> None:
    await fill(house.store, 40)
    await house.store.prepare_version_1(
        TODAY, opens_ms=1, draw_ms=2, closes_ms=3, claim_ms=1, pass_ms=1, grace_ms=1, poll_budget=1, rate=1,
        max_active=1, seed=bytes(32), night_seed=b"n" * 32,
    )  # fmt: skip
    public = commitment(b"n" * 32)
    await house.run()
    (night,) = await house.store.nights([TODAY])
    path = house.published.path(DAY, TIANHE)
    assert path is not None
    held = verify_allotment(path, MadePublic(public, night.list_root, night.root))
    assert held.head.registrations == 40
    entry = house.published.entry(DAY, TIANHE, 7)
    assert entry is not None
    assert entry.line == path.read_bytes().splitlines()[7]


async def test_once_more_changes_nothing(house: NightHouse) -> None:
    await fill(house.store, 60)
    first = await house.run()
    before = await house.everything()
    assert house.folder is not None
    files = {path: path.read_bytes() for path in sorted(house.folder.rglob("*.*"))}
    assert await house.run() == first
    assert await house.everything() == before
    # And where every step has to be done again, as if the word that it was done had been lost with its process.
    tags = [f"{district.code}:{DAY}" for district in house.city.districts]
    client: Any = house.store.client
    for tag in tags:
        await client.hdel(key("night", tag), "closed_ms", "freed_ms", "allotted_ms", "given", "published_ms", "told_ms")
    assert await house.run() == first
    after = await house.everything()
    changed = {k for k in before | after if before.get(k) != after.get(k)}
    assert {k.split(b":")[0] for k in changed} <= {b"night", b"outbox", b"unsettled"}
    assert {path: path.read_bytes() for path in files} == files


async def test_a_dry_run_changes_nothing_and_foresees_the_night(house: NightHouse) -> None:
    await fill(house.store, 80)
    await house.store.prepare_version_1(
        TODAY, opens_ms=1, draw_ms=2, closes_ms=3, claim_ms=1, pass_ms=1, grace_ms=1, poll_budget=1, rate=1,
        max_active=1, seed=bytes(32), night_seed=b"n" * 32,
    )  # fmt: skip
    house.at("20:10:00")
    before = await house.everything()
    foreseen = {outcome.district: outcome for outcome in await house.night.foresee(DAY)}
    assert await house.everything() == before
    brought = await house.run()
    for name in ("missed", "charged", "barred", "registrations", "offered", "counts"):
        assert getattr(foreseen[TIANHE], name) == getattr(brought[TIANHE], name), name


async def test_a_night_has_its_time(house: NightHouse) -> None:
    house.at("20:09:59")
    assert await house.night.due() == DAY - timedelta(days=1)
    with pytest.raises(SetupError, match="not over: its night begins at 2021-06-22 20:10"):
        await house.night.run(DAY)
    house.at("20:10:00")
    assert await house.night.due() == DAY
    house.at("19:59:59", DAY + timedelta(days=1))
    assert await house.night.due() == DAY
    await house.night.foresee(DAY)
    house.at("20:00:00", DAY + timedelta(days=1))  # an appointment on 24 June cannot be cancelled any more
    before = await house.everything()
    with pytest.raises(SetupError, match="too late for the night of 2021-06-22"):
        await house.night.run(DAY)
    assert await house.everything() == before


async def test_without_a_folder_for_the_results_nothing_begins(house: NightHouse) -> None:
    homeless = NightHouse(house.store, None)
    homeless.at("20:10:00")
    with pytest.raises(SetupError, match="no folder"):
        await homeless.night.run(DAY)
    assert await house.everything() == {}


async def test_a_result_that_cannot_be_written_is_written_when_it_can(house: NightHouse, tmp_path: Path) -> None:
    await fill(house.store, 30)
    (tmp_path / "results").write_text("a file where the folder should be")
    with pytest.raises(SetupError, match="cannot be written"):
        await house.run()
    (night,) = await house.store.nights([TODAY])
    assert night.root is None and night.allotted_ms is not None
    (tmp_path / "results").unlink()
    brought = await house.run()
    assert brought[TIANHE].counts["allotted"] > 0
    path = house.published.path(DAY, TIANHE)
    assert path is not None
    verify_allotment(path, MadePublic(None, night.list_root, brought[TIANHE].root))


# One at a time


async def test_a_second_night_says_who_runs_it(house: NightHouse) -> None:
    house.at("20:10:00")
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=subprocess.PIPE)
    held = await house.store.lease(_holder_like_ours(other.pid), 0, 30_000)
    assert held.is_mine
    with pytest.raises(Superseded, match=rf"run by process {other.pid} on .* since 2021-06-22 20:10:00"):
        await house.night.run(DAY)
    other.kill()
    await other.wait()
    await house.night.run(DAY)  # dead, and of this machine: no need to wait
    assert (await house.store.lease("next", 0, 30_000)).is_mine, "and it was given back in the end"


async def test_a_dead_holder_of_another_machine_keeps_it_for_half_a_minute(house: NightHouse) -> None:
    house.at("20:10:00")
    await house.store.lease("process 1 on elsewhere", 0, 30_000)
    house.at("20:10:29")
    with pytest.raises(Superseded, match="elsewhere"):
        await house.night.run(DAY)
    house.at("20:10:30")
    await house.night.run(DAY)


def _holder_like_ours(pid: int) -> str:
    name_space = os.readlink("/proc/self/ns/pid")
    return f"process {pid} on {os.uname().nodename} in {name_space}, run 0"


async def test_whoever_wakes_up_late_changes_nothing(house: NightHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after the list was frozen, while another has run the night to its end."""
    await fill(house.store, 50)
    put_aside = asyncio.Event()
    go_on = asyncio.Event()
    store: Any = house.store
    give = house.appointments.give

    async def stop_here(*args: Any) -> Any:
        put_aside.set()
        await go_on.wait()
        return await give(*args)

    monkeypatch.setattr(house.appointments, "give", stop_here)
    sleeper = asyncio.create_task(house.run())
    await put_aside.wait()
    await house.store.lease("wake", 1, 0)  # its lease has run out
    other = NightHouse(store, house.folder)
    await other.run()
    before = await house.everything()
    go_on.set()
    with pytest.raises(Superseded):
        await sleeper
    after = await house.everything()
    # A pointer too many may have been put there; it leads to nothing new.
    assert {k: v for k, v in after.items() if not k.startswith(b"outbox:")} == {
        k: v for k, v in before.items() if not k.startswith(b"outbox:")
    }


# Closing the day


async def booked_before(house: NightHouse, put: dict[str, Any], day: date, count: int) -> list[str]:
    """Appointments on a day in Tianhe, given in the night before last; their numbers."""
    house.at("20:10:00", day - timedelta(days=2))
    mine = [no for no, each in put.items() if each["district"] == TIANHE][:count]
    await house.store.keep_capacity(day_tag(TIANHE, day), {Slot("440106-1", "am", "inactivated"): count})
    wanted = [SlotGrant(RosterEntry(no, put[no]["resident"], "440106-1", "am", "inactivated"), day) for no in mine]
    assert set(await house.appointments.give(TIANHE, wanted, "night")) == {"booked"}
    return mine


async def told(house: NightHouse, put: dict[str, Any], no: str, state: str, told_at: str, day: date) -> None:
    """The SMS of the appointment had this fate at this time."""
    kept = await house.fields(no, put)
    told_ms = house.at(told_at, day)
    client: Any = house.store.client
    tag = key("registration", resident_tag(put[no]["resident"]))
    await client.hset(tag, "sms:allotted", f"{state} {told_ms} {kept['booked_ms']}")


async def test_a_no_show_counts_only_where_the_sms_came_in_time_to_cancel(house: NightHouse) -> None:
    put = await fill(house.store, 10, districts=[TIANHE], day=DAY - timedelta(days=2))
    eve = DAY - timedelta(days=1)
    counted = {"accepted": True, "delivered": True, "undelivered": False, "refused": False, "unsent": False}
    numbers = await booked_before(house, put, DAY, 9)
    for no, state in zip(numbers, counted, strict=False):
        await told(house, put, no, state, "08:00:00", eve)
    await told(house, put, numbers[5], "accepted", "16:00:00", eve)  # four hours before 20:00
    await told(house, put, numbers[6], "accepted", "16:00:01", eve)
    # numbers[7]: never sent. numbers[8]: the message of an earlier appointment.
    client: Any = house.store.client
    await client.hset(key("registration", resident_tag(put[numbers[8]]["resident"])), "sms:allotted", "accepted 1 1")
    brought = (await house.run())[TIANHE]
    charged = [(await house.fields(no, put)).get("charged") == "1" for no in numbers]
    assert charged == [True, True, False, False, False, True, False, False, False]
    assert (brought.missed, brought.charged, brought.barred) == (9, 3, 0)
    assert {(await house.fields(no, put))["state"] for no in numbers} == {"noshow"}


async def test_who_came_or_cancelled_has_missed_nothing(house: NightHouse) -> None:
    put = await fill(house.store, 4, districts=[TIANHE], day=DAY - timedelta(days=2))
    came, cancelled, absent = await booked_before(house, put, DAY, 3)
    house.at("09:00:00", DAY - timedelta(days=1))
    fields = await house.fields(cancelled, put)
    change, held = Change(put[cancelled]["resident"], cancelled, "x"), date.fromisoformat(fields["day"])
    assert await house.appointments.cancel(change, fields["district"], held) == "cancelled"
    house.at("09:00:00")
    status, *_ = await house.store.attend(Change(put[came]["resident"], came, "desk"), "440106-1", str(DAY))
    assert status == "attended"
    brought = (await house.run())[TIANHE]
    assert brought.missed == 1
    assert [(await house.fields(no, put))["state"] for no in (came, cancelled, absent)] == [
        "fulfilled", "cancelled", "noshow",
    ]  # fmt: skip


async def test_the_third_no_show_bars_and_says_so(house: NightHouse) -> None:
    put = await fill(house.store, 2, districts=[TIANHE], day=DAY - timedelta(days=2))
    no, other = await booked_before(house, put, DAY, 2)
    resident = put[no]["resident"]
    client: Any = house.store.client
    await client.set(key("no_shows", resident_tag(resident)), 2)
    await told(house, put, no, "delivered", "08:00:00", DAY - timedelta(days=1))
    await told(house, put, other, "delivered", "08:00:00", DAY - timedelta(days=1))
    brought = (await house.run())[TIANHE]
    assert (brought.missed, brought.charged, brought.barred) == (2, 2, 1)
    assert (await house.owed(resident))[-1] == "barred"
    assert resident in await house.pointed_to(TIANHE)
    assert await house.store.bars([TIANHE]) == [{no: resident}]
    assert [x.stop for x in await house.store.residents([resident])] == ["barred"]


# From night to night


async def test_who_got_nothing_waits_for_the_next_night_and_who_was_sent_back_goes_first(house: NightHouse) -> None:
    put = await fill(house.store, 40, districts=[TIANHE], per_slot=0)
    brought = await house.run()
    assert brought[TIANHE].counts["allotted"] == 0
    tomorrow = DAY + timedelta(days=1)
    house.at("12:00:00", tomorrow)
    put |= await fill(house.store, 20, districts=[TIANHE], day=tomorrow, per_slot=0, first=100)
    latest = max(put, key=lambda no: (put[no]["date"], no))
    client: Any = house.store.client
    await client.hset(key("registration", resident_tag(put[latest]["resident"])), "priority", "1")
    gone = min(put)
    assert await house.store.cancel(Change(put[gone]["resident"], gone, "x"), "", 1) == "cancelled"
    brought = await house.run(tomorrow)
    lines = house.lines(TIANHE, tomorrow)
    assert {line["no"] for line in lines} == set(put) - {gone}
    assert (lines[0]["no"], lines[0]["cohort"]) == (latest, 0)
    assert gone not in {no async for page in house.store.pending(TIANHE) for no, _ in page}


async def test_nights_that_did_not_happen_leave_nobody_out(house: NightHouse) -> None:
    put = await fill(house.store, 10, districts=[TIANHE], day=DAY - timedelta(days=3))
    put |= await fill(house.store, 10, districts=[TIANHE], day=DAY, first=100)
    assert (await house.run())[TIANHE].registrations == 20
    assert {line["no"] for line in house.lines(TIANHE)} == set(put)


async def test_after_three_nights_in_vain_a_resident_is_told(house: NightHouse) -> None:
    put = await fill(house.store, 3, districts=[TIANHE], per_slot=0)
    (no, *_) = put
    for n in range(7):
        await house.run(DAY + timedelta(days=n))
        told_so = (await house.owed(put[no]["resident"])).count("waiting")
        assert told_so == (n + 1) // 3
        assert (await house.fields(no, put))["nights"] == str(n + 1)


async def test_the_day_before_the_last_to_cancel_a_reminder_is_owed(house: NightHouse) -> None:
    put = await fill(house.store, 2, districts=[TIANHE], day=DAY - timedelta(days=2))
    appointment = DAY + timedelta(days=2)
    early, late = list(put)
    for no, at in ((early, DAY - timedelta(days=1)), (late, DAY)):
        house.at("20:10:00", at)
        await house.store.keep_capacity(day_tag(TIANHE, appointment), {Slot("440106-1", "am", "inactivated"): 2})
        slot = RosterEntry(no, put[no]["resident"], "440106-1", "am", "inactivated")
        assert await house.appointments.give(TIANHE, [SlotGrant(slot, appointment)], "night") == ["booked"]
    brought = await house.run()
    assert brought[TIANHE].reminded == 1
    assert await house.owed(put[early]["resident"]) == ["registered", "allotted", "reminder"]
    assert await house.owed(put[late]["resident"]) == ["registered", "allotted"], "who was told tonight knows"


# While others write


async def test_what_the_city_takes_away_in_that_moment_is_made_up_for_the_next_night(
    house: NightHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = await fill(house.store, 30, districts=[TIANHE], per_slot=1)
    give = house.appointments.give
    closed = date(2021, 6, 24)

    async def after_changes(*args: Any) -> Any:
        await house.store.close_site(day_tag(TIANHE, closed), "manager", "440106-1", "am", "停电")
        await house.store.keep_capacity(day_tag(TIANHE, closed), {Slot("440106-2", "am", "inactivated"): 0})
        return await give(*args)

    monkeypatch.setattr(house.appointments, "give", after_changes)
    brought = await house.run()
    lost = [
        line["no"]
        for line in house.lines(TIANHE)
        if line.get("slot", [])[:3] in ([str(closed), "440106-1", "am"], [str(closed), "440106-2", "am"])
    ]
    assert len(lost) == 2 == brought[TIANHE].withdrawn
    for no in lost:
        kept = await house.fields(no, put)
        assert (kept["state"], kept["priority"], kept["why_not"]) == ("proposed", "1", "withdrawn")
    assert await house.store.roster(day_tag(TIANHE, closed)) != []
    monkeypatch.undo()
    await house.run(DAY + timedelta(days=1))
    assert [line["no"] for line in house.lines(TIANHE, DAY + timedelta(days=1))[:2]] == sorted(
        lost, key=lambda no: [line["no"] for line in house.lines(TIANHE, DAY + timedelta(days=1))].index(no)
    )


async def test_capacity_lowered_below_what_is_given_throws_nobody_out(house: NightHouse) -> None:
    put = await fill(house.store, 6, districts=[TIANHE], day=DAY - timedelta(days=2), per_slot=0)
    appointment = DAY + timedelta(days=3)
    numbers = await booked_before(house, put, appointment, 3)
    await house.store.keep_capacity(day_tag(TIANHE, appointment), {Slot("440106-1", "am", "inactivated"): 1})
    brought = await house.run()
    assert brought[TIANHE].over == [(appointment, "440106-1", "am", "inactivated", 1, 3)]
    assert brought[TIANHE].counts["allotted"] == 0
    assert {(await house.fields(no, put))["state"] for no in numbers} == {"booked"}


async def test_a_damaged_registration_keeps_nobody_else_from_a_slot(house: NightHouse) -> None:
    put = await fill(house.store, 5, districts=[TIANHE], per_slot=9)
    broken = min(put)
    client: Any = house.store.client
    tag = resident_tag(put[broken]["resident"])
    await client.hset(key("registration", tag), "product", "")
    await client.delete(key("registry", tag))  # else the registry's word would mend it
    brought = await house.run()
    assert brought[TIANHE].registrations == 4
    counts = (await house.store.nights([TODAY]))[0].counts
    assert counts is not None and counts["allotted"] == brought[TIANHE].counts["allotted"]


# What may cross the night


async def sent_back_is_waiting(house: NightHouse, no: str, resident: bytes) -> None:
    """Sent back by a closure while the night still saw it booked: it is on the next night's list, and first."""
    kept = await house.store.registration_fields(resident)
    assert (kept["no"], kept["state"], kept["priority"]) == (no, "proposed", "1")
    tomorrow = DAY + timedelta(days=1)
    await house.run(tomorrow)
    assert house.lines(TIANHE, tomorrow)[0]["no"] == no


async def test_a_site_that_closes_while_the_night_gives_its_slots(
    house: NightHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = await fill(house.store, 1, districts=[TIANHE], per_slot=1)
    ((no, each),) = put.items()
    give = house.appointments.give

    async def closed_after(*args: Any) -> Any:
        statuses = await give(*args)
        kept = await house.fields(no, put)
        await close(house, date.fromisoformat(kept["day"]), kept["site"], kept["period"])
        return statuses

    monkeypatch.setattr(house.appointments, "give", closed_after)
    await house.run()
    monkeypatch.undo()
    await sent_back_is_waiting(house, no, each["resident"])


async def test_a_site_that_closes_while_the_list_is_read(house: NightHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    put = await fill(house.store, 1, districts=[TIANHE], day=DAY - timedelta(days=2), per_slot=0)
    (no,) = await booked_before(house, put, DAY + timedelta(days=5), 1)
    resident = put[no]["resident"]
    await house.store.keep_pending(TIANHE, [(no, resident)])
    drop = house.store.drop_pending

    async def closed_first(*args: Any) -> None:
        kept = await house.fields(no, put)
        if kept["state"] == "booked":
            await close(house, date.fromisoformat(kept["day"]), kept["site"], kept["period"])
        await drop(*args)

    swap(monkeypatch, house.store, "drop_pending", closed_first)
    await house.run()
    monkeypatch.undo()
    await sent_back_is_waiting(house, no, resident)


async def close(house: NightHouse, day: date, site: str, period: Any) -> int:
    """Close a site as its manager; how many were sent back."""
    manager = Staff("manager", Role.MANAGER, site)
    closed = await house.appointments.close(manager, Site(site, "点", "Site", TIANHE, "路"), day, period, "停电")
    return closed.sent_back


async def test_a_closure_excuses_also_whom_the_night_has_charged(house: NightHouse) -> None:
    put = await fill(house.store, 2, districts=[TIANHE], day=DAY - timedelta(days=2), per_slot=0)
    no, other = await booked_before(house, put, DAY, 2)
    client: Any = house.store.client
    await client.set(key("no_shows", resident_tag(put[no]["resident"])), 2)
    for each in (no, other):
        await told(house, put, each, "delivered", "08:00:00", DAY - timedelta(days=1))
    assert (await house.run())[TIANHE].barred == 1
    house.at("20:30:00")
    assert await close(house, DAY, "440106-1", "am") == 2
    for each, count in ((no, 2), (other, 0)):
        resident = put[each]["resident"]
        kept, life = await house.fields(each, put), await house.store.history(resident)
        assert (kept["state"], kept["priority"], life.no_shows, life.barred) == ("proposed", "1", count, False)
        assert [x.stop for x in await house.store.residents([resident])] == [f"open {each}"]
    assert await house.store.bars([TIANHE]) == [{}]
    await house.run(DAY + timedelta(days=1))
    assert {line["no"] for line in house.lines(TIANHE, DAY + timedelta(days=1))} == {no, other}


async def test_a_closure_that_died_half_way_excuses_before_the_day_is_closed(house: NightHouse) -> None:
    put = await fill(house.store, 1, districts=[TIANHE], day=DAY - timedelta(days=2), per_slot=0)
    (no,) = await booked_before(house, put, DAY, 1)
    await told(house, put, no, "delivered", "08:00:00", DAY - timedelta(days=1))
    house.at("19:59:00")
    await house.store.close_site(day_tag(TIANHE, DAY), "manager", "440106-1", "am", "停电")  # and no more
    brought = await house.run()
    assert (brought[TIANHE].missed, brought[TIANHE].charged) == (0, 0)
    assert house.lines(TIANHE)[0]["no"] == no


async def test_killed_between_the_bar_and_its_note_the_next_run_makes_up_for_it(
    house: NightHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = await fill(house.store, 1, districts=[TIANHE], day=DAY - timedelta(days=2), per_slot=0)
    (no,) = await booked_before(house, put, DAY, 1)
    resident = put[no]["resident"]
    client: Any = house.store.client
    await client.set(key("no_shows", resident_tag(resident)), 2)
    await told(house, put, no, "delivered", "08:00:00", DAY - timedelta(days=1))

    async def dies(*args: Any) -> None:
        raise _Died

    swap(monkeypatch, house.store, "note_bar", dies)
    with pytest.raises(_Died):
        await house.run()
    monkeypatch.undo()
    await client.delete(key("outbox", TIANHE))
    brought = await house.run()
    assert (brought[TIANHE].missed, brought[TIANHE].charged, brought[TIANHE].barred) == (1, 1, 1)
    assert await house.store.bars([TIANHE]) == [{no: resident}]
    assert resident in await house.pointed_to(TIANHE)
    assert (await house.store.history(resident)).no_shows == 3


class _Died(Exception):
    pass


async def test_wishes_changed_after_the_list_was_frozen_are_not_overridden(
    house: NightHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night that runs late, in the hours in which residents can log in."""
    put = await fill(house.store, 6, districts=[TIANHE], per_slot=3)
    changer = max(put)
    give = house.appointments.give

    async def amended_first(*args: Any) -> Any:
        house.clock.at_ms += 1
        house.store.now_ms += 1
        change = Change(put[changer]["resident"], changer, "resident")
        await house.store.amend(change, {"preferences": b"[]", "not_before": "2021-07-03"})
        return await give(*args)

    monkeypatch.setattr(house.appointments, "give", amended_first)
    house.at("09:00:00", DAY + timedelta(days=1))
    await house.night.run(DAY)
    kept = await house.fields(changer, put)
    assert (kept["state"], kept["not_before"], kept.get("day")) == ("proposed", "2021-07-03", None)
    assert changer in {no async for page in house.store.pending(TIANHE) for no, _ in page}
    for tag in (day_tag(TIANHE, DAY + timedelta(days=n)) for n in range(2, 15)):
        assert changer not in {taken.no for taken in await house.store.roster(tag)}


async def test_a_night_that_was_overtaken_is_published_without_giving_more(
    house: NightHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.night.inputs._BATCH", 10)
    put = await fill(house.store, 40, districts=[TIANHE], per_slot=1)
    give, calls = house.appointments.give, []

    async def dies_at_the_third(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            raise _Died
        return await give(*args)

    monkeypatch.setattr(house.appointments, "give", dies_at_the_third)
    with pytest.raises(_Died):
        await house.run()
    monkeypatch.setattr(house.appointments, "give", give)
    had = {no for no in put if (await house.fields(no, put))["state"] == "booked"}
    tomorrow = DAY + timedelta(days=1)
    await house.run(tomorrow)
    path = house.published.path(DAY, TIANHE)
    assert path is not None
    held = verify_allotment(path)
    assert held.foot.counts["allotted"] > len(had)
    promised = [line["no"] for line in house.lines(TIANHE) if line.get("slot") and line["no"] not in had]
    assert len(promised) == held.foot.counts["allotted"] - len(had)
    first = house.lines(TIANHE, tomorrow)
    assert {line["no"] for line in first if line["cohort"] == 0} == set(promised), "they go first now"
    assert not had & {line["no"] for line in first}


async def test_a_clock_that_was_set_back_hides_nobody(house: NightHouse) -> None:
    await house.store.note_through(TIANHE, "gathered", date(2026, 11, 22))
    await house.store.note_through(TIANHE, "closed", date(2026, 11, 22))
    await fill(house.store, 5, districts=[TIANHE])
    assert (await house.run())[TIANHE].registrations == 5


async def test_an_opening_with_passes_alive_is_looked_at_again(house: NightHouse) -> None:
    client: Any = house.store.client
    await client.zadd(key("passes", TODAY), {"7": house.at("20:15:00")})
    await house.run()
    house.at("20:14:00")
    put = await fill(house.store, 1, districts=[TIANHE], per_slot=0)
    await house.run(DAY + timedelta(days=1))
    assert [line["no"] for line in house.lines(TIANHE, DAY + timedelta(days=1))] == list(put)


async def test_a_later_opening_that_is_over_hides_nobody_of_an_earlier_one_that_is_not(house: NightHouse) -> None:
    client: Any = house.store.client
    before, after = DAY - timedelta(days=1), DAY + timedelta(days=1)
    await client.zadd(key("passes", day_tag(TIANHE, before)), {"7": house.at("20:15:00")})
    later = await fill(house.store, 1, districts=[TIANHE], per_slot=0, first=100)
    await house.run()
    house.at("20:14:00")
    put = await fill(house.store, 1, districts=[TIANHE], day=before, per_slot=0)
    await house.run(after)
    assert {line["no"] for line in house.lines(TIANHE, after)} == set(put) | set(later)


async def test_who_registers_with_the_last_pass_while_the_night_reads_the_opening_is_not_left_out(
    house: NightHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    client: Any = house.store.client
    claims, put = house.store.claims, {}
    await client.zadd(key("passes", TODAY), {"0": house.at("20:15:00")})

    async def registered_behind(tag: str) -> Any:
        async for page in claims(tag):
            yield page
        if tag == TODAY:
            put.update(await fill(house.store, 1, districts=[TIANHE], per_slot=0))
            await client.zrem(key("passes", TODAY), "0")

    swap(monkeypatch, house.store, "claims", registered_behind)
    await house.run()
    monkeypatch.undo()
    assert house.lines(TIANHE) == []
    tomorrow = DAY + timedelta(days=1)
    await house.run(tomorrow)
    assert [line["no"] for line in house.lines(TIANHE, tomorrow)] == list(put)


async def test_the_seeds_of_the_next_night_are_fixed_before_anybody_registers_for_it(house: NightHouse) -> None:
    await house.run()
    tags = [day_tag(district.code, DAY + timedelta(days=1)) for district in house.city.districts]
    promised = [night.commitment or "" for night in await house.store.nights(tags)]
    assert all(len(it) == 64 for it in promised)
    assert len(set(promised)) == len(promised)
    assert [night.seed for night in await house.store.nights(tags)] == [None] * len(tags), "they are sealed"
    await house.run(DAY + timedelta(days=1))
    revealed = [bytes.fromhex(night.seed or "") for night in await house.store.nights(tags)]
    assert [commitment(seed) for seed in revealed] == promised


@pytest.mark.parametrize("field", ["closed_ms", "list_root", "given", "allotted_ms", "root", "told_ms"])
async def test_a_store_that_dies_with_its_answer_is_waited_for(
    house: NightHouse, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    """What it had done is found done."""
    monkeypatch.setattr("server.night.run._RETRY_SECONDS", 0.01)
    await fill(house.store, 20, districts=[TIANHE])
    note = house.store.note_night
    lost: list[str] = []

    async def answer_lost(tag: str, token: int, news: NightRecord) -> bool:
        done = await note(tag, token, news)
        if field in news.pack() and not lost:
            lost.append(tag)
            raise StoreUnavailable
        return done

    swap(monkeypatch, house.store, "note_night", answer_lost)
    brought = await house.run()
    assert lost
    assert sum(brought[TIANHE].counts.values()) == 20
    path = house.published.path(DAY, TIANHE)
    assert path is not None
    verify_allotment(path, MadePublic(None, None, brought[TIANHE].root))
