"""Who is who and who may register: papers, the first-dose registry, the phases."""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec

from server.city import City
from server.eligibility import FirstDose, Verdict, judge
from server.errors import Invalid, Refusal
from server.keys import Pepper, resident_tag
from server.papers import (
    IdType,
    faults,
    normalise_id,
    normalise_name,
    normalise_phone,
)
from server.seal import Contact, Seal
from server.store import Coalescer, Store
from server.store.residents import pack
from server.store.store import FirstDoseRecord, Resident

# Wrong names or phones with one ID number: in ten minutes, in a day.
_GUESSES = ((600_000, 5), (86_400_000, 20))


class Applicant(msgspec.Struct):
    """A person's papers as typed (contract, `POST /openings/{district}/tickets`)."""

    id_type: IdType
    id_number: str
    name: str
    phone: str


class Registry:
    """The city's first-dose records, and what a person already has.

    Args:
        city: phases and products.
        store: where the records are.
        pepper: makes the keyed hashes.
        seal: seals the names and phones of those who are not in the registry.
    """

    def __init__(self, city: City, store: Store, pepper: Pepper, seal: Seal) -> None:
        self._city = city
        self._store = store
        self._pepper = pepper
        self._seal = seal
        self._lookups: Coalescer[bytes, Resident] = Coalescer(self.look_up, max_batch=256)
        # One verdict for all who had the same product on the same day: asked for each join.
        self._verdict = lru_cache(maxsize=16_384)(self._judge)

    def identify(self, applicant: Applicant) -> bytes:
        """The 16-byte key of a person, from their papers.

        `applicant` is brought to one spelling on the way.

        Raises:
            Invalid: fields that cannot be right.
        """
        old_ids = self._city.papers.old_15_digit_ids
        applicant.id_number = normalise_id(applicant.id_type, applicant.id_number, old_ids)
        applicant.name = normalise_name(applicant.name)
        applicant.phone = normalise_phone(applicant.phone)
        if found := faults(applicant.id_type, applicant.id_number, applicant.name, applicant.phone):
            raise Invalid(*found)
        return self._pepper.resident(applicant.id_type, applicant.id_number)

    async def whose(self, applicant: Applicant) -> bytes:
        """As `identify`, but the key under which the store knows them, where a version before gave them another.

        Those were given for passports whose digits are of other papers (`Pepper.earlier`). Who is registered under
        such a key, or is known under no other, goes on under it; everybody else has the new one.

        Raises:
            Invalid: fields that cannot be right.
        """
        return await self.in_use(self.identify(applicant), applicant.id_type, applicant.id_number)

    async def in_use(self, resident: bytes, id_type: IdType, id_number: str) -> bytes:
        """The key under which the store knows the person with this key and these papers (normalised)."""
        earlier = self._pepper.earlier(id_type, id_number)
        if earlier is None:
            return resident
        now, before = await self._store.residents([resident, earlier])
        is_registered = before.stop is not None and before.stop.startswith("open ")
        return earlier if is_registered or now == (None, None) != before else resident

    async def look_up(self, residents: Sequence[bytes]) -> list[Resident]:
        """What the store knows of people; a registration under an earlier key stops them as well."""
        known = await self._store.residents(residents)
        twice = [(i, it.first_dose.earlier) for i, it in enumerate(known) if it.first_dose and it.first_dose.earlier]
        if twice:
            for (i, _), before in zip(twice, await self._store.residents([key for _, key in twice]), strict=True):
                known[i] = known[i]._replace(stop=known[i].stop or before.stop)
        return known

    def admit(self, resident: bytes, known: Resident, applicant: Applicant, district: str, day: date) -> None:
        """Let a person through to the places, before any number is given.

        Args:
            resident: from `identify`.
            known: what the store knows of them.
            applicant: in the spelling that `identify` gave it.
            district: code of the opening's district.
            day: the opening's day.

        Raises:
            Refusal: `identity-mismatch`, `already-registered`, `barred`, `not-eligible`.
        """
        record = known.first_dose
        if record is not None and record.match not in self._pepper.matches(resident, applicant.name, applicant.phone):
            raise Refusal("identity-mismatch")
        if known.stop is not None:
            _check_stop(known.stop, record)
        line = (record.day, record.product, record.district) if record and record.day else None
        verdict = self._verdict(line, day, district)
        if verdict.eligible:
            return
        extras: dict[str, Any] = {}
        if record is not None and verdict.reason == "wrong-district":
            right = self._city.district(record.district)
            if right is not None:
                extras = {"district": right.code, "district_name": right.name_zh, "district_name_en": right.name_en}
        raise Refusal("not-eligible", reason=verdict.reason, eligible_from=verdict.eligible_from, **extras)

    def _judge(self, line: tuple[int, str, str] | None, day: date, district: str) -> Verdict:
        if line is None:
            return judge(self._city, day, None, district)
        ordinal, product, its_district = line
        if product not in self._city.products:  # imported with an earlier city file
            return Verdict(eligible=False, reason="complete")
        return judge(self._city, day, FirstDose(date.fromordinal(ordinal), product, its_district), district)

    async def known(self, resident: bytes) -> Resident:
        """What the store knows of a person; shares a store call with others."""
        return await self._lookups.submit(resident)

    async def first_dose(self, resident: bytes) -> FirstDoseRecord | None:
        """The registry's line of a person."""
        return (await self.known(resident)).first_dose

    async def check_guesses(self, resident: bytes, *, count: bool) -> None:
        """Bound how often a name and phone can be tried on an ID number by asking, which costs no place.

        Raises:
            Refusal: `too-many-requests`.
        """
        tag = resident_tag(self._pepper.pair(resident, "guesses"))
        if wait_ms := await self._store.quota(tag, _GUESSES, count=count):
            raise Refusal("too-many-requests", retry_after_seconds=-(-wait_ms // 1000))

    async def enrol(
        self, people: Sequence[tuple[bytes, Applicant, Resident]], district: str, lives_ms: int
    ) -> list[bool]:
        """Keep the names and phones of people whom we could not reach otherwise; whether theirs are the ones that hold.

        Who comes for a first dose is in no registry: what they typed is kept until they register or the time is over,
        and whoever was first under an ID number stays; another name or phone does not take the place over. A line whose
        contact was deleted (`jiaohao purge`) or never sealed gets it back, from papers that match it.

        Args:
            people: resident key, papers in the spelling that `identify` gave them, and what the store knows.
            district: where they join.
            lives_ms: for how long, in ms.
        """
        strangers, lines, theirs = [], [], []
        for resident, who, known in people:
            contact = self._seal.close(resident, Contact(who.name, who.phone))
            if known.first_dose is None:
                matches = self._pepper.matches(resident, who.name, who.phone)
                theirs.append(matches)
                strangers.append((resident, FirstDoseRecord(0, "", district, matches[0], contact)))
            else:
                whole = msgspec.structs.replace(known.first_dose, contact=contact)
                lines.append((resident_tag(resident), pack(known.first_dose), pack(whole)))
        await self._store.replace_record(lines)
        held = await self._store.enrol(strangers, lives_ms)
        is_theirs = iter([record.match in matches for record, matches in zip(held, theirs, strict=True)])
        return [known.first_dose is not None or next(is_theirs) for _, _, known in people]


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
