"""The city file: districts, windows, phases, products and policy, decoded from TOML into typed structs.

Another city is another file. Where the announcement is silent the value is ours, and it stands in the file.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from server.core.assist import AssistLimits
from server.core.beacon import Beacon, problems_of_beacon
from server.core.calls import Calls, problems_of_calls
from server.core.city_imports import Imports
from server.core.clock import at, in_zone
from server.core.districts import District, problems_of_districts
from server.core.faults import fault_of
from server.core.languages import Language
from server.core.papers import PapersPolicy
from server.core.periods import Period, day_periods, problems_of_periods
from server.core.phases import Phase, problems_of_phases
from server.core.policy import Policy, problems_of_policy
from server.core.products import Product, problems_of_products
from server.core.reserves import Reserve, problems_of_reserves
from server.core.same_name import SameName
from server.core.service import Consent, Service, problems_of_service
from server.core.sms import Ends, QuietHours, Sms, problems_of_sms
from server.core.toml_file import TomlError, convert, read_toml
from server.core.values import LogName, Text
from server.core.windows import Window

SHIPPED_CITY = Path(__file__).parent / "cities" / "guangzhou.toml"
"""The city file used when none is given."""


class CityError(ValueError):
    """The city file cannot be used; the message names the file, the key and what was expected."""


class City(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A city and its timetable. Instants go in as aware datetimes and come out in the city's time zone.

    ``default_language``: of pages, problems and messages for whoever asks for neither Chinese nor English.
    ``log_name``: of the public log, as its signed heads say it.
    ``beacon``: what draws and nights are bound to beside their seeds; None: nothing else.
    ``service``: who runs it, and whom to ask; None: the pages say nothing of that.
    ``assist``: what the lane for helped residents may bring at most.
    ``reserves``: doses that go to the members of groups first; none unless the file names some.
    """

    name_zh: Text
    name_en: Text
    timezone: str
    open_hours: Window
    districts: Annotated[list[District], msgspec.Meta(min_length=1)]
    phases: Annotated[list[Phase], msgspec.Meta(min_length=1)]
    products: Annotated[dict[str, Product], msgspec.Meta(min_length=1)]
    policy: Policy = Policy()
    periods_in_file: dict[str, Period] = msgspec.field(default_factory=dict, name="periods")
    sms: Sms = msgspec.field(default_factory=Sms)
    calls: Calls = Calls()
    papers: PapersPolicy = PapersPolicy()
    imports: Imports = Imports()
    default_language: Language = "zh"
    log_name: LogName = "jiaohao-log"
    beacon: Beacon | None = None
    service: Service | None = None
    reserves: tuple[Reserve, ...] = ()
    assist: AssistLimits = AssistLimits()

    @cached_property
    def tz(self) -> ZoneInfo:
        """The city's time zone."""
        return ZoneInfo(self.timezone)

    @cached_property
    def periods(self) -> dict[str, Period]:
        """The periods of a site's day by their codes, in the order of the day."""
        return day_periods(self.periods_in_file)

    @cached_property
    def _by_code(self) -> dict[str, District]:
        return {district.code: district for district in self.districts}

    @property
    def beacon_chain(self) -> str:
        """The name of the beacon's chain; empty where there is none."""
        return self.beacon.chain if self.beacon else ""

    @property
    def consent_version(self) -> str | None:
        """Which text a registration must say that its holder has agreed to; None: none is asked for."""
        return self.service.consent.version if self.service and self.service.consent else None

    def district(self, code: str) -> District | None:
        """The district with this code, or None."""
        return self._by_code.get(code)

    def phase(self, day: date) -> Phase | None:
        """The phase in force on a day, or None before, between and after the phases."""
        return next((phase for phase in self.phases if day in phase), None)

    def local(self, t: datetime) -> datetime:
        """An aware datetime in the city's time.

        Raises:
            ValueError: `t` is naive; guessing the machine's zone would open doors at the wrong hour.
        """
        return in_zone(t, self.tz)

    def at(self, day: date, t: time) -> datetime:
        """The instant at which the city's clocks show this time of this day."""
        return at(day, t, self.tz)

    def is_open_hours(self, t: datetime) -> bool:
        """Whether the site is out of its maintenance hours at `t` (announcement A7)."""
        day = self.local(t).date()
        return self.at(day, self.open_hours.opens) <= t < self.at(day, self.open_hours.closes)

    def opens_after(self, t: datetime) -> datetime:
        """When residents can log in again: the first opening time after `t`."""
        day = self.local(t).date()
        while (opens_at := self.at(day, self.open_hours.opens)) <= t:
            day += timedelta(days=1)
        return opens_at

    def openings_of(self, district: District, day: date) -> list[tuple[datetime, datetime]]:
        """(opens_at, closes_at) of each of the district's openings on a day, in order.

        Where the clocks are put on, what is left of a window may be too short for its draw, or too close to the one
        before: that one is not held on that day.
        """
        found: list[tuple[datetime, datetime]] = []
        draw, grace = timedelta(seconds=self.policy.draw_seconds), timedelta(seconds=self.policy.grace_seconds)
        for window in district.windows:
            opens_at, closes_at = self.at(day, window.opens), self.at(day, window.closes)
            if closes_at - opens_at > draw and (not found or opens_at - found[-1][1] > grace):
                found.append((opens_at, closes_at))
        return found

    def opening_times(self, district: District, day: date, window: int = 1) -> tuple[datetime, datetime] | None:
        """(opens_at, closes_at) of one of the district's openings on a day, counted from 1; None without one."""
        openings = self.openings_of(district, day)
        return openings[window - 1] if window <= len(openings) else None

    def next_opening(self, district: District, after: datetime) -> tuple[datetime, datetime] | None:
        """The first opening with ``opens_at > after``; None without a window."""
        today = self.local(after).date()
        days = (today + timedelta(days=n) for n in range(3))  # on one of them a clock change may leave none
        return next((times for day in days for times in self.openings_of(district, day) if times[0] > after), None)

    def night_begins(self, day: date) -> datetime:
        """When the night of a day may begin: residents are out, and so are those who were let finish (A7, grace)."""
        return self.at(day, self.open_hours.closes) + timedelta(seconds=self.policy.grace_seconds)

    def latest_night(self, t: datetime) -> date:
        """The date of the last night that has begun by `t`."""
        day = self.local(t).date()
        while self.night_begins(day) > self.local(t):  # twice, where the grace goes on after midnight
            day -= timedelta(days=1)
        return day

    def night_ends(self, day: date) -> datetime:
        """Until when the night of a day may give slots: its first appointments can be cancelled until then (A8)."""
        return self.cancel_before(day + timedelta(days=self.policy.lead_days))

    def open_time(self, start: datetime, end: datetime) -> timedelta:
        """How much of the time from `start` to `end` residents can log in."""
        total, day = timedelta(), self.local(start).date()
        while day <= self.local(end).date():
            opens = max(start, self.at(day, self.open_hours.opens))
            closes = min(end, self.at(day, self.open_hours.closes))
            total += max(timedelta(), closes - opens)
            day += timedelta(days=1)
        return total

    def cancel_before(self, day: date) -> datetime:
        """Until when an appointment on this day may be cancelled: closing time of the day before (announcement A8)."""
        return self.at(day - timedelta(days=1), self.open_hours.closes)

    def place_in_day(self, period: str) -> int:
        """Where a period comes among those of the day, from 0; one that the city file has no more comes last."""
        return self._place_in_day.get(period, len(self._place_in_day))

    @cached_property
    def _place_in_day(self) -> dict[str, int]:
        return {code: place for place, code in enumerate(self.periods)}

    def period_times(self, day: date, period: str) -> tuple[datetime, datetime]:
        """(starts_at, ends_at) of an appointment: in the city's zone itself, whose name a calendar wants.

        Of a period that the city file has no more: the whole day of the sites.
        """
        all_day = list(self.periods.values())
        known = self.periods.get(period)
        opens, closes = (known or all_day[0]).opens, (known or all_day[-1]).closes
        return self.at(day, opens).astimezone(self.tz), self.at(day, closes).astimezone(self.tz)


def load_city(path: Path | None = None) -> City:
    """Read and check a city file; None is the shipped Guangzhou.

    Raises:
        CityError: the file cannot be read, is no TOML, or a value is not what was expected. One line, as
            "guangzhou.toml: policy.draw_seconds: expected `int`, got `str`".
    """
    path = SHIPPED_CITY if path is None else path
    try:
        tree = read_toml(path)
        city = convert(tree, City)
    except TomlError as error:
        raise CityError(f"{path.name}: {error}") from error
    except msgspec.ValidationError as error:
        raise CityError(f"{path.name}: {_explain(error, tree)}") from error
    problem = next(_problems(city), None)
    if problem is not None:
        raise CityError(f"{path.name}: {problem}")
    return city


_TABLES: dict[str, type[msgspec.Struct]] = {
    "": City,
    "open_hours": Window,
    "policy": Policy,
    "periods": Period,
    "papers": PapersPolicy,
    "papers.same_name": SameName,
    "sms": Sms,
    "calls": Calls,
    "imports": Imports,
    "assist": AssistLimits,
    "beacon": Beacon,
    "service": Service,
    "service.hotline_hours": Window,
    "service.consent": Consent,
    "sms.quiet_hours": QuietHours,
    "sms.ends": Ends,
    "districts": District,
    "districts.window": Window,
    "districts.windows": Window,
    "phases": Phase,
    "products": Product,
    "reserves": Reserve,
}


def _explain(error: msgspec.ValidationError, tree: dict[str, Any]) -> str:
    """In one line, the key always named in full."""
    fault = fault_of(error)
    table = re.sub(r"\[[^]]*\]", "", fault.path)
    for tables, kind in (("products", Product), ("periods", Period)):
        if fault.path.startswith(f"{tables}[...]"):  # msgspec does not say which of them
            fault = fault._replace(path=fault.path.replace("[...]", "." + _broken(tree[tables], kind)))
            table = tables
    return fault.in_words(_TABLES[table].__struct_encode_fields__ if fault.unknown else ())


def _broken(tables: dict[str, Any], kind: type[msgspec.Struct]) -> str:
    for name, table in tables.items():
        try:
            convert(table, kind)
        except msgspec.ValidationError:
            return name
    raise AssertionError("msgspec refused one of these and then accepted them all")


def _problems(city: City) -> Iterator[str]:
    """What the types alone cannot say, each as "key: expected ..."."""
    yield from _problems_of_hours(city)
    yield from problems_of_districts(city.districts, city.open_hours, city.policy)
    yield from problems_of_phases(city.phases)
    yield from problems_of_products(city.products)
    yield from problems_of_policy(city.policy)
    yield from problems_of_periods(city.periods)
    yield from problems_of_sms(city.sms)
    yield from problems_of_calls(city.calls, city.policy)
    yield from problems_of_reserves(city.reserves)
    if city.beacon is not None:
        yield from problems_of_beacon(city.beacon)
    if city.service is not None:
        yield from problems_of_service(city.service)


def _problems_of_hours(city: City) -> Iterator[str]:
    try:
        ZoneInfo(city.timezone)
    except (KeyError, ValueError, OSError):  # unknown, not a name at all, a folder of zones
        yield f"timezone: expected an IANA time zone such as `Asia/Shanghai`, got `{city.timezone}`"
    if city.open_hours.opens >= city.open_hours.closes:
        yield "open_hours: expected opens before closes"
