"""The store: what the scripts do to an opening, a resident, a day's slots, the outbox, and a night."""

from server.store.agreed import AgreementStore
from server.store.attendances import AttendanceStore, KeptAttendance, Reconciled
from server.store.connecting import Arg, Client, connect
from server.store.guesses import Compared, Guessed, GuessStore, Limit, Locked
from server.store.imports import ImportStore
from server.store.nights import Claim, Lease, NightStore
from server.store.openings import Advance, Joined, OpeningStore, Place
from server.store.outbox import (
    About,
    Backlog,
    DeadLetter,
    Message,
    Next,
    OutboxStore,
    Owed,
    Pointer,
)
from server.store.receipts import ReceiptStore, Sent
from server.store.residents import (
    Appointment,
    Booking,
    Change,
    Correction,
    FirstDoseRecord,
    Kept,
    Life,
    NewRegistration,
    PassedOver,
    Past,
    Resident,
    ResidentStore,
)
from server.store.slots import Closure, SlotStore, Taken


class Store(
    OpeningStore,
    ResidentStore,
    GuessStore,
    SlotStore,
    OutboxStore,
    ReceiptStore,
    NightStore,
    AttendanceStore,
    ImportStore,
    AgreementStore,
):
    """The store's calls, on a standalone server or a cluster; see `Caller` for the arguments."""


__all__ = [
    "About",
    "Advance",
    "Appointment",
    "Arg",
    "Backlog",
    "Booking",
    "Change",
    "Claim",
    "Client",
    "Closure",
    "Compared",
    "Correction",
    "DeadLetter",
    "FirstDoseRecord",
    "Guessed",
    "Joined",
    "Kept",
    "KeptAttendance",
    "Lease",
    "Life",
    "Limit",
    "Locked",
    "Message",
    "NewRegistration",
    "Next",
    "Owed",
    "PassedOver",
    "Past",
    "Place",
    "Pointer",
    "Reconciled",
    "Resident",
    "Sent",
    "Store",
    "Taken",
    "connect",
]
