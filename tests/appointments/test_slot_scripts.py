"""The scripts of a day's slots and of the outbox, each branch, on a standalone server and on a cluster."""

from typing import Any

from server.records.slot import Closure, OpenSlotChange, RosterEntry, Slot
from server.records.statuses import known
from tests.support.stores import Store

TAG = "440106:2021-06-21"
T0 = 1_624_060_800_000


def r(i: int) -> bytes:
    """The resident key of this index; some of its bytes are the separator of the roster's lines."""
    return b"|" * 14 + i.to_bytes(2, "big")


def slot(i: int, period: str = "am", site: str = "T1", product: str = "cho") -> RosterEntry:
    return RosterEntry(f"N{i}", r(i), site, period, product)


async def take(store: Store, wanted: RosterEntry) -> str:
    """Take a slot of the day; the status."""
    ((status, _),) = known(await store.take([(TAG, wanted)]))
    return status


async def used(store: Store, place: str) -> int:
    client: Any = store.client
    return int(await client.hget(f"taken:{{{TAG}}}", place) or 0)


async def test_no_slot_is_given_beyond_its_capacity(store: Store) -> None:
    await store.keep_capacity(TAG, {Slot("T1", "am", "cho"): 2, Slot("T1", "pm", "cho"): 1})
    assert [await take(store, slot(i)) for i in (1, 2, 3)] == ["taken", "taken", "full"]
    assert await take(store, slot(1)) == "again"
    assert await take(store, slot(1, "pm")) == "other", "nobody has two slots of a day"
    assert await take(store, RosterEntry("N1", r(9), "T1", "am", "cho")) == "other", "nor under another's number"
    assert await take(store, slot(4, product="inactivated")) == "full", "a vaccine the site has not got"
    assert await take(store, slot(4, site="T9")) == "full"
    assert await used(store, "T1|am|cho") == 2
    assert await store.roster(TAG) and {t.no for t in await store.roster(TAG)} == {"N1", "N2"}
    assert await store.on_roster(TAG, "N2") == slot(2)
    assert await store.on_roster(TAG, "N3") is None


async def test_nobody_is_thrown_out_where_capacity_is_lowered(store: Store) -> None:
    await store.keep_capacity(TAG, {Slot("T1", "am", "cho"): 2})
    await take(store, slot(1))
    await take(store, slot(2))
    await store.keep_capacity(TAG, {Slot("T1", "am", "cho"): 1})
    assert await store.vacate(TAG, "N1") is True
    assert await take(store, slot(3)) == "full", "one is still more than none"
    assert {t.no for t in await store.roster(TAG)} == {"N2"}


async def test_a_slot_is_freed_once(store: Store) -> None:
    store.now_ms = T0
    await store.keep_capacity(TAG, {Slot("T1", "am", "cho"): 1})
    await take(store, slot(1))
    assert await store.open_changes([TAG, "440106:2021-06-22"]) == [[OpenSlotChange("N1", r(1), T0)], []]
    assert await store.vacate(TAG, "N1") is True
    assert await store.vacate(TAG, "N1") is False
    assert await used(store, "T1|am|cho") == 0
    assert await store.open_changes([TAG]) == [[]]
    assert await take(store, slot(2)) == "taken"


async def test_a_slot_is_unsettled_until_its_registration_agrees(store: Store) -> None:
    await store.keep_capacity(TAG, {Slot("T1", "am", "cho"): 1})
    store.now_ms = T0
    await take(store, slot(1))
    assert [s.no for s in (await store.open_changes([TAG]))[0]] == ["N1"]
    await store.settle([(TAG, "N1", 0)])
    assert await store.open_changes([TAG]) == [[]]
    assert await store.on_roster(TAG, "N1") == slot(1)
    store.now_ms = T0 + 5
    await store.unsettle(TAG, "N1", r(1))
    assert await store.open_changes([TAG]) == [[OpenSlotChange("N1", r(1), T0 + 5)]]
    assert await store.on_roster(TAG, "N1") == slot(1)


async def test_a_closed_site_gives_no_slots_and_names_those_to_send_back(store: Store) -> None:
    await store.keep_capacity(
        TAG,
        {
            Slot("T1", "am", "cho"): 9,
            Slot("T1", "pm", "cho"): 9,
            Slot("T11", "am", "cho"): 9,
            Slot("T1", "am", "inactivated"): 9,
        },
    )
    wanted = [slot(1), slot(2, product="inactivated")]
    for each in (*wanted, slot(3, "pm"), slot(4, site="T11")):
        assert await take(store, each) == "taken"
    store.now_ms = T0
    status, waiting = await store.close_site(TAG, "T1/boss", "T1", "am", 'a "flood"')
    assert (status, sorted(waiting)) == ("closed", [("N1", r(1)), ("N2", r(2))])
    assert await take(store, slot(5)) == "closed"
    assert await take(store, slot(5, "pm")) == "taken"
    await store.vacate(TAG, "N1")
    store.now_ms = T0 + 1
    assert await store.close_site(TAG, "T1/other", "T1", "am", "again") == ("again", [("N2", r(2))])
    assert await store.closure(TAG, "T1", "am") == Closure(T0, "T1/boss", 'a "flood"')
    assert await store.closure(TAG, "T1", "pm") is None
    (closures,) = await store.closures([TAG])
    assert closures == {("T1", "am"): Closure(T0, "T1/boss", 'a "flood"')}, "the first word stands"
    client: Any = store.client
    ((_, logged),) = await client.xrange(f"audit:{{{TAG}}}")
    assert {k.decode(): v.decode() for k, v in logged.items()} == {
        "at_ms": str(T0), "actor": "T1/boss", "closed": "T1|am", "reason": 'a "flood"',
    }  # fmt: skip


async def test_who_is_behind_a_number(store: Store) -> None:
    client: Any = store.client
    opening = "440106:2021-06-19"
    await client.hset(f"claims:{{{opening}}}", "7", r(7) + b"0")
    assert await store.holder(opening, 7, "440106", "N7") == r(7)
    assert await store.holder(opening, 8, "440106", "N8") is None
    await store.note_bar("440106", "N8", r(8))
    assert await store.holder(opening, 8, "440106", "N8") == r(8), "found after the opening was deleted, too"
    await store.note_bar("440106", "N7", r(9))
    assert await store.holder(opening, 7, "440106", "N7") == r(9), "a roll-back may have had the entry claimed twice"
    await store.forget_bar("440106", "N8")
    assert await store.holder(opening, 8, "440106", "N8") is None


# outbox


async def test_a_message_is_owed_until_it_is_sent(store: Store) -> None:
    districts = ["440106", "440111"]
    await store.enqueue_code("440106", {"kind": "code", "sealed": b"\xff\x00"})
    await store.open_outbox(districts)
    await store.open_outbox(districts)
    (owed,) = await store.next_entries(districts, "one", 10, 60_000)
    assert (owed.district, owed.fields) == ("440106", {"kind": b"code", "sealed": b"\xff\x00"})
    assert await store.next_entries(districts, "two", 10, 60_000) == [], "somebody has it in hand"
    assert await store.next_entries(districts, "two", 10, 0) == [owed], "and died with it"
    await store.acknowledge([owed])
    assert await store.next_entries(districts, "two", 10, 0) == []
    client: Any = store.client
    assert await client.xlen("outbox:{440106}") == 0


async def test_each_district_has_its_outbox_and_keeps_its_order(store: Store) -> None:
    districts = ["440106", "440111"]
    await store.open_outbox(districts)
    for i in range(6):
        await store.enqueue_code(districts[i % 2], {"n": i})
    found = await store.next_entries(districts, "one", 2, 60_000)
    assert [(o.district, o.fields["n"]) for o in found] == [
        ("440106", b"0"), ("440106", b"2"), ("440111", b"1"), ("440111", b"3"),
    ]  # fmt: skip
    assert [o.fields["n"] for o in await store.next_entries(districts, "one", 2, 60_000)] == [b"4", b"5"]
