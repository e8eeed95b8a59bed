"""Calls of a resident's scripts, as tests make them: few words, times passed in."""

from server.records.fields import Arg
from server.records.registration import Appointment, NewRegistration
from server.records.registration_changes import Booking, Change, RegisterAnswer
from server.records.statuses import known
from tests.support.stores import Store

T0 = 1_624_060_800_000  # 2021-06-19 08:00 in Guangzhou
PASS_UNTIL = T0 + 600_000
CANCEL_BEFORE = T0 + 36 * 3_600_000
SLOT = Appointment("T1", "2021-06-21", "am")
FIRST_DOSE = "2021-05-01"


def r(i: int) -> bytes:
    """The resident key of this index."""
    return i.to_bytes(16, "big")


async def register(store: Store, now: int, no: str, resident: int = 1, **fields: Arg) -> RegisterAnswer:
    store.now_ms = now
    new = NewRegistration(
        r(resident), PASS_UNTIL, no, FIRST_DOSE, {"district": "440106", "date": "2021-06-19", **fields}
    )
    (answer,) = known(await store.register([new]))
    return answer


async def cancel(store: Store, change: Change, day: str = "") -> str:
    """Cancel a registration whose appointment is known to be on this day."""
    return await store.cancel(change, day, 60_000)


async def book(store: Store, change: Change, slot: Appointment, cancel_before_ms: int) -> str:
    (status,) = known(await store.book([Booking(change, slot, cancel_before_ms)]))
    return status


async def miss(store: Store, change: Change, day: str, *, charge: bool) -> tuple[str, int]:
    """Count an appointment of the day as missed; two are borne."""
    (answer,) = known(await store.miss([(change, charge)], day, 2))
    return answer


async def booked(store: Store, no: str = "A", resident: int = 1) -> Change:
    """A registration with an appointment."""
    await register(store, T0, no, resident)
    change = Change(r(resident), no, "night")
    assert await book(store, change, SLOT, CANCEL_BEFORE) == "booked"
    return change


async def stop(store: Store, resident: int = 1) -> str | None:
    return (await store.residents([r(resident)]))[0].stop


async def past(store: Store, resident: int = 1) -> list[tuple[str, str, str, str]]:
    """(number, state, actor, why) of each line of the history."""
    lines = (await store.history(r(resident))).events
    return [(line.no, line.state, line.actor, line.why) for line in lines]
