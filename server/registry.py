"""Who is who and who may register: papers, the first-dose registry, the phases."""

from datetime import date
from typing import Any

import msgspec

from server.city import City, District
from server.eligibility import FirstDose, judge
from server.errors import Invalid, Refusal
from server.keys import Pepper
from server.papers import (
    IdType,
    check_id,
    check_name,
    check_phone,
    normalise_id,
    normalise_name,
    normalise_phone,
)
from server.store import Coalescer, Store
from server.store.store import FirstDoseRecord, Resident

OPEN_STATES = frozenset({"proposed", "booked", "arrived"})


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
    """

    def __init__(self, city: City, store: Store, pepper: Pepper) -> None:
        self._city = city
        self._pepper = pepper
        self._lookups: Coalescer[bytes, Resident] = Coalescer(store.residents, max_batch=256)

    def identify(self, applicant: Applicant) -> bytes:
        """The 16-byte key of a person, from their papers.

        `applicant` is brought to one spelling on the way.

        Raises:
            Invalid: fields that cannot be right.
        """
        applicant.id_number = normalise_id(applicant.id_type, applicant.id_number)
        applicant.name = normalise_name(applicant.name)
        applicant.phone = normalise_phone(applicant.phone)
        faults = [
            (field, fault)
            for field, fault in (
                ("id_number", check_id(applicant.id_type, applicant.id_number)),
                ("name", check_name(applicant.name)),
                ("phone", check_phone(applicant.phone)),
            )
            if fault is not None
        ]
        if faults:
            raise Invalid(*faults)
        return self._pepper.resident(applicant.id_type, applicant.id_number)

    async def admit(self, resident: bytes, applicant: Applicant, district: District, day: date) -> Resident:
        """Let a person through to the places, before any number is given.

        Raises:
            Refusal: `identity-mismatch`, `already-registered`, `not-eligible`.
        """
        known = await self._lookups.submit(resident)
        record = known.first_dose
        if record is not None and record.match != self._pepper.match(resident, applicant.name, applicant.phone):
            raise Refusal("identity-mismatch")
        if known.registration_state in OPEN_STATES:
            raise Refusal("already-registered")
        first_dose = FirstDose(record.date, record.product, record.district) if record else None
        try:
            verdict = judge(self._city, day, first_dose, district.code)
        except KeyError:  # a product of an earlier city file
            raise Refusal("not-eligible", reason="complete", eligible_from=None) from None
        if not verdict.eligible:
            right = self._city.district(record.district) if record and verdict.reason == "wrong-district" else None
            extras: dict[str, Any] = (
                {"district": right.code, "district_name": right.name_zh, "district_name_en": right.name_en}
                if right
                else {}
            )
            raise Refusal("not-eligible", reason=verdict.reason, eligible_from=verdict.eligible_from, **extras)
        return known

    async def first_dose(self, resident: bytes) -> FirstDoseRecord | None:
        """The registry's line of a person."""
        return (await self._lookups.submit(resident)).first_dose
