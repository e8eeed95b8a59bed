"""A pass becomes a registration, once."""

import asyncio
import contextlib
from typing import assert_never

from server.core.city import City
from server.core.errors import Overloaded, Refusal
from server.core.keys import registration_no
from server.core.languages import Language
from server.core.tokens import Token
from server.records.first_dose import FirstDoseRecord
from server.records.history import History
from server.records.registration import NewRegistration, Registration, WishesAndConsent
from server.records.registration_changes import NotRegistered, RegisterAnswer
from server.registrations.receipts import Receipts, Registered
from server.registrations.store import RegistrationStore
from server.registrations.views import Views
from server.registrations.wishes import WishRules
from server.registry.registry import Registry
from server.store.coalescer import Coalescer
from server.store.connection import Connection
from server.store.pointers import Pointers
from server.store.registrations import RegistrationReader
from server.waiting_room.room import WaitingRoom


class Registering:
    """Takes registrations.

    Args:
        city: districts.
        connection: where registrations are.
        registry: first-dose dates.
        room: frees the pass.
        rules: what may be wished for.
        views: shows what was kept.
        receipts: go with it.
    """

    def __init__(
        self,
        city: City,
        connection: Connection,
        registry: Registry,
        room: WaitingRoom,
        rules: WishRules,
        views: Views,
        receipts: Receipts,
    ) -> None:
        self._city = city
        self._pointers = Pointers(connection)
        self._reader = RegistrationReader(connection)
        self._registry = registry
        self._room = room
        self._rules = rules
        self._views = views
        self._receipts = receipts
        self._writes: Coalescer[NewRegistration, RegisterAnswer] = Coalescer(
            RegistrationStore(connection).register, max_batch=256, max_calls=2, linger_s=0.005
        )
        self._after: Coalescer[Token, None] = Coalescer(self._follow_up, max_batch=256, linger_s=0.05)

    async def register(self, token: Token, wishes: WishesAndConsent, lang: Language) -> tuple[Registered, bool]:
        """Store a registration; (what to tell its holder, whether it is new). Answers once it is on disk.

        Args:
            token: the pass, read.
            wishes: what is asked for.
            lang: of the messages to come.

        Raises:
            Refusal: `forged`, `expired`, `used`, `already-registered`, `invalid`, ...
        """
        self._rules.check_periods(wishes)
        district = self._city.district(token.district)
        if district is None:
            raise Refusal("forged")
        no = registration_no(district.no, token.day, token.entry, token.window)
        consent = self._rules.check_consent(wishes.consent)
        kept = await self._rules.checked(district, no, wishes)
        known = await self._registry.first_dose(token.resident)
        await self._check_still_eligible(token, no, known)

        def registration(registered_ms: int) -> Registration:
            return Registration(
                no=no,
                state="proposed",
                registered_ms=registered_ms,
                district=token.district,
                opening_day=token.day,
                entry=token.entry,
                preferences=kept.preferences,
                accept_any_site=kept.accept_any_site,
                not_before=kept.not_before,
                together=kept.together,
                consent=consent,
                first_dose=known.date if known else None,
                product=known.product if known else "",
                lang=lang,
            )

        new = NewRegistration.of(token.resident, token.expires_s * 1000, registration(0))
        status, registered_ms, _, no_shows = await self._writes.submit(new)
        if status != "registered" and status != "again":
            raise _not_registered(status, has_first_dose=bool(new.first_dose))
        # The registration is the authority. What follows from it must not delay the answer, nor refuse it.
        with contextlib.suppress(Overloaded):
            self._after.submit(token).add_done_callback(_retrieve_failure)
        if status == "again":  # what was stored then, and what has become of it, not what was sent now
            view = await self._views.show(no, token.resident)
        else:
            view = await self._views.of(registration(registered_ms), History([], no_shows, barred=False))
        return self._receipts.add(view, token, registered_ms), status == "registered"

    async def _follow_up(self, registered: list[Token]) -> list[None]:
        """Let the outbox know of the messages that are owed (else the night does), and free the passes."""
        with contextlib.suppress(Refusal):
            await self._pointers.write_pointers([(token.district, token.resident) for token in registered])
        await self._room.release(registered)
        return [None] * len(registered)

    def at_the_store(self) -> int:
        """How many wait for the store, or for company on the way to it."""
        return self._writes.load

    async def settled(self) -> None:
        """What the registrations so far have brought with them is done."""
        while self._after.load:  # noqa: ASYNC110  (for tests; nobody else waits for it)
            await asyncio.sleep(0.01)

    async def _check_still_eligible(self, token: Token, no: str, known: FirstDoseRecord | None) -> None:
        """An import may have come between joining and this. Who has registered is not asked again.

        Raises:
            Refusal: `not-eligible`.
        """
        try:
            self._registry.check_eligible(known, token.district, token.day)
        except Refusal:
            if await self._reader.numbers([token.resident]) != [no]:
                raise


def _not_registered(status: NotRegistered, *, has_first_dose: bool) -> Refusal:
    """Why the store has kept no registration."""
    match status:
        case "open":
            return Refusal("already-registered")
        case "barred":
            return Refusal("barred")
        case "done":
            return Refusal("not-eligible", reason="complete" if has_first_dose else "given", eligible_from=None)
        case "used":
            return Refusal("used")
        case "expired":
            return Refusal("expired", state="missed")
        case _:
            assert_never(status)


def _retrieve_failure(done: asyncio.Future[None]) -> None:
    """Nobody waits for it: the night finds the message, and the pass lapses by itself."""
    if not done.cancelled():
        done.exception()
