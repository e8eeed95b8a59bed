"""The scripts of a night, each branch, on a standalone server and on a cluster; and what it changed of the others."""

from typing import Any

from server.core.keys import key, resident_tag
from server.records.night import NightRecord
from server.records.registration import Appointment, NewRegistration
from server.records.registration_changes import Booking, Change, PassedOver
from server.records.slot import RosterEntry, Slot
from server.records.statuses import known
from tests.support.stores import FIELDS, Store

T0 = 1_624_363_800_000  # 2021-06-22 20:10 in Guangzhou
TAG = "440106:2021-06-22"
ON = "440106:2021-06-24"
SLOT = Appointment("T1", "2021-06-24", "am")
RESIDENT = (7).to_bytes(16, "big")
CHANGE = Change(RESIDENT, "A", "night")


async def registered(store: Store) -> None:
    """A registration that waits."""
    store.now_ms = T0
    await store.register([NewRegistration(RESIDENT, T0 + 1, "A", "2021-05-01", FIELDS)])


async def book(store: Store, **more: Any) -> str:
    (status,) = known(await store.book([Booking(CHANGE, SLOT, T0 + 86_400_000, **more)]))
    return status


async def stop(store: Store) -> str | None:
    return (await store.residents([RESIDENT]))[0].stop


# lease


async def test_one_holder_at_a_time_and_each_has_a_higher_token(store: Store) -> None:
    store.now_ms = T0
    assert await store.lease("one", 0, 30_000) == (True, 1, "one", T0, T0 + 30_000)
    store.now_ms = T0 + 20_000
    assert await store.lease("two", 0, 30_000) == (False, 1, "one", T0, T0 + 30_000)
    assert await store.lease("one", 1, 30_000) == (True, 1, "one", T0, T0 + 50_000), "renewed"
    store.now_ms = T0 + 50_000
    assert await store.lease("two", 0, 30_000) == (True, 2, "two", T0 + 50_000, T0 + 80_000), "it had run out"
    assert await store.lease("one", 1, 30_000) == (False, 2, "two", T0 + 50_000, T0 + 80_000), "woken up too late"
    assert await store.lease("one", 1, 0) == (False, 2, "two", T0 + 50_000, T0 + 80_000), "nor gives it back for two"


async def test_a_lease_is_given_back_or_taken_from_the_dead(store: Store) -> None:
    store.now_ms = T0
    await store.lease("one", 0, 30_000)
    assert (await store.lease("two", 0, 30_000, dead=9)).is_mine is False
    assert (await store.lease("two", 0, 30_000, dead=1)).token == 2
    assert (await store.lease("two", 2, 0)).expires_ms == 0
    assert (await store.lease("three", 0, 30_000)).token == 3


async def test_a_lease_of_a_time_before_the_clock_was_set_back_blocks_nobody(store: Store) -> None:
    store.now_ms = T0 + 86_400_000
    await store.lease("one", 0, 30_000)
    store.now_ms = T0
    assert (await store.lease("two", 0, 30_000)).token == 2


# enter_night, note_night, freeze


async def test_the_first_seed_stays_and_an_earlier_holder_notes_nothing(store: Store) -> None:
    assert await store.enter_night(TAG, 1, "c1", "s1") == NightRecord(commitment="c1", sealed="s1", fence=1)
    assert await store.note_night(TAG, 1, NightRecord(missed=3, closed_ms=T0))
    held = NightRecord(commitment="c1", sealed="s1", fence=2, missed=3, closed_ms=T0)
    assert await store.enter_night(TAG, 2, "c2", "s2") == held
    assert await store.note_night(TAG, 1, NightRecord(missed=4)) is False
    assert await store.enter_night(TAG, 1, "c1", "s1") is None
    assert (await store.nights([TAG]))[0].missed == 3
    assert await store.note_night(TAG, 3, NightRecord(missed=4)) is False, "nor who never entered"


async def test_a_list_is_frozen_once(store: Store) -> None:
    await store.enter_night(TAG, 1, "c1", "s1")
    assert await store.freeze(TAG, 1, 0, b"\x00a", 60_000) == "kept"
    assert await store.freeze(TAG, 1, 1, b"b", 60_000) == "kept"
    await store.enter_night(TAG, 2, "c1", "s1")
    assert await store.freeze(TAG, 1, 1, b"x", 60_000) == "stale"
    assert await store.freeze(TAG, 2, 0, b"c", 60_000) == "kept"
    assert [await store.frozen(TAG, part) for part in (0, 1)] == [b"c", None], "begun anew"
    await store.note_night(TAG, 2, NightRecord(list_root="r"))
    assert await store.freeze(TAG, 2, 0, b"d", 60_000) == "frozen"
    assert await store.frozen(TAG, 0) == b"c"
    client: Any = store.client
    assert 0 < await client.pttl(key("frozen", TAG)) <= 60_000


async def test_the_seeds_of_nights_to_come_are_fixed_where_there_are_none(store: Store) -> None:
    assert await store.commit_night(TAG, "c1", "s1")
    assert not await store.commit_night(TAG, "c2", "s2")
    assert await store.commit_night(ON, "c2", "s2")
    assert [(night.commitment, night.sealed) for night in await store.nights([TAG, ON])] == [("c1", "s1"), ("c2", "s2")]


async def test_a_seed_that_an_earlier_version_has_fixed_stays(store: Store) -> None:
    client: Any = store.client
    await client.hset(key("night", TAG), "seed", "ab" * 32)
    assert not await store.commit_night(TAG, "c1", "s1")
    assert await store.enter_night(TAG, 1, "c1", "s1") == NightRecord(seed="ab" * 32, fence=1)


# passes_alive


async def test_who_may_still_register(store: Store) -> None:
    store.now_ms = T0
    assert await store.passes_alive(TAG) == (T0, 0)
    client: Any = store.client
    await client.zadd(key("passes", TAG), {"1": T0, "2": T0 + 1})
    assert await store.passes_alive(TAG) == (T0, 1), "one that ends now is over"


# take, settle, vacate: who takes a matter up again is not overtaken by who finishes it


async def test_a_slot_taken_again_is_noted_again(store: Store) -> None:
    slot = RosterEntry("A", RESIDENT, "T1", "am", "cho")
    await store.keep_capacity(ON, {Slot("T1", "am", "cho"): 1})
    store.now_ms = T0
    assert await store.take([(ON, slot)]) == [("taken", T0)]
    store.now_ms = T0 + 60_000
    assert await store.take([(ON, slot)]) == [("again", T0 + 60_000)]
    assert [note.since_ms for note in (await store.open_changes([ON]))[0]] == [T0 + 60_000]
    assert await store.vacate(ON, "A", T0) is False, "who reconciles has read the earlier note"
    await store.settle([(ON, "A", T0)])
    assert len((await store.open_changes([ON]))[0]) == 1
    assert await store.on_roster(ON, "A") == slot
    await store.settle([(ON, "A", T0 + 60_000)])
    assert await store.open_changes([ON]) == [[]]
    assert await store.vacate(ON, "A", T0) is True, "settled since: what is followed is the registration"
    assert await store.used([ON]) == [{("T1", "am", "cho"): (1, 0)}]


# book, pass_over: wishes changed since


async def test_what_was_frozen_does_not_override_later_wishes(store: Store) -> None:
    await registered(store)
    store.now_ms = T0 + 5
    assert await store.amend(CHANGE, {"not_before": "2021-07-03"}) == "amended"
    assert await book(store, night="2021-06-22", leaf=1, frozen_ms=T0 + 4) == "other"
    passed = PassedOver(RESIDENT, "A", "2021-06-22", 1, "full", "", frozen_ms=T0 + 4)
    assert await store.pass_over([passed], 3) == ["other"]
    assert "night" not in await store.registration_fields(RESIDENT)
    assert await store.pass_over([passed._replace(frozen_ms=T0 + 5)], 3) == ["passed"]
    assert await book(store, night="2021-06-22", leaf=1, frozen_ms=T0 + 5) == "booked"


async def test_what_was_given_and_taken_away_in_one_night_says_so(store: Store) -> None:
    await registered(store)
    await book(store, night="2021-06-22", leaf=4)
    await store.reopen(CHANGE, SLOT, "停电")
    lost = PassedOver(RESIDENT, "A", "2021-06-22", 4, "withdrawn", "", withdrawn=True)
    assert await store.pass_over([lost], 3) == ["passed"]
    assert await store.pass_over([lost], 3) == ["again"]
    kept = await store.registration_fields(RESIDENT)
    assert (kept["why_not"], kept["nights"], kept["priority"]) == ("withdrawn", "1", "1")


# reopen: a no-show that the site's closure excuses


async def missed_before(store: Store, count: int, *, charge: bool) -> str:
    """An appointment is missed by who had missed so many before; what came of it."""
    await registered(store)
    await book(store)
    client: Any = store.client
    await client.set(key("no_shows", resident_tag(RESIDENT)), count)
    ((status, _),) = known(await store.miss([(CHANGE, charge)], SLOT.day, 2))
    return status


async def test_a_closed_site_takes_the_no_show_back(store: Store) -> None:
    assert await missed_before(store, 1, charge=True) == "missed"
    assert await store.reopen(CHANGE, SLOT._replace(period="pm"), "x") == "other"
    assert await store.reopen(CHANGE, SLOT, "停电") == "reopened"
    kept, life = await store.registration_fields(RESIDENT), await store.history(RESIDENT)
    assert (kept["state"], life.no_shows, await stop(store)) == ("proposed", 1, "open A")
    assert "charged" not in kept and "closed_ms" not in kept


async def test_and_the_bar_that_came_of_it(store: Store) -> None:
    assert await missed_before(store, 2, charge=True) == "barred"
    assert await store.reopen(CHANGE, SLOT, "停电") == "unbarred"
    assert (await stop(store), (await store.history(RESIDENT)).no_shows) == ("open A", 2)


async def test_who_was_not_charged_has_nothing_taken_back(store: Store) -> None:
    assert await missed_before(store, 1, charge=False) == "missed"
    assert await store.reopen(CHANGE, SLOT, "停电") == "reopened"
    assert (await store.history(RESIDENT)).no_shows == 1


async def test_an_appointment_ends_the_nights_in_vain(store: Store) -> None:
    await registered(store)
    for night in ("2021-06-20", "2021-06-21"):
        await store.pass_over([PassedOver(RESIDENT, "A", night, 1, "full", "2021-05-01")], 3)
    await book(store, night="2021-06-22", leaf=1)
    kept = await store.registration_fields(RESIDENT)
    assert not {"nights", "why_not", "reached"} & kept.keys()
    await store.reopen(CHANGE, SLOT, "停电")
    assert await store.pass_over([PassedOver(RESIDENT, "A", "2021-06-23", 1, "full", "")], 3) == ["passed"], (
        "not the third"
    )


# called


async def test_a_call_stands_in_the_audit_log(store: Store) -> None:
    await registered(store)
    assert await store.called(Change(RESIDENT, "A", "operator"), "will come") is True
    assert await store.called(Change(RESIDENT, "B", "operator"), "x") is False
    assert [(line.no, line.state, line.actor, line.why) for line in (await store.history(RESIDENT)).events] == [
        ("A", "called", "operator", "will come")
    ]
