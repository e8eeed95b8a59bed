"""Who is who and who may register: papers, the first-dose registry, the phases."""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec

from server.core.city import City
from server.core.encryption import ID_LAST_CHARACTERS, Cipher, Contact
from server.core.errors import Invalid, PapersRefused, Refusal, UnknownStatus
from server.core.keys import Pepper, resident_tag
from server.core.metrics import GuessedCall
from server.core.papers import (
    IdType,
    birth_date_of,
    faults,
    normalise_id,
    normalise_name,
    normalise_phone,
)
from server.core.reserves import ask_ages
from server.core.sms import CODE_TRIES
from server.records.first_dose import Compared, FirstDose, FirstDoseRecord, Resident, pack
from server.registry.eligibility import Verdict, judge
from server.registry.guesses import Guesses
from server.registry.store import RegistryStore
from server.store.coalescer import Coalescer
from server.store.connection import Connection


class Applicant(msgspec.Struct, frozen=True):
    """A person's papers as typed (contract, `POST /openings/{district}/tickets`).

    `code`: a one-time code by SMS, which lets its owner in where a stranger's guesses have shut the door.
    """

    id_type: IdType
    id_number: str
    name: str
    phone: str
    code: str = ""


class Try(msgspec.Struct, frozen=True, gc=False):
    """Somebody who gives themselves out for a person; `is_proven`: they have shown a code sent to the phone they name.

    `applicant` is in the spelling that `Registry.identify` gave it.
    """

    resident: bytes
    applicant: Applicant
    is_proven: bool = False


class Registry:
    """The city's first-dose records, and what a person already has.

    Args:
        city: phases and products.
        connection: where the records are.
        pepper: makes the keyed hashes.
        cipher: encrypts the names and phones of those who are not in the registry.
        guesses: the limit on wrong papers.
    """

    def __init__(self, city: City, connection: Connection, pepper: Pepper, cipher: Cipher, guesses: Guesses) -> None:
        self._city = city
        self._registry_store = RegistryStore(connection)
        self._pepper = pepper
        self._cipher = cipher
        self._guesses = guesses
        self._asks_ages = ask_ages(city.reserves)
        # At an opening's rate registrations come one by one: without lingering each pays for a store call of its own.
        self._lookups: Coalescer[bytes, Resident] = Coalescer(
            self._registry_store.residents, max_batch=256, linger_s=0.005
        )
        # One verdict for all who had the same product on the same day: asked for each join.
        self._verdict = lru_cache(maxsize=16_384)(self._judge)

    def identify(self, typed: Applicant) -> Try:
        """Who gives themselves out for whom: the papers in one spelling, and the 16-byte key of the person.

        Raises:
            Invalid: fields that cannot be right.
        """
        id_type = typed.id_type
        id_number = normalise_id(id_type, typed.id_number, self._city.papers.old_15_digit_ids)
        name, phone = normalise_name(typed.name), normalise_phone(typed.phone)
        if found := faults(id_type, id_number, name, phone):
            raise Invalid(*found)
        applicant = Applicant(id_type, id_number, name, phone, typed.code)
        return Try(self._pepper.resident(id_type, id_number), applicant)

    async def whose(self, typed: Applicant) -> Try:
        """As `identify`, but the key under which the store knows them, where a version before gave them another.

        Those were given for passports whose digits are of other papers (`Pepper.earlier`). Who is registered under
        such a key, or is known under no other, goes on under it; everybody else has the new one.

        Raises:
            Invalid: fields that cannot be right.
        """
        one = self.identify(typed)
        resident = await self.in_use(one.resident, one.applicant.id_type, one.applicant.id_number)
        return one if resident is one.resident else Try(resident, one.applicant)

    async def in_use(self, resident: bytes, id_type: IdType, id_number: str) -> bytes:
        """The key under which the store knows the person with this key and these papers (normalised)."""
        earlier = self._pepper.earlier(id_type, id_number)
        if earlier is None:
            return resident
        now, before = await self._registry_store.residents([resident, earlier])
        is_registered = before.stop is not None and before.stop.startswith("open ")
        return earlier if is_registered or now == (None, None) != before else resident

    async def compare(self, tries: Sequence[Try], district: str, day: date, call: GuessedCall) -> list[Compared]:
        """What the store knows of each, and whether these are their papers: the one place where that is found out.

        Wrong ones are counted in the store in the same step, so that no crowd of guesses gets past the limit together.

        Args:
            tries: who, in the order in which they count.
            district: code of the district in which they try.
            day: the opening's day.
            call: by which they try.
        """
        phase = self._city.phase(day)
        is_free = phase is not None and phase.first_doses
        proven = [it for it in tries if it.is_proven]
        if not proven:
            found = await self._compare(tries, False, is_free)
        else:  # hardly ever
            others = iter(await self._compare([it for it in tries if not it.is_proven], False, is_free))
            theirs = iter(await self._compare(proven, True, is_free))
            found = [next(theirs if it.is_proven else others) for it in tries]
        for it, what in zip(tries, found, strict=True):
            if what.verdict:
                self._guesses.note(call, district, it.resident, what.verdict)
        return await self._stopped_by_earlier_keys(found)

    async def _stopped_by_earlier_keys(self, found: list[Compared]) -> list[Compared]:
        """A registration under an earlier key of a person stops them as well."""
        twice = [(i, it.first_dose.earlier) for i, it in enumerate(found) if it.first_dose and it.first_dose.earlier]
        if not twice:
            return found
        known = await self._registry_store.residents([key for _, key in twice])
        stops = {i: before.stop for (i, _), before in zip(twice, known, strict=True)}
        return [it._replace(stop=it.stop or stops.get(i)) for i, it in enumerate(found)]

    async def _compare(self, tries: Sequence[Try], is_proven: bool, is_free: bool) -> list[Compared]:
        matches = self._pepper.matches
        people = []
        for it in tries:
            resident, who = it.resident, it.applicant
            people.append((resident, b"".join(matches(resident, who.name, who.phone))))
        return await self._registry_store.check_papers(
            people, self._guesses.limit, is_proven=is_proven, is_free=is_free
        )

    async def has_proved(self, resident: bytes, applicant: Applicant) -> bool:
        """Whether the code they show was sent to the phone they name, which is then the registry's. It stays good."""
        pair = self._pepper.pair(resident, applicant.phone)
        digest = self._pepper.code(pair, normalise_phone(applicant.code))  # full-width digits and spaces
        return await self._registry_store.try_code(pair, digest, CODE_TRIES, spend=False)

    def admit(self, known: Compared, district: str, day: date) -> None:
        """Let a person through to the places, before any number is given.

        Args:
            known: from `compare`.
            district: code of the opening's district.
            day: the opening's day.

        Raises:
            PapersRefused: `too-many-requests`, `identity-mismatch`, or what a person is told of whom nothing is known.
            Refusal: `already-registered`, `barred`, `not-eligible`; `store-unavailable` where its answer was not
                understood.
        """
        if known.verdict is None:
            raise UnknownStatus("check_papers")
        if known.verdict == 0:
            self._check_rules(known, district, day)
            return
        if known.verdict > 0:
            wait_s = -(-known.verdict // 1000)
            raise PapersRefused("too-many-requests", retry_after_seconds=wait_s, reason="wrong-papers", prove="code")
        if known.first_dose is None:
            try:
                self._check_rules(known, district, day)
            except Refusal as refusal:
                raise PapersRefused(refusal.code, **refusal.extras) from None
        raise PapersRefused("identity-mismatch")

    def _check_rules(self, known: Compared, district: str, day: date) -> None:
        record = known.first_dose
        if known.stop is not None:
            _check_stop(known.stop, record)
        self.check_eligible(record, district, day)

    def check_eligible(self, record: FirstDoseRecord | None, district: str, day: date) -> None:
        """Let through whom the registry's line makes eligible in an opening.

        Raises:
            Refusal: `not-eligible`.
        """
        verdict = self._verdict(record.first_dose if record else None, day, district)
        if verdict.eligible:
            return
        extras: dict[str, Any] = {}
        if record is not None and verdict.reason == "wrong-district":
            right = self._city.district(record.district)
            if right is not None:
                extras = {"district": right.code, "district_name": right.name_zh, "district_name_en": right.name_en}
        raise Refusal("not-eligible", reason=verdict.reason, eligible_from=verdict.eligible_from, **extras)

    def _judge(self, first_dose: FirstDose | None, day: date, district: str) -> Verdict:
        if (
            first_dose is not None and first_dose.product not in self._city.products
        ):  # imported with an earlier city file
            return Verdict(eligible=False, reason="complete")
        return judge(self._city, day, first_dose, district)

    async def known(self, resident: bytes) -> Resident:
        """What the store knows of a person; shares a store call with others."""
        return await self._lookups.submit(resident)

    async def first_dose(self, resident: bytes) -> FirstDoseRecord | None:
        """The registry's line of a person."""
        return (await self.known(resident)).first_dose

    async def enrol(self, people: Sequence[tuple[Try, Compared]], district: str, lives_ms: int) -> list[bool]:
        """Keep the names and phones of people whom we could not reach otherwise; False where another was quicker.

        Who comes for a first dose is in no registry: what they typed is kept until they register or the time is over,
        and whoever was first under an ID number stays; another name or phone does not take the place over. A line whose
        contact was deleted (`jiaohao purge`) or never encrypted gets it back, from papers that match it.

        Args:
            people: who, and what the store knows of them.
            district: where they join.
            lives_ms: for how long, in ms.
        """
        strangers, lines = [], []
        for it, known in people:
            resident, who = it.resident, it.applicant
            told = Contact(who.name, who.phone, who.id_number[-ID_LAST_CHARACTERS:])
            contact = self._cipher.encrypt(resident, told)
            if known.first_dose is None:
                match = self._pepper.match(resident, who.name, who.phone)
                birth = birth_date_of(who.id_type, who.id_number) if self._asks_ages else None
                born = birth.toordinal() if birth else 0
                strangers.append((resident, FirstDoseRecord(0, "", district, match, contact, born=born)))
            else:
                whole = msgspec.structs.replace(known.first_dose, contact=contact)
                lines.append((resident_tag(resident), pack(known.first_dose), pack(whole)))
        await self._registry_store.replace_record(lines)
        held = await self._registry_store.enrol(strangers, lives_ms)
        # What is encrypted is never the same twice, so that this tells also two who typed the same apart.
        is_first = iter([record == mine for record, (_, mine) in zip(held, strangers, strict=True)])
        return [known.first_dose is not None or next(is_first) for _, known in people]


def _check_stop(stop: str, record: FirstDoseRecord | None) -> None:
    """Why the store says that a person may not join.

    Raises:
        Refusal: `already-registered`, `barred`, or `not-eligible` for one whose last dose was given here: a second one
            completes; a first one is in the registry when the next import knows of it.
    """
    if stop.startswith("open "):
        raise Refusal("already-registered")
    if stop == "barred":
        raise Refusal("barred")
    given = date.fromisoformat(stop.removeprefix("done "))
    if record is None or record.day < given.toordinal():
        raise Refusal("not-eligible", reason="complete" if record and record.day else "given", eligible_from=None)
