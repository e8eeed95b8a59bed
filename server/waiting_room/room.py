"""The waiting room: openings, places, polls and passes behind one name. Knows the rules and nothing of HTTP."""

from server.core.city import City
from server.core.clock import Clock
from server.core.tokens import Signer
from server.registry.guesses import Guesses
from server.registry.registry import Registry
from server.store.connection import Connection
from server.waiting_room.alerts import Alerts, Asked
from server.waiting_room.claiming import Claiming
from server.waiting_room.draws import Draws
from server.waiting_room.giving_back import GivingBack
from server.waiting_room.joining import Joining, TicketIssued
from server.waiting_room.openings import Openings
from server.waiting_room.polling import Called, Polling, TicketStatus
from server.waiting_room.tickets import Tickets

__all__ = ["Asked", "Called", "TicketIssued", "TicketStatus", "WaitingRoom"]


class WaitingRoom:
    """Every district's opening of today, behind one store.

    Its calls are those of its parts, bound directly: the hot ones pass through nothing else.

    Args:
        city: districts, windows, policy.
        connection: where the truth is.
        clock: city time.
        signer: signs tickets and passes.
        registry: who is who, and who may register.
        guesses: the limit on wrong papers.
        draws: the openings' draws.
    """

    def __init__(
        self,
        city: City,
        connection: Connection,
        clock: Clock,
        signer: Signer,
        registry: Registry,
        guesses: Guesses,
        draws: Draws,
    ) -> None:
        openings = Openings(city, connection, clock, registry, draws)
        self.run = openings.run
        self.tick = openings.tick
        self.now = openings.now
        self.opening = openings.opening
        self.openings = openings.assigned
        self.figures = openings.figures
        self.at_the_store = openings.at_the_store
        self.next_opens_at = openings.next_opens_at
        self.fresh = openings.fresh
        self.unreadable = openings.unreadable
        self.adjust = openings.adjust

        tickets = Tickets(signer, openings)
        joining = Joining(connection, clock, registry, openings, tickets, guesses, draws)
        self.join = joining.join
        self.check = joining.check

        giving_back = GivingBack(connection, openings)
        self.note_given = giving_back.note_given
        polling = Polling(city, clock, signer, openings, tickets, giving_back)
        self.poll = polling.poll
        self.poll_called = polling.poll_called

        alerts = Alerts(city, connection, clock, openings, tickets)
        self.ask_alerts = alerts.ask
        self.more_time = alerts.more_time
        self.keep_telling = alerts.run
        self.tell_due = alerts.tell_due

        claiming = Claiming(city, connection, clock, signer, openings, tickets, giving_back)
        self.claim = claiming.claim
        self.leave = claiming.leave
        self.read_pass = claiming.read_pass
        self.read_ticket = tickets.read
        self.prove = draws.prove
        self.bound_draw = draws.bound
        self.blinds_from = draws.blinds_from
        self.release = claiming.release
