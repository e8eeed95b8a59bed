"""Numbers that two residents have, as a roll-back of the store can leave them: found, and told apart at the desk."""

import hashlib
from collections.abc import Sequence

import structlog

from server.appointments.appointments import Appointments
from server.appointments.slot_store import SlotStore
from server.core.errors import Refusal
from server.records.slot import NumberOrigin
from server.store.connection import Connection
from server.store.registrations import RegistrationReader

log = structlog.get_logger()

_HOLDER_DIGITS = 12


class SharedNumbers:
    """Looks whether a number is, or was, a second resident's too.

    Args:
        connection: where registrations are.
        appointments: knows where a number comes from.
    """

    def __init__(self, connection: Connection, appointments: Appointments) -> None:
        self._slot_store = SlotStore(connection)
        self._reader = RegistrationReader(connection)
        self._appointments = appointments

    async def among(self, held: Sequence[tuple[str, bytes]]) -> set[str]:
        """Those of (number, resident key who has it here) that another resident has, or had, as well."""
        known: list[tuple[NumberOrigin, bytes]] = []
        for no, resident in held:
            origin = self._appointments.origin_of(no)
            if origin is not None:
                known.append((origin, resident))
        if not known:
            return set()
        named = await self._slot_store.named([origin for origin, _ in known])
        shared = set()
        for (origin, resident), others in zip(known, named, strict=True):
            for other in others - {resident}:  # nearly never is there one
                if await self._reader.is_number_of(other, origin.no):
                    shared.add(origin.no)
        return shared

    async def check_holder(self, resident: bytes, no: str, holder: str | None, *, site: str, actor: str) -> None:
        """Let nobody act on a number that two have without saying whose is meant, as the roster's line does.

        Args:
            resident: whose appointment it is.
            no: the number.
            holder: what the desk says, if anything.
            site: where, for the log.
            actor: who, for the log.

        Raises:
            Refusal: `not-found`.
        """
        is_meant = holder == holder_of(resident, no)
        if not is_meant and (holder or await self.among([(no, resident)])):
            log.error("a number that two residents have", registration_no=no, site=site, actor=actor)
            raise Refusal("not-found", reason="number-of-two")


def holder_of(resident: bytes, no: str) -> str:
    """What tells the holders of one number apart; it says nothing of them."""
    return hashlib.sha256(resident + no.encode()).hexdigest()[:_HOLDER_DIGITS]
