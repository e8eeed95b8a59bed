"""One person looked up at the desk: the full name and the last characters of the ID, noted before they are shown.

Lists never have them: a roster shows masked names, and whoever needs more says with their token whom they look at.
"""

from datetime import date, datetime

import msgspec
import structlog

from server.appointments.act_store import ActStore
from server.appointments.sites import Site
from server.appointments.slot_store import SlotStore
from server.appointments.staff import Staff
from server.appointments.undoing import Undoing
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.encryption import ID_LAST_CHARACTERS, Cipher, Contact
from server.core.errors import Invalid, Refusal
from server.core.keys import Pepper, day_tag, opening_tags
from server.core.masks import mask_phone
from server.core.papers import IdType, check_id, normalise_id
from server.records.acts import Act, LookUpKind
from server.records.registration import Registration, registration_of
from server.records.slot import RosterEntry
from server.registry.contacts import readable_contact
from server.registry.registry import Registry
from server.store.connection import Connection
from server.store.registrations import RegistrationReader

log = structlog.get_logger()

_DATED = ("booked", "fulfilled", "noshow")


class PersonView(msgspec.Struct):
    """One person with an appointment, as the desk compares them with their card.

    `id_last`: of the ID number, null where it is not known (kept by a version before; the next import of the registry
    brings it). `undo_before`: as in the roster.
    """

    registration_no: str
    name: str | None
    id_last: str | None
    phone: str
    site: str
    date: date
    period: str
    product: str
    dose: int
    state: str
    undo_before: datetime | None


class ActView(msgspec.Struct):
    """An act of a desk or a helper (`GET /operations/acts`); what does not go with it is null.

    `consent`: who agreed to being helped. `why`: a refusal's code.
    """

    at: datetime
    actor: str
    act: str
    site: str | None
    registration_no: str | None
    consent: str | None
    why: str | None


class LookUps:
    """Finds one person at a site, by the roster's number or by their papers.

    Args:
        city: how many look-ups a minute are a desk's work.
        connection: rosters, registrations, acts.
        clock: city time.
        pepper: makes the keyed hash by which papers are found; they are kept nowhere.
        cipher: decrypts name and ID's last characters.
        registry: who is who.
        undoing: until when a mark can be taken back.
    """

    def __init__(
        self,
        city: City,
        connection: Connection,
        clock: Clock,
        pepper: Pepper,
        cipher: Cipher,
        registry: Registry,
        undoing: Undoing,
    ) -> None:
        self._city = city
        self._act_store = ActStore(connection)
        self._slot_store = SlotStore(connection)
        self._reader = RegistrationReader(connection)
        self._clock = clock
        self._pepper = pepper
        self._cipher = cipher
        self._registry = registry
        self._undoing = undoing

    async def by_number(self, staff: Staff, site: Site, no: str, day: date) -> PersonView:
        """Whoever has this number on the roster of a day.

        Raises:
            Refusal: `not-found`, `too-many-requests`.
        """
        entry = await self._slot_store.ever_on_roster(day_tag(site.district, day), no)
        found = None
        if entry is not None and entry.site == site.site:
            found = registration_of(await self._reader.registration(entry.resident), no)
        if found is not None and not found.holds_slot(no, day):
            found = None
        await self._note(staff, site, "look-up", no)
        if entry is None or found is None:
            raise Refusal("not-found", reason="not-on-roster")
        return await self._view(entry, found, "")

    async def by_papers(self, staff: Staff, site: Site, id_type: IdType, id_number: str) -> PersonView:
        """Whoever has exactly these papers, where their appointment is at this site, on whatever day.

        Raises:
            Invalid: papers that cannot be right.
            Refusal: `not-found`: nobody with an appointment here; whether elsewhere, is not for this desk.
        """
        number = normalise_id(id_type, id_number, self._city.papers.old_15_digit_ids)
        if fault := check_id(id_type, number):
            raise Invalid(("id_number", fault))
        resident = await self._registry.in_use(self._pepper.resident(id_type, number), id_type, number)
        found = await self._reader.registration(resident)
        entry = None
        if found is not None and found.day is not None and found.site == site.site and found.state in _DATED:
            entry = await self._slot_store.ever_on_roster(day_tag(site.district, found.day), found.no)
        await self._note(staff, site, "id-search", entry.no if entry else "")
        if found is None or entry is None:
            raise Refusal("not-found", reason="nobody-here")
        return await self._view(entry._replace(resident=resident), found, number[-ID_LAST_CHARACTERS:])

    async def _note(self, staff: Staff, site: Site, kind: LookUpKind, no: str) -> None:
        today = from_ms(self._clock.now_ms(), self._city.tz).date()
        tag, most = day_tag(site.district, today), self._city.policy.lookups_per_minute
        wait_ms = await self._act_store.look_up(tag, most, staff.actor, kind, site.site, no)
        if wait_ms:
            log.warning("too many look-ups", site=site.site, actor=staff.actor)
            raise Refusal("too-many-requests", retry_after_seconds=-(-wait_ms // 1000), reason="look-ups")

    async def _view(self, entry: RosterEntry, it: Registration, id_last: str) -> PersonView:
        contact = await self._contact(entry.resident)
        assert it.day is not None  # noqa: S101 (who is on a roster has a day)
        return PersonView(
            registration_no=it.no,
            name=contact.name if contact else None,
            id_last=id_last or (contact.id_last if contact else "") or None,
            phone=mask_phone(contact.phone if contact else ""),
            site=entry.site,
            date=it.day,
            period=entry.period,
            product=entry.product,
            dose=2 if it.first_dose else 1,
            state=it.state,
            undo_before=self._undoing.until(it),
        )

    async def _contact(self, resident: bytes) -> Contact | None:
        record = await self._registry.first_dose(resident)
        return readable_contact(self._cipher, resident, record.contact) if record else None

    # The operator

    async def acts(self, district: str, day: date, most: int) -> list[ActView]:
        """What desks and helpers did with residents of a district on a day, the latest first, so many at most."""
        found = await self._act_store.acts(opening_tags(district, day), most)
        latest = sorted((act for acts in found for act in acts), key=lambda act: -act.at_ms)
        return [self._act(act) for act in latest[:most]]

    def _act(self, it: Act) -> ActView:
        at = from_ms(it.at_ms, self._city.tz)
        return ActView(at, it.actor, it.act, it.site or None, it.no or None, it.consent or None, it.why or None)
