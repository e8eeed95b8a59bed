"""The store: what the scripts do to an opening, a resident, a day's slots, and the outbox."""

from server.store.caller import Arg, Client, connect
from server.store.openings import Advance, Joined, OpeningStore, Place
from server.store.outbox import OutboxStore, Owed
from server.store.residents import (
    Appointment,
    Change,
    FirstDoseRecord,
    Kept,
    Life,
    NewRegistration,
    Past,
    Resident,
    ResidentStore,
)
from server.store.slots import Closure, SlotStore, Taken


class Store(OpeningStore, ResidentStore, SlotStore, OutboxStore):
    """The store's calls, on a standalone server or a cluster; see `Caller` for the arguments."""


__all__ = [
    "Advance",
    "Appointment",
    "Arg",
    "Change",
    "Client",
    "Closure",
    "FirstDoseRecord",
    "Joined",
    "Kept",
    "Life",
    "NewRegistration",
    "Owed",
    "Past",
    "Place",
    "Resident",
    "Store",
    "Taken",
    "connect",
]
