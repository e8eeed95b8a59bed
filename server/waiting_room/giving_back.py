"""A place that a roll-back has made the store forget: whoever shows its ticket has one again."""

import msgspec
import structlog

from server.core.tokens import Token
from server.records.opening import Place
from server.store.connection import Connection
from server.waiting_room.opening import Opening
from server.waiting_room.openings import Openings
from server.waiting_room.store import OpeningStore

log = structlog.get_logger()


class GivingBack:
    """Gives places back; the signed ticket is the proof.

    Args:
        connection: where places are.
        openings: those of today.
    """

    def __init__(self, connection: Connection, openings: Openings) -> None:
        self._opening_store = OpeningStore(connection)
        self._openings = openings

    async def give_back(self, opening: Opening, ticket: Token) -> Token:
        """The ticket's place as it is: its own where nobody else has it, else the one that its holder has by now, or a
        new one at the back.

        Raises:
            Refusal: the opening gives no place now.
        """
        floors = opening.floors
        floors.reach(issued=ticket.entry + 1)
        place = Place(ticket.entry, opening.number(ticket.entry) or 0, ticket.resident)
        status, entry = await self._opening_store.rejoin(
            opening.tag, place, opening.places_per_person, floors.told.issued
        )
        if status != "rejoined" and status != "kept":
            raise self._openings.no_place(opening, status)
        floors.reach(issued=entry + 1)
        floors.shown(entry)
        if entry == ticket.entry:
            return ticket
        log.warning("place given anew", opening=opening.tag, lost=ticket.entry, entry=entry)
        return msgspec.structs.replace(ticket, entry=entry)

    def note_given(self, registered: Token) -> None:
        """Somebody shows a receipt that the store knows nothing of: its entry was given, as were those before it."""
        for opening in self._openings.today.get(registered.district, ()):
            if (opening.day, opening.window) == (registered.day, registered.window):
                opening.floors.reach(issued=registered.entry + 1)
