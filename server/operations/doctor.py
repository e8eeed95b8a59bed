"""What may be wrong with a set-up, and the cure: looked at from one machine, changing nothing."""

import os
from collections.abc import AsyncIterator

from server.appointments.slot_store import SlotStore
from server.core.city import City
from server.core.clock import from_ms, to_ms
from server.core.errors import SetupError, StoreUnavailable
from server.core.open_files import connections_allowed, files_needed
from server.core.settings import Settings
from server.messages.delivery_report import delivery_report
from server.messages.store import OutboxStore
from server.operations.draw_findings import beacon_findings, seed_findings
from server.operations.python_build import python_finding
from server.operations.store_findings import Finding, clock_findings, store_findings
from server.store.agreed import Agreement
from server.store.connection import Connection
from server.store.nodes import Nodes, refuses

__all__ = ["Finding", "examine"]

_UNSENT_MS = 60_000
# `python -m loadtests.bench idle`
_CONNECTION_KB = 9


async def examine(settings: Settings, city: City, connection: Connection) -> AsyncIterator[Finding]:
    """Look at the store, the clocks, what has been imported, what is owed, seeds, the beacon, and this machine.

    Args:
        settings: of the command.
        city: the city file in force.
        connection: connected.
    """
    looks = (
        ("store", store_findings(settings, connection)),
        ("clocks", _clocks(city, connection)),
        ("sites", _sites(city, connection)),
        ("registry: whether it is made up", _demo(connection)),
        ("registry: whether it is imported", _registry(connection)),
        ("outbox", _outbox(city, connection)),
        ("seeds", seed_findings(settings, city, connection)),
        ("beacon", beacon_findings(city)),
    )
    for what, findings in looks:
        async for finding in _or_note(what, findings):
            yield finding
    yield _secrets(settings)
    yield _connections(settings.connections)
    yield python_finding()
    yield await _smsc()


async def _or_note(what: str, findings: AsyncIterator[Finding]) -> AsyncIterator[Finding]:
    """What is found, or that this user of the store may not look."""
    try:
        async for finding in findings:
            yield finding
    except StoreUnavailable as error:
        if not refuses(error.__cause__):
            raise
        yield Finding("note", f"{what} cannot be seen", "ask as another user of the store: jiaohao doctor --acl")


async def _clocks(city: City, connection: Connection) -> AsyncIterator[Finding]:
    off = False
    async for finding in clock_findings(connection):
        off = True
        yield finding
    if off:
        return
    offset_ms = await Agreement(connection).follow_offset()
    now = from_ms(await Agreement(connection).city_ms(), city.tz)
    days = offset_ms / 86_400_000
    moved = f"; the city's clock is moved by {days:.1f} days, to {now.isoformat()} (--clock)" if offset_ms else ""
    yield Finding("ok", f"clocks: this machine and the store agree{moved}")


async def _sites(city: City, connection: Connection) -> AsyncIterator[Finding]:
    open_ones = [district for district in city.districts if district.windows]
    sites = await SlotStore(connection).sites([district.code for district in open_ones])
    without = [district.name_en for district, found in zip(open_ones, sites, strict=True) if not found]
    if without:
        cure = "jiaohao import sites FILE: residents there can only take any site"
        yield Finding("bad", f"no sites in {', '.join(without)}", cure)
    else:
        yield Finding("ok", f"sites: {sum(map(len, sites))} in {len(open_ones)} districts")


async def _demo(connection: Connection) -> AsyncIterator[Finding]:
    if await Agreement(connection).is_demo():
        cure = "for a real city begin with an empty store, and `jiaohao serve`"
        yield Finding("note", "registry: it has the demo's made-up residents", cure)


async def _registry(connection: Connection) -> AsyncIterator[Finding]:
    async for names in Nodes(connection).walk_keys("registry:*"):
        if names:
            yield Finding("ok", "registry: imported")
            return
    cure = "jiaohao import registry FILE: nobody is eligible for a second dose without it"
    yield Finding("bad", "registry: empty", cure)


async def _outbox(city: City, connection: Connection) -> AsyncIterator[Finding]:
    codes = [district.code for district in city.districts]
    backlogs = await OutboxStore(connection).backlogs(codes)
    owed = sum(each.codes + each.waiting for each in backlogs)
    # Entries carry the store's time, whatever the city's is.
    store_ms = await Agreement(connection).time_ms()
    now = from_ms(store_ms + await Agreement(connection).follow_offset(), city.tz)
    is_quiet = now.time() in city.sms.quiet_hours
    # In quiet hours codes are sent all the same, and the rest is not.
    judged = [each for each in backlogs if each.codes or not is_quiet]
    oldest_ms = min((each.oldest_ms for each in judged if each.oldest_ms is not None), default=store_ms)
    if is_quiet and not judged:
        yield Finding("ok", f"outbox: {owed} messages owed; quiet hours until {city.sms.quiet_hours.ends:%H:%M}")
    elif owed and store_ms - oldest_ms > _UNSENT_MS:
        what = f"outbox: {owed} messages owed, the oldest for {(store_ms - oldest_ms) / 60_000:.0f} minutes"
        yield Finding("bad", what, "nobody sends: start jiaohao notify, or look at its log")
    else:
        yield Finding("ok", f"outbox: {owed} messages owed")
    if dead := sum(each.dead for each in backlogs):
        yield Finding("bad", f"outbox: {dead} dead letters", "jiaohao outbox dead says why; then jiaohao outbox resend")
    for reported in await delivery_report(city, connection, to_ms(now)):
        yield Finding(*reported)


async def _smsc() -> Finding:
    if not os.environ.get("JIAOHAO_SMPP_URL"):
        return Finding("note", "SMS: no SMSC set", "messages go to a file; see jiaohao notify --help")
    from server.messages.smpp import probe, smpp_from_environment  # where one is asked for

    try:
        await probe(smpp_from_environment())
    except (OSError, SetupError) as error:
        return Finding(
            "bad", f"SMS: {error}", "look at JIAOHAO_SMPP_URL, JIAOHAO_SMPP_PASSWORD and the way to the SMSC"
        )
    return Finding("ok", "SMS: the SMSC lets us in")


def _connections(wanted: int) -> Finding:
    """Whether a worker may open as many files as it is to hold connections."""
    allowed = connections_allowed()
    memory = f"{wanted * _CONNECTION_KB / 1000:.0f} MB where all are in use"
    if allowed < wanted:
        cure = f"ulimit -Hn {files_needed(wanted)} (systemd: LimitNOFILE=, containers: --ulimit nofile=)"
        return Finding("note", f"connections: {allowed} a worker, not {wanted}, by this machine's open files", cure)
    return Finding("ok", f"connections: {wanted} a worker (JIAOHAO_CONNECTIONS), {memory}")


def _secrets(settings: Settings) -> Finding:
    earlier = len(settings.secrets) - 1
    if earlier:
        return Finding("note", f"secrets: {earlier} earlier still honoured", "jiaohao reseal, then drop them")
    return Finding("ok", "secrets: one, and no earlier one")
