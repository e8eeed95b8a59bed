"""Who may register on a day: phases A1-A4 of the announcement and the products' minimum intervals.

Decided before a number is given, and a refusal says from when.
"""

from datetime import date
from typing import Literal

import msgspec

from server.core.city import City
from server.core.phases import Phase
from server.records.first_dose import FirstDose

NotEligible = Literal["before-phases", "after-phases", "no-first-dose", "too-soon", "complete", "wrong-district"]


class Verdict(msgspec.Struct, frozen=True):
    """Whether a resident may register; if not, why, and from which day on (None: no day is known)."""

    eligible: bool
    reason: NotEligible | None = None
    eligible_from: date | None = None


_ELIGIBLE = Verdict(eligible=True)


def judge(city: City, day: date, first_dose: FirstDose | None, district_code: str | None) -> Verdict:
    """Judge a resident for registering on a day of the city's calendar.

    Args:
        city: its phases, products and lead days.
        day: the day of registering, D; the earliest appointment that the night can allot is D + lead_days.
        first_dose: the registry's record, None where there is none.
        district_code: the district joined; None asks about the resident alone, wherever they join.

    Returns:
        The verdict. ``eligible_from`` is the first day from `day` on at which the rules let the resident
        register; with "complete", "wrong-district" and after the last phase there is none.

    Raises:
        KeyError: a product that is not in the city file (the import of the registry refuses such rows).
    """
    if first_dose is not None and city.products[first_dose.product].min_interval_days is None:
        return Verdict(eligible=False, reason="complete")
    eligible_from = _first_eligible_day(city, day, first_dose)
    if eligible_from != day:
        return Verdict(eligible=False, reason=_reason(city, day, first_dose), eligible_from=eligible_from)
    if first_dose is not None and district_code is not None and first_dose.district != district_code:
        return Verdict(eligible=False, reason="wrong-district")
    return _ELIGIBLE


def _first_eligible_day(city: City, day: date, first_dose: FirstDose | None) -> date | None:
    """The first day from `day` on at which its phase's rules hold; inside a phase they only get easier."""
    for phase in city.phases:
        if phase.ends is not None and phase.ends < day:
            continue
        candidate = max(day, phase.starts)
        if first_dose is not None:
            candidate = max(candidate, _interval_met(city, phase, first_dose))
        elif not phase.first_doses:
            continue
        if candidate in phase:
            return candidate
    return None


def _interval_met(city: City, phase: Phase, first_dose: FirstDose) -> date:
    """The day from which a second dose may be registered by A1's wait and A2's interval."""
    interval_days = city.products[first_dose.product].min_interval_days or 0
    # A2 asks for the interval on the day of the appointment: at the earliest lead_days after registering.
    wait_days = max(phase.min_days_since_first_dose, interval_days - city.policy.lead_days)
    return date.fromordinal(first_dose.day.toordinal() + wait_days)


def _reason(city: City, day: date, first_dose: FirstDose | None) -> NotEligible:
    if city.phase(day) is None:
        last_end = city.phases[-1].ends
        return "after-phases" if last_end is not None and last_end < day else "before-phases"
    return "no-first-dose" if first_dose is None else "too-soon"
