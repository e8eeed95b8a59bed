"""Demo residents and sites for `jiaohao up`: made up, with papers that pass the checks."""

from collections.abc import Sequence
from datetime import date, timedelta

import msgspec
from stdnum.iso7064 import mod_11_2

from server.appointments.appointments import Appointments
from server.appointments.giving import SlotGrant
from server.appointments.sites import Site
from server.appointments.slot_store import SlotStore
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.encryption import ID_LAST_CHARACTERS, Cipher, Contact
from server.core.keys import Pepper, day_tag, registration_no
from server.core.settings import Settings
from server.records.first_dose import FirstDoseRecord
from server.records.registration import NewRegistration, Preference, Registration
from server.records.slot import RosterEntry, Slot
from server.records.statuses import known
from server.registrations.store import RegistrationStore
from server.registry.store import RegistryStore
from server.store.agreed import Agreement
from server.store.connection import Connection
from server.store.setup import open_store

RESIDENTS_PER_DISTRICT = 20
_BOOKED_IN_DAYS = (0, 0, 2)
_LAST_ENTRY = 9_999_999
_CAPACITY = 50
_DAYS = 21
_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗"


def demo_resident(city: City, district: int, index: int) -> tuple[str, str, str]:
    """(ID number, name, phone) of a demo resident of the district with this position in the city file."""
    body = f"990000{1950 + index * 2}0101{district:02d}{index % 10}"
    return (
        body + mod_11_2.calc_check_digit(body),
        f"{_SURNAMES[index % len(_SURNAMES)]}演示",
        f"139{district:02d}{index:06d}",
    )


def _first_dose(city: City) -> tuple[date, str]:
    """A first dose that makes its resident eligible in every phase of the city."""
    product = next(name for name, p in city.products.items() if p.min_interval_days is not None)
    return min(phase.starts for phase in city.phases) - timedelta(days=60), product


async def add_demo(settings: Settings, city: City) -> bool:
    """Write the demo registry and sites; again changes nothing that is seen.

    False where a node of the store holds something else, or does not say: that is nobody's playground.
    """
    pepper, cipher = Pepper(settings.pepper, city.papers.same_name), Cipher(settings.secrets)
    day, product = _first_dose(city)
    today = from_ms(Clock(settings.offset_ms).now_ms(), city.tz).date()
    records = []
    connection = await open_store(settings)
    try:
        if not await Agreement(connection).take_for_demo():
            return False
        for d, district in enumerate(city.districts, 1):
            for i in range(RESIDENTS_PER_DISTRICT):
                number, name, phone = demo_resident(city, d, i)
                resident = pepper.resident("resident_id", number)
                match = pepper.match(resident, name, phone)
                contact = cipher.encrypt(resident, Contact(name, phone, number[-ID_LAST_CHARACTERS:]))
                records.append((resident, FirstDoseRecord(day.toordinal(), product, district.code, match, contact)))
            sites = [
                Site(f"{district.code}-{n}", f"{district.name_zh}演示接种点{n}", f"{district.name_en} demo site {n}",
                     district.code, f"{district.name_zh}演示路{n}号")
                for n in (1, 2, 3)
            ]  # fmt: skip
            await _keep_capacity(connection, city, today, product, [site.site for site in sites], district.code)
            await SlotStore(connection).keep_sites(
                district.code, {site.site: msgspec.json.encode(site) for site in sites}
            )
        await RegistryStore(connection).keep_first_doses(records)
        await _book(connection, settings, city)
        return True
    finally:
        await connection.close()


async def _keep_capacity(
    connection: Connection, city: City, today: date, product: str, sites: Sequence[str], district: str
) -> None:
    """A few doses a slot for the next nights to allot, where there are none yet."""
    tags = [day_tag(district, today + timedelta(days=n)) for n in range(_DAYS)]
    for tag, used in zip(tags, await SlotStore(connection).used(tags), strict=True):
        new = {
            slot: _CAPACITY
            for slot in (Slot(site, period, product) for site in sites for period in city.periods)
            if slot not in used
        }
        if new:
            await SlotStore(connection).keep_capacity(tag, new)


async def _book(connection: Connection, settings: Settings, city: City) -> None:
    """Give the last three residents of each district appointments, as earlier nights would have: today morning, today
    afternoon, and in two days; so that the desk has a roster, and one can look an appointment up and cancel it."""
    clock, pepper = Clock(settings.offset_ms), Pepper(settings.pepper)
    appointments = Appointments(city, connection, clock)
    today = from_ms(clock.now_ms(), city.tz).date()
    first_dose, product = _first_dose(city)
    for d, district in enumerate(city.districts, 1):
        first, *_, last = city.periods
        booked = zip(_BOOKED_IN_DAYS, (first, last, first), strict=True)
        for i, (days, period) in enumerate(booked, RESIDENTS_PER_DISTRICT - len(_BOOKED_IN_DAYS)):
            day, site = today + timedelta(days=days), f"{district.code}-1"
            resident = pepper.resident("resident_id", demo_resident(city, d, i)[0])
            # An entry that no opening reaches: nobody else has this number.
            no = registration_no(district.no, today - timedelta(days=3), _LAST_ENTRY - i)
            registration = Registration(
                no=no,
                state="proposed",
                registered_ms=0,
                district=district.code,
                opening_day=today - timedelta(days=3),
                entry=_LAST_ENTRY - i,
                preferences=[Preference(site, period)],
                accept_any_site=True,
                first_dose=first_dose,
                product=product,
            )
            new = NewRegistration.of(resident, clock.now_ms() + 60_000, registration)
            (kept,) = known(await RegistrationStore(connection).register([new]))
            if kept.status != "registered":
                continue
            slot = RosterEntry(no, resident, site, period, product)
            await appointments.give(district.code, [SlotGrant(slot, day)], "demo")


def describe(city: City) -> str:
    """A line for the terminal: who one can be."""
    lines = ["demo residents (made up; resident ID · name · phone):"]
    for d, district in enumerate(city.districts, 1):
        number, name, phone = demo_resident(city, d, 0)
        lines.append(f"  {district.code} {district.name_en:<9} {number}  {name}  {phone}")
    last = city.districts[0]
    number, name, phone = demo_resident(city, 1, RESIDENTS_PER_DISTRICT - 1)
    lines.append(f"with an appointment in two days, found by code: {last.code} {number}  {name}  {phone}")
    lines.append(
        f"  (each district has {RESIDENTS_PER_DISTRICT}, the last {len(_BOOKED_IN_DAYS)} with appointments; "
        "`jiaohao up --no-demo` leaves them out)"
    )
    return "\n".join(lines)
