"""The lane for helped residents: the same draw, the same line, the same rules, and every act on record.

A helper brings a resident's papers and says who agreed to it. The resident gets the place that they would have got by
themselves: the join is everyone's. What is the lane's own are its limits, so that it never crowds out the others, and
its records: what the helper did stands in the day's acts, and the help in the resident's history.
"""

import contextlib
from datetime import datetime
from typing import assert_never

import msgspec
import structlog

from server.access.helpers import Helper
from server.access.lane_store import LaneStore
from server.appointments.act_store import ActStore
from server.core.city import City
from server.core.clock import Clock
from server.core.errors import Overloaded, Refusal, StoreUnavailable
from server.core.keys import opening_tag, registration_no
from server.core.languages import Language
from server.core.tokens import Token
from server.records.acts import Act, Consent
from server.records.registration import WishesAndConsent
from server.registrations.receipts import Registered
from server.registrations.registrations import Registrations
from server.registry.registry import Applicant, Registry
from server.store.connection import Connection
from server.waiting_room.room import TicketIssued, WaitingRoom

log = structlog.get_logger()


class Helped(Applicant, frozen=True, kw_only=True):
    """A resident's papers as a helper typed them; `consent`: who agreed to being helped."""

    consent: Consent


class HelpedWishes(WishesAndConsent, frozen=True, kw_only=True):
    """What a resident asks for by a helper; `lang`: of the messages that they will get."""

    pass_: str = msgspec.field(name="pass")
    lang: Language = "zh"


class Lane:
    """Joins, claims, registers and leaves for others.

    Args:
        city: the lane's limits.
        connection: what the lane has brought, and who did it.
        clock: city time.
        registry: who is who.
        room: the openings.
        registrations: takes them.
    """

    def __init__(
        self,
        city: City,
        connection: Connection,
        clock: Clock,
        registry: Registry,
        room: WaitingRoom,
        registrations: Registrations,
    ) -> None:
        self._city = city
        self._lane_store = LaneStore(connection)
        self._act_store = ActStore(connection)
        self._clock = clock
        self._registry = registry
        self._room = room
        self._registrations = registrations

    async def join(self, helper: Helper, code: str, typed: Helped) -> tuple[TicketIssued, bool]:
        """A place for a resident, as if they had joined by themselves; (what to tell them, whether it is new).

        Raises:
            Refusal: as joining; `too-many-requests` where the lane has brought as many, or as fast, as it may.
        """
        opening = self._room.opening(code)
        one = await self._registry.whose(typed)
        resident = one.resident
        if opening.opens_ms <= self._clock.now_ms() < opening.closes_ms:
            await self._take(helper, opening.tag, opening.closes_ms, resident, typed.consent)
        try:
            place, fresh = await self._room.join(code, typed)
        except (StoreUnavailable, Overloaded):  # what became of it is not known: the next try finds the place taken
            raise
        except Refusal as refusal:
            with contextlib.suppress(StoreUnavailable):
                if await self._lane_store.unassist(opening.tag, helper.actor, resident):
                    await self._note(opening.tag, helper, "join", consent=typed.consent, why=refusal.code)
            raise
        no = registration_no(opening.district.no, opening.day, place.entry, opening.window)
        await self._note(opening.tag, helper, "join", no=no, consent=typed.consent)
        await self._lane_store.note_help(resident, no, helper.actor, "join")
        return place, fresh

    async def _take(self, helper: Helper, tag: str, closes_ms: int, resident: bytes, consent: Consent) -> None:
        status, wait_ms = await self._lane_store.assist(tag, helper.actor, resident, consent, self._city.assist)
        match status:
            case "taken" | "again":
                return
            case "slow" | "all_slow":
                reason = "lane-slow"
                wait_s = -(-wait_ms // 1000)
            case "full" | "all_full":
                reason = "lane-full"
                log.warning("lane is full", tag=tag, actor=helper.actor, status=status)
                wait_s = max(1, (closes_ms - self._clock.now_ms()) // 1000)
            case _:
                assert_never(status)
        raise Refusal("too-many-requests", retry_after_seconds=wait_s, reason=reason)

    async def claim(self, helper: Helper, ticket: str) -> tuple[str, datetime, bool]:
        """The pass of a resident whose turn it is.

        Raises:
            Refusal: as claiming; `not-found`: nobody of this organisation joined for them.
        """
        token, opening = self._room.read_ticket(ticket)
        await self._check(helper, opening.tag, token)
        claimed = await self._room.claim(ticket)
        await self._note(opening.tag, helper, "claim", no=self._number(token))
        return claimed

    async def register(self, helper: Helper, asked: HelpedWishes) -> tuple[Registered, bool]:
        """A resident's registration.

        Raises:
            Refusal: as registering; `not-found`: nobody of this organisation joined for them.
        """
        token, _ = self._room.read_pass(asked.pass_)
        tag = opening_tag(token.district, token.day, token.window)
        await self._check(helper, tag, token)
        told, fresh = await self._registrations.register(token, asked, asked.lang)
        await self._note(tag, helper, "register", no=told.registration_no)
        await self._lane_store.note_help(token.resident, told.registration_no, helper.actor, "register")
        return told, fresh

    async def leave(self, helper: Helper, ticket: str) -> None:
        """Give a resident's place up, as they wish.

        Raises:
            Refusal: as leaving; `not-found`: nobody of this organisation joined for them.
        """
        token, opening = self._room.read_ticket(ticket)
        await self._check(helper, opening.tag, token)
        await self._room.leave(ticket)
        await self._note(opening.tag, helper, "leave", no=self._number(token))

    async def _check(self, helper: Helper, tag: str, token: Token) -> None:
        """A colleague may go on where another has stopped; another organisation may not."""
        by = await self._lane_store.helper_of(tag, token.resident)
        if not by.startswith(f"assist/{helper.organisation}/"):
            raise Refusal("not-found", reason="not-helped")

    async def _note(
        self, tag: str, helper: Helper, act: str, *, no: str = "", consent: str = "", why: str = ""
    ) -> None:
        await self._act_store.note_act(
            tag, Act(self._clock.now_ms(), helper.actor, act, no=no, consent=consent, why=why)
        )

    def _number(self, token: Token) -> str:
        """The number that the registration of this place has, or would have."""
        district = self._city.district(token.district)
        return registration_no(district.no, token.day, token.entry, token.window) if district else ""
