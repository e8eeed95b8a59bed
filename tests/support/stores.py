"""The stores of all features over one connection, and a time that the test says."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from pytest import MonkeyPatch

from server.access.lane_store import LaneStore
from server.access.store import CodeStore
from server.appointments.act_store import ActStore
from server.appointments.slot_store import SlotStore
from server.appointments.store import AppointmentStore, AttendanceStore
from server.core.keys import key, resident_tag
from server.messages.receipt_store import ReceiptStore
from server.messages.store import OutboxStore
from server.night.store import NightStore
from server.operations.log_store import LogStore
from server.operations.store import OperationStore
from server.records.fields import Arg, fields_of
from server.records.history import History, decode_event
from server.records.slot import RosterEntry
from server.registrations.store import RegistrationStore
from server.registry.store import RegistryStore
from server.store.agreed import Agreement
from server.store.connecting import Client
from server.store.connection import Connection
from server.store.pointers import Pointers
from server.store.registrations import RegistrationReader
from server.store.replicas import Rule
from server.waiting_room.alert_store import AlertStore
from server.waiting_room.store import OpeningStore

FIELDS: Final[dict[str, Arg]] = {
    "district": "440106",
    "date": "2021-06-19",
    "entry": 0,
    "preferences": "[]",
    "accept_any_site": 1,
    "not_before": "",
    "product": "",
}
"""What every version writes of a registration, beside what the script does."""


class Store(
    OpeningStore,
    AlertStore,
    RegistryStore,
    RegistrationReader,
    RegistrationStore,
    Pointers,
    AppointmentStore,
    AttendanceStore,
    SlotStore,
    OutboxStore,
    ReceiptStore,
    NightStore,
    CodeStore,
    LaneStore,
    ActStore,
    OperationStore,
    LogStore,
    Agreement,
    Connection,
):
    """A connection that is also every feature's store: a test hands it to services, and calls scripts on it.

    `now_ms`: what the scripts take for the time; 0 = the store's own.
    """

    def __init__(self, client: Client, offset_ms: int = 0, replicas: Rule = "all") -> None:
        Connection.__init__(self, client, offset_ms, replicas)
        self._connection = self
        self.now_ms = 0

    def clock(self) -> tuple[int, int]:
        """The test's time."""
        return self.now_ms, self.offset_ms

    async def prepare_version_1(self, tag: str, *, seed: bytes, night_seed: bytes = b"n" * 32, **plan: Any) -> bool:
        """An opening and its night as they were prepared before the draw's second version; such ones go on."""
        nothing: dict[str, Any] = dict.fromkeys(
            ("beacon", "commitment", "sealed", "night_commitment", "night_sealed"), ""
        )
        is_new = await self.prepare(tag, **nothing, **plan)
        await self.plain([("HSETNX", key("night", tag), "seed", night_seed.hex())])
        await self.plain([("HSETNX", key("opening", tag), "seed", seed.hex())])
        await self.plain([("HDEL", key("opening", tag), "version", "commitment", "sealed", "beacon")])
        return is_new

    async def registration_fields(self, resident: bytes) -> dict[str, str]:
        """A resident's registration field for field, as it is stored; empty where there is none."""
        (answer,) = await self.plain([("HGETALL", key("registration", resident_tag(resident)))])
        return fields_of(answer)

    async def history(self, resident: bytes) -> History:
        """What happened to a resident's registrations."""
        tag = resident_tag(resident)
        lines, count, stop = await self.plain(
            [("LRANGE", key("history", tag), 0, -1), ("GET", key("no_shows", tag)), ("GET", key("stop", tag))]
        )
        return History([decode_event(line) for line in lines], int(count or 0), stop == b"barred")

    async def on_roster(self, tag: str, no: str) -> RosterEntry | None:
        """The slot that a registration has on the day."""
        return next((entry for entry in await self.roster(tag) if entry.no == no), None)

    async def count_entries(self, districts: Sequence[str]) -> int:
        """How many codes and pointers are in the outbox now."""
        return sum(backlog.codes + backlog.waiting for backlog in await self.backlogs(districts))

    @property
    def client(self) -> Client:
        """To look, and to break things."""
        return self._client


def swap(monkeypatch: MonkeyPatch, store: Store, name: str, instead: Callable[..., Any]) -> None:
    """Let whoever works on this store's connection call something else in the place of a method, for a test's time."""
    owner: Any = next(each for each in Store.__mro__ if name in vars(each))
    real = vars(owner)[name]

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return instead(*args, **kwargs) if self._connection is store else real(self, *args, **kwargs)

    monkeypatch.setattr(owner, name, method)
