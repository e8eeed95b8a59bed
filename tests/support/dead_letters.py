"""Messages that the sender gives up."""

from server.records.message import DeadLetter, Next, Pointer
from server.records.statuses import known
from tests.support.serving import TIANHE, House, person


async def in_hand(house: House) -> tuple[Pointer, Next]:
    """The first pointer of the outbox, put there again should it have got lost, and what it leads to."""
    await house.store.open_outbox([TIANHE])
    if not await house.store.count_entries([TIANHE]):
        await house.store.write_pointers([(TIANHE, house.resident(person(0)))])
    owed = (await house.store.next_entries([TIANHE], "sender", 1, 0, "outbox"))[0]
    (found,) = known(await house.store.next_message([Pointer.of(owed)]))
    return Pointer.of(owed), found


async def shelved(house: House) -> str:
    """A message is given up, as the sender does; the name of its pointer."""
    pointer, found = await in_hand(house)
    assert found.message is not None
    assert await house.store.shelve_message(pointer, found.seq)
    it = found.message
    letter = DeadLetter(pointer.resident, found.seq, it.kind, it.no, int(it.at_ms), 9, "ConnectionError")
    await house.store.keep_dead_letter(TIANHE, pointer.name, letter)
    await house.store.acknowledge([pointer.entry])
    return pointer.name
