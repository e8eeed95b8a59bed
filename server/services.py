"""Everything a worker runs, wired together once."""

import asyncio
import contextlib
import hmac
import os
import platform
import random
import signal
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import msgspec
import structlog

from server import __version__
from server.access.helpers import HelperTokens
from server.access.lane import Lane
from server.access.one_time_codes import Access
from server.access.pass_tokens import PassTokens
from server.appointments.appointments import Appointments
from server.appointments.desk import Desk
from server.appointments.looking_up import LookUps
from server.appointments.shared_numbers import SharedNumbers
from server.appointments.sites import Sites
from server.appointments.staff import StaffTokens
from server.appointments.undoing import Undoing
from server.appointments.unmatched import Unmatched
from server.core.city import City, load_city
from server.core.clock import Clock
from server.core.encryption import Cipher, SeedCipher
from server.core.errors import SetupError, StoreUnavailable
from server.core.keys import Pepper
from server.core.metrics import Metrics
from server.core.settings import Settings
from server.core.tokens import Signer
from server.fairness.line_numbers import LineNumbers
from server.messages.gateways import FileGateway
from server.messages.sender import Sender
from server.night.lottery import Lottery
from server.night.outlook import Outlooks
from server.night.published import Published
from server.night.run import Night
from server.operations.importing.upload import CapacityUpload
from server.operations.interventions import Operations
from server.operations.overview import Overview
from server.operations.public_log import PublicLog
from server.operations.store_figures import StoreFigures
from server.records.scripts import SCRIPTS
from server.registrations.registrations import Registrations
from server.registry.guesses import Guesses
from server.registry.registry import Registry
from server.store.connection import Connection
from server.store.setup import follow_city, keep_time, open_store, patiently
from server.waiting_room.draws import Draws
from server.waiting_room.room import WaitingRoom

if TYPE_CHECKING:
    from server.waiting_room.relays import Relays

log = structlog.get_logger()

_PATIENCE_SECONDS = 30
_READY_SECONDS = 0.2


class Services(msgspec.Struct, frozen=True):
    """The services of one worker; `sms_file`: where test messages go, where there is no provider."""

    city: City
    clock: Clock
    connection: Connection
    room: WaitingRoom
    registrations: Registrations
    appointments: Appointments
    desk: Desk
    look_ups: LookUps
    undoing: Undoing
    unmatched: Unmatched
    overview: Overview
    operations: Operations
    capacity_upload: CapacityUpload
    access: Access
    pass_tokens: PassTokens
    sender: Sender
    staff_tokens: StaffTokens
    helper_tokens: HelperTokens
    lane: Lane
    sites: Sites
    published: Published
    night: Night
    outlooks: Outlooks
    public_log: PublicLog
    metrics: Metrics
    store_figures: StoreFigures
    guesses: Guesses
    sms_file: str | None

    async def ready(self) -> None:
        """The store takes writes, and what is told of it is fresh.

        Raises:
            StoreUnavailable: else.
        """
        await self.connection.ping()
        if not self.room.fresh():
            raise StoreUnavailable

    def at_the_store(self) -> dict[str, int]:
        """How many requests of each call wait for the store, or for company on the way to it."""
        return self.room.at_the_store() | {"register": self.registrations.at_the_store()}

    async def tell_when_ready(self, tell: Callable[[], None]) -> None:
        """Call `tell` as soon as this worker is ready for the first time."""
        while True:
            with contextlib.suppress(StoreUnavailable):
                await self.ready()
                return tell()
            await asyncio.sleep(_READY_SECONDS)


def wire(settings: Settings, city: City, connection: Connection, clock: Clock) -> Services:
    """Put the services together around a store and a clock."""
    signer = Signer(settings.secrets)
    pepper, cipher = Pepper(settings.pepper, city.papers.same_name), Cipher(settings.secrets)
    metrics = Metrics(connection.scripts, SCRIPTS)
    metrics.runs(__version__, platform.python_version())
    guesses = Guesses(city, connection, metrics)
    registry = Registry(city, connection, pepper, cipher, guesses)
    draws = Draws(connection, clock, pepper, SeedCipher(settings.secrets), _relays(city, clock))
    room = WaitingRoom(city, connection, clock, signer, registry, guesses, draws)
    sites = Sites(city, connection)
    appointments = Appointments(city, connection, clock)
    unmatched = Unmatched(city, connection, clock, appointments)
    shared = SharedNumbers(connection, appointments)
    undoing = Undoing(city, connection, clock, unmatched, shared)
    published = Published(settings.results_dir, LineNumbers(settings.pepper))
    # from the pepper, which no rotation of secrets changes: heads are checked by one key for good
    public_log = PublicLog(city, connection, room, hmac.digest(settings.pepper, b"jiaohao public log", "sha256"))
    registrations = Registrations(
        city, connection, clock, signer, registry, room, sites, appointments, published, public_log.head
    )
    sender = Sender(city, connection, clock, cipher, pepper, sites)
    overview = Overview(city, connection, clock, room)
    return Services(
        city=city,
        clock=clock,
        connection=connection,
        room=room,
        registrations=registrations,
        appointments=appointments,
        desk=Desk(city, connection, clock, cipher, appointments, unmatched, shared, undoing),
        look_ups=LookUps(city, connection, clock, pepper, cipher, registry, undoing),
        undoing=undoing,
        unmatched=unmatched,
        overview=overview,
        operations=Operations(city, connection, cipher),
        capacity_upload=CapacityUpload(city, connection, clock),
        access=Access(city, connection, clock, pepper, cipher, registry, registrations, sender, guesses),
        pass_tokens=PassTokens(city.log_name, settings.secrets, settings.pepper),
        sender=sender,
        helper_tokens=HelperTokens(signer, clock),
        lane=Lane(city, connection, clock, registry, room, registrations),
        staff_tokens=StaffTokens(signer, clock, sites, settings.operator_token),
        sites=sites,
        published=published,
        night=Night(city, connection, clock, appointments, published, lottery_of(settings, city, clock)),
        outlooks=Outlooks(city, connection, clock),
        public_log=public_log,
        metrics=metrics,
        store_figures=StoreFigures(city, connection, clock, overview),
        guesses=guesses,
        sms_file=str(settings.sms_file) if settings.sms_file else None,
    )


def lottery_of(settings: Settings, city: City, clock: Clock) -> Lottery:
    """What the nights' lots are drawn from."""
    return Lottery(SeedCipher(settings.secrets), city.beacon_chain, _relays(city, clock))


def _relays(city: City, clock: Clock) -> "Relays | None":
    if city.beacon is None:
        return None
    from server.waiting_room.relays import Relays  # with a client for HTTP, which few workers need

    return Relays(city.beacon, clock)


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Services]:
    """The services, following the store until the end of the context.

    Raises:
        SetupError: the city file is wrong, or no store answers within half a minute.
    """
    city = load_city(settings.city_file)
    # It may be restarting, as it was looked at before this worker was started.
    connection = await patiently(lambda: open_store(settings), _PATIENCE_SECONDS)
    services = wire(settings, city, connection, Clock(settings.offset_ms))
    with contextlib.suppress(StoreUnavailable):  # it may be restarting: then the loops below catch up
        await follow_city(connection, services.clock)
        await services.room.tick()
    if unreadable := services.room.unreadable():
        await connection.close()
        raise SetupError(
            f"the seed of {unreadable[0]} is sealed with a secret that is not here: start with the JIAOHAO_SECRET "
            "that it was begun with, or name that one in JIAOHAO_PREVIOUS_SECRETS"
        )
    work = [
        services.room.run(),
        services.room.keep_telling(),
        services.public_log.run(),
        _flush_until_orphaned(services),
        _reconcile(services),
        keep_time(connection, services.clock),
    ]
    if settings.sms_file is not None:
        work.append(services.sender.run(FileGateway(settings.sms_file), f"worker-{os.getpid()}"))
    tasks = [asyncio.create_task(each) for each in work]
    for task in tasks:
        task.add_done_callback(_report_end)
    try:
        yield services
    finally:
        await services.access.settled()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await connection.close()


async def _reconcile(services: Services) -> None:
    """Finish what a crash left between two keys: at the start, and every few minutes, each worker at its own time."""
    while True:
        pause_s = random.uniform(240, 360)  # noqa: S311
        try:
            await services.appointments.reconcile()
        except StoreUnavailable:
            pause_s = 1
        except Exception:
            log.exception("reconciling failed")
        await asyncio.sleep(pause_s)


def _report_end(task: asyncio.Task[None]) -> None:
    """A worker's tasks run until it ends; one that ended before must be heard of."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task ended", task=str(task.get_coro()), error=type(error).__name__)


async def _flush_until_orphaned(services: Services) -> None:
    """Hand over what was counted, and leave when the process that started this worker is gone (it cannot stop us)."""
    parent = os.getppid()
    while True:
        await asyncio.sleep(0.5)
        services.metrics.flush(services.room.figures(), services.at_the_store())
        services.metrics.take_over(services.connection.tallies)
        with contextlib.suppress(StoreUnavailable):
            await services.guesses.flush()
        if os.getppid() != parent:
            log.error("parent process is gone, leaving")
            os.kill(os.getpid(), signal.SIGTERM)
            return
