"""What a resident may wish for."""

import unicodedata
from datetime import date, timedelta

import msgspec

from server.appointments.sites import Sites
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.districts import District
from server.core.errors import Invalid
from server.core.keys import is_registration_no, parts_of
from server.core.periods import ANY
from server.records.registration import Wishes

# "Not before" a day further away than this is a slip of the finger, and would mean to wait for ever.
_LONGEST_WISH = timedelta(days=180)


class WishRules:
    """Checks wishes.

    Args:
        city: its time zone.
        clock: city time.
        sites: the districts' sites.
    """

    def __init__(self, city: City, clock: Clock, sites: Sites) -> None:
        self._city = city
        self._clock = clock
        self._sites = sites

    def check_periods(self, wishes: Wishes) -> None:
        """Look whether the city's day has these periods.

        Raises:
            Invalid: not all of them.
        """
        faults = [
            (f"preferences[{i}].period", "type")
            for i, wish in enumerate(wishes.preferences)
            if wish.period != ANY and wish.period not in self._city.periods
        ]
        if faults:
            raise Invalid(*faults)

    def check_consent(self, consent: str | None) -> str | None:
        """The consent as it is kept: the version that the city asks for; None where it asks for none.

        Raises:
            Invalid: it was not given, or of another text.
        """
        asked = self._city.consent_version
        if asked is not None and consent != asked:
            raise Invalid(("consent", "other-consent" if consent else "consent"))
        return asked

    async def checked(self, district: District, no: str, wishes: Wishes) -> Wishes:
        """The wishes as they are kept: they name sites of the district, each at most once, and somebody else of the
        district.

        Raises:
            Invalid: what is wrong, field by field.
        """
        if not wishes.preferences and not wishes.accept_any_site:
            raise Invalid(("preferences", "empty"))
        if wishes.not_before and wishes.not_before > self._today() + _LONGEST_WISH:
            raise Invalid(("not_before", "too-late"))
        sites = await self._sites.of(district.code)
        faults = [
            (f"preferences[{i}].site", "unknown-site")
            for i, wish in enumerate(wishes.preferences)
            if wish.site not in sites
        ]
        if len({(wish.site, wish.period) for wish in wishes.preferences}) < len(wishes.preferences):
            faults.append(("preferences", "twice"))
        relative = relative_of(wishes)
        if fault := self._fault_of_relative(district, no, relative):
            faults.append(("together", fault))
        if faults:
            raise Invalid(*faults)
        return msgspec.structs.replace(wishes, together=relative or None)

    def _fault_of_relative(self, district: District, no: str, relative: str) -> str | None:
        """What is wrong with a relative's number; whether there is such a registration is nobody's business."""
        if not relative:
            return None
        if not is_registration_no(relative):
            return "no-registration-number"
        if relative == no:
            return "own-number"
        parts = parts_of(relative, self._today())
        if parts is None:
            return "no-registration-number"
        return None if parts.district_no == district.no else "other-district"

    def _today(self) -> date:
        return from_ms(self._clock.now_ms(), self._city.tz).date()


def relative_of(wishes: Wishes) -> str:
    """The relative's number as it is kept, however it was typed: in groups, or in full-width digits; empty = none."""
    plain = unicodedata.normalize("NFKC", wishes.together or "")
    return "".join(it for it in plain if not it.isspace() and it not in "-‐–")
