"""A message as its event owes it, put into words, with the phone it goes to."""

from datetime import date
from typing import NamedTuple

import msgspec

from server.appointments.sites import Sites
from server.core.city import City
from server.core.clock import from_ms, to_ms
from server.core.encryption import Cipher, Contact, Unreadable
from server.core.errors import Refusal
from server.core.languages import Language
from server.core.masks import mask_name
from server.core.message_kinds import KINDS, TOLD
from server.core.sms import site_words
from server.core.wording import word
from server.core.wording.dates import day_words, full_date_words, until_words
from server.records.alert import AlertedStanding
from server.records.first_dose import Resident
from server.records.message import About, Message
from server.records.opening import Place
from server.records.registration import Appointment, Registration
from server.registry.store import RegistryStore
from server.store.coalescer import Coalescer
from server.store.connection import Connection
from server.store.registrations import RegistrationReader
from server.waiting_room.alert_store import AlertStore

_HOUR_MS = 3_600_000


class Rendered(NamedTuple):
    """What to say to whom.

    `is_latest`: it is about the registration that the resident has now. `ends_ms`: from when on it is not worth saying.
    """

    phone: str
    text: str
    is_latest: bool
    ends_ms: int


class Renderer:
    """Puts messages into words. What it reads of the store for many at the same moment it reads in one call.

    Args:
        city: words and hours.
        connection: residents and registrations.
        cipher: decrypts names and phones.
        sites: their names.
    """

    def __init__(self, city: City, connection: Connection, cipher: Cipher, sites: Sites) -> None:
        self._city = city
        self._cipher = cipher
        self._sites = sites
        self._known: Coalescer[bytes, Resident] = Coalescer(RegistryStore(connection).read_residents)
        self._starts: Coalescer[tuple[str, Place, int], tuple[AlertedStanding, int]] = Coalescer(
            AlertStore(connection).start_claim
        )
        self._registrations: Coalescer[bytes, Registration | None] = Coalescer(
            RegistrationReader(connection).registrations
        )

    async def render(self, resident: bytes, message: Message, now_ms: int) -> Rendered | None:
        """The words, in the language that the resident has registered in, or wants to be told of their call in; None:
        there is nothing to tell any more.

        Args:
            resident: whose.
            message: what is owed.
            now_ms: of the city; once the time to cancel is over, nobody is told to cancel before it.

        Raises:
            Unreadable: their name and phone cannot be decrypted.
            Refusal: `store-unavailable`.
        """
        known = await self._known.submit(resident)
        if not known.is_reachable:  # deleted since
            return None
        kept = await self._registrations.submit(resident)
        kind = KINDS[message.kind]
        if kind.true_while in ("waiting", "ready"):
            standing, until_ms = await self.start_claim(resident, message.about)
            if standing != kind.true_while:
                return None
            if standing == "ready":
                message = msgspec.structs.replace(
                    message, about=msgspec.structs.replace(message.about, until_ms=until_ms)
                )
        if kind.true_while == "held" and not _is_held(kept, message):
            return None
        if kind.true_while == "barred" and known.stop != "barred":  # put right, or lifted
            return None
        contact = self._open(resident, known)
        language = _language_of(message, kept)
        values = {"name": mask_name(contact.name), "no": message.no}
        values |= await self._about(message.about, language)
        words = message.kind
        if kind.late is not None and now_ms >= to_ms(self._city.cancel_before(date.fromisoformat(message.about.day))):
            words = f"{words}_late"
        text = self._city.sms.text(words, language, values)
        return Rendered(contact.phone, text, kept is not None and kept.no == message.no, self._ends_ms(message))

    async def start_claim(self, resident: bytes, about: About) -> tuple[AlertedStanding, int]:
        """How the place stands that a message is about, and until when.

        Where its claim time counts from the message, it counts from this moment on, so that what the message says is
        true.

        Raises:
            Refusal: `store-unavailable`.
        """
        place = Place(about.entry, about.number, resident)
        return await self._starts.submit((about.opening, place, about.latest_ms))

    def _ends_ms(self, message: Message) -> int:
        """Until when the city file says that this is worth sending."""
        if KINDS[message.kind].ends == TOLD:
            return message.about.until_ms
        ends = self._city.sms.ends_of(message.kind)
        if isinstance(ends, int):
            return int(message.at_ms) + ends * _HOUR_MS
        day = date.fromisoformat(message.about.day)
        if ends == "cancel_before":
            return to_ms(self._city.cancel_before(day))
        return to_ms(self._city.period_times(day, message.about.period)[0 if ends == "begins" else 1])

    def code(self, resident: bytes, sealed: bytes, language: Language) -> str:
        """The text that carries a one-time code.

        Raises:
            Unreadable: it cannot be decrypted.
        """
        return self._city.sms.code_text(language, self._cipher.decrypt_text(resident, sealed))

    async def phone(self, resident: bytes) -> str:
        """Where a resident is reached.

        Raises:
            Unreadable: nothing is known of them, or it cannot be decrypted.
            Refusal: `store-unavailable`.
        """
        return self._open(resident, await self._known.submit(resident)).phone

    def _open(self, resident: bytes, known: Resident) -> Contact:
        if known.first_dose is None:
            raise Unreadable("no record of this resident")
        return self._cipher.decrypt(resident, known.first_dose.contact)

    async def _about(self, about: About, language: Language) -> dict[str, str]:
        values = {"reached": word("message.sms-nobody-yet", language)}
        if about.reached:
            values["reached"] = full_date_words(date.fromisoformat(about.reached), language, short=True)
        if about.first_dose:
            values["first_dose"] = full_date_words(date.fromisoformat(about.first_dose), language, short=True)
        if about.day:
            day = date.fromisoformat(about.day)
            starts_at, ends_at = self._city.period_times(day, about.period)
            values["date"] = day_words(day, language, short=True)
            values["time"] = f"{starts_at:%H:%M}-{ends_at:%H:%M}"
            values["cancel_before"] = until_words(self._city.cancel_before(day), language)
            values["site"] = site_words(await self._site(about.site, language), language)
        if about.opening:
            begins, ends = (f"{from_ms(ms, self._city.tz):%H:%M}" for ms in (about.from_ms, about.until_ms))
            values |= {"number": str(about.number), "from": begins, "until": ends}
        return values

    async def _site(self, code: str, language: Language) -> str:
        try:
            site = await self._sites.find(code)
        except Refusal as refusal:
            if refusal.code != "not-found":
                raise
            return code  # no longer in the file of sites
        return site.name_en if language == "en" else site.name_zh


def _language_of(message: Message, kept: Registration | None) -> Language:
    if message.about.lang:
        return "en" if message.about.lang == "en" else "zh"
    return kept.lang if kept else "zh"


def _is_held(kept: Registration | None, message: Message) -> bool:
    """Whether the registration has this appointment."""
    if kept is None or (kept.no, kept.state) != (message.no, "booked"):
        return False
    about = message.about
    return kept.appointment == Appointment(about.site, about.day, about.period)
