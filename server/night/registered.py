"""Who has registered in the openings that no night has looked at yet."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta

from server.core.districts import District
from server.core.keys import opening_tag, opening_tags, registration_no
from server.night.store import NightStore
from server.store.connection import Connection
from server.store.registrations import RegistrationReader

# So far back an opening is looked at that no night has looked at yet; nobody is left out for a few nights' failure.
MOST_DAYS_BACK = 34


class RegisteredOn:
    """Finds them.

    Args:
        connection: where they are.
    """

    def __init__(self, connection: Connection) -> None:
        self._night_store = NightStore(connection)
        self._reader = RegistrationReader(connection)

    async def openings(self, district: District, day: date) -> list[tuple[date, list[int]]]:
        """The days that no night has looked at yet, each with those openings that there have been."""
        (through,) = await self._night_store.through([district.code])
        tags = {each: opening_tags(district.code, each) for each in days_after(through.gathered, day)}
        there = await self._night_store.held([tag for of_day in tags.values() for tag in of_day])
        return [(each, [n for n, tag in enumerate(of_day, 1) if tag in there]) for each, of_day in tags.items()]

    async def is_over(self, tag: str) -> bool:
        """Whether nobody can register in an opening any more, with a pass that the store has forgotten either."""
        now_ms, alive = await self._night_store.passes_alive(tag)
        return not alive and now_ms >= await self._night_store.may_register_until(tag)

    async def of(self, district: District, day: date, windows: Sequence[int]) -> AsyncIterator[list[tuple[str, bytes]]]:
        """(number, resident) of who has registered in a day's openings, and still is, a page at a time.

        The day's list has everybody whose registration is there: it was written with it, and lies on the same node.
        Who has claimed a place is looked at too: the version before kept no such list.
        """
        if not windows:
            return
        ours = f"{district.no:02d}"
        listed: dict[str, bytes] = {}
        async for page in self._night_store.registered(day):
            mine = [(no, resident) for no, resident in page if no[5:7] == ours]
            listed.update(mine)
            yield await self.still(mine)
        for window in windows:
            async for claims in self._night_store.claims(opening_tag(district.code, day, window)):
                claimed = [(registration_no(district.no, day, it.entry, window), it.resident) for it in claims]
                yield await self.still([(no, resident) for no, resident in claimed if listed.get(no) != resident])

    async def still(self, registered: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """Those whose latest registration has this number."""
        latest = await self._reader.numbers([resident for _, resident in registered])
        return [each for each, its in zip(registered, latest, strict=True) if its == each[0]]


def days_after(done: date | None, day: date) -> list[date]:
    """The days after the one up to which something is done (None = never), up to `day`.

    What is said to be done beyond `day` was so before the clock was set back, and counts for nothing.
    """
    first = day - timedelta(days=MOST_DAYS_BACK)
    if done is not None and done <= day:
        first = max(first, done + timedelta(days=1))
    return [first + timedelta(days=n) for n in range((day - first).days + 1)]
