"""The city file: districts, windows, phases, products and policy, decoded from TOML into typed structs.

Another city is another file. Where the announcement is silent the value is ours, and it stands in the file.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from server.core.city_imports import Imports
from server.core.clock import at, in_zone
from server.core.faults import fault_of
from server.core.languages import Language
from server.core.papers import PapersPolicy
from server.core.periods import Period, day_periods, problems_of_periods
from server.core.same_name import SameName
from server.core.sms import Ends, QuietHours, Sms, problems_of_sms
from server.core.toml_file import TomlError, convert, read_toml
from server.core.windows import Window as Window
from server.core.windows import problems_of_windows

SHIPPED_CITY = Path(__file__).parent / "cities" / "guangzhou.toml"
"""The city file used when none is given."""

Code = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]{1,12}\Z")]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Positive = Annotated[int, msgspec.Meta(gt=0)]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]
Wrong = Annotated[int, msgspec.Meta(ge=1, le=100)]
Rate = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]  # the ceiling also keeps `inf` and `nan` out


class CityError(ValueError):
    """The city file cannot be used; the message names the file, the key and what was expected."""


class District(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A district. ``no`` is its two digits in registration numbers; without a window nobody can join there.

    ``windows`` are in the order of the day, each with an opening of its own; the file may also say ``window`` where
    there is one. ``rate_per_second`` (calls) and ``max_active`` (passes alive), where set, override the policy.
    """

    code: Code
    no: Annotated[int, msgspec.Meta(ge=1, le=99)]
    name_zh: Text
    name_en: Text
    population: NotNegative = 0
    only_window: Window | None = msgspec.field(default=None, name="window")
    windows: tuple[Window, ...] = ()
    rate_per_second: Rate | None = None
    max_active: Positive | None = None

    def __post_init__(self) -> None:
        if self.only_window is None:
            return
        if self.windows not in ((), (self.only_window,)):
            raise ValueError("expected window or windows, got both")
        msgspec.structs.force_setattr(self, "windows", (self.only_window,))


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may register from ``starts`` to ``ends``, both inclusive; ``ends`` None is an open end (A1-A4)."""

    name: Text
    rule_zh: Text
    rule_en: Text
    starts: date
    ends: date | None = None
    min_days_since_first_dose: NotNegative = 0
    first_doses: bool = False
    priority_first_dose_before: date | None = None

    def __contains__(self, day: date) -> bool:
        return self.starts <= day and (self.ends is None or day <= self.ends)


class Product(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A vaccine. ``min_interval_days`` (first to second dose) None: never a second-dose applicant."""

    name_zh: Text
    name_en: Text
    doses: Positive
    min_interval_days: Positive | None = None


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the announcement leaves to us: the draw, the calls, the polls, no-shows, the lead of the night, retention.

    ``rate_per_second``, ``max_active`` and the poll budget hold per opening. Who has given up ``places_per_person``
    places in an opening gets no other one there. ``turn_seconds`` is how long somebody called is taken to need
    until they have registered, as long as too few have for it to be measured: waits are told by it. The night of
    day D allots dates from D + ``lead_days`` to D + ``horizon_days``, both inclusive. After ``tell_after_nights``
    nights without a slot a resident is told so. A no-show counts only where the SMS was accepted while at least
    ``cancel_notice_hours`` of open time were left to cancel; more than ``no_show_limit`` of them bar the resident
    (announcement A9). What is over for ``retention_days`` is deleted by `jiaohao purge`. A dose that a desk reports of
    somebody who does not hold that appointment any more is kept for the operator and, where the roster had them,
    reconciled (``attendance_off_roster``); or only kept; or refused. So many wrong names or phones are compared with a
    person's registry line in ten minutes, and in a day; then only a code by SMS opens the door, and other answers are
    held back for ``wrong_papers_held_seconds``, those before that for a quarter of it.
    """

    draw_seconds: Positive = 120
    claim_seconds: Positive = 300
    pass_seconds: Positive = 600
    grace_seconds: NotNegative = 600
    rate_per_second: Rate = 100.0
    max_active: Positive = 30_000
    places_per_person: Positive = 5
    turn_seconds: Positive = 60
    poll_floor_seconds: Positive = 5
    poll_ceiling_seconds: Positive = 600
    poll_budget_per_second: Positive = 1500
    no_show_limit: NotNegative = 2
    lead_days: Positive = 2
    horizon_days: Annotated[int, msgspec.Meta(ge=0, le=34)] = 14
    tell_after_nights: Positive = 3
    cancel_notice_hours: Annotated[int, msgspec.Meta(ge=0, le=24)] = 4
    retention_days: Positive = 90
    attendance_off_roster: Literal["reconcile", "keep", "refuse"] = "reconcile"
    wrong_papers_in_ten_minutes: Wrong = 5
    wrong_papers_in_a_day: Wrong = 20
    wrong_papers_held_seconds: Annotated[float, msgspec.Meta(ge=0, le=10)] = 1.0


class City(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A city and its timetable. Instants go in as aware datetimes and come out in the city's time zone.

    ``default_language``: of pages, problems and messages for whoever asks for neither Chinese nor English.
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
    papers: PapersPolicy = PapersPolicy()
    imports: Imports = Imports()
    default_language: Language = "zh"

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
    "imports": Imports,
    "sms.quiet_hours": QuietHours,
    "sms.ends": Ends,
    "districts": District,
    "districts.window": Window,
    "districts.windows": Window,
    "phases": Phase,
    "products": Product,
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
    yield from _problems_of_districts(city)
    yield from _problems_of_phases(city)
    for name, product in city.products.items():
        if (product.doses > 1) != (product.min_interval_days is not None):
            expected = "a number of days" if product.doses > 1 else "none"
            yield f"products.{name}.min_interval_days: expected {expected}, as doses is {product.doses}"
    if city.policy.poll_floor_seconds > city.policy.poll_ceiling_seconds:
        yield "policy.poll_floor_seconds: expected no more than poll_ceiling_seconds"
    if city.policy.horizon_days < city.policy.lead_days:
        yield "policy.horizon_days: expected no less than lead_days"
    if city.policy.wrong_papers_in_a_day < city.policy.wrong_papers_in_ten_minutes:
        yield "policy.wrong_papers_in_a_day: expected no less than wrong_papers_in_ten_minutes"
    yield from problems_of_periods(city.periods)
    yield from problems_of_sms(city.sms)


def _problems_of_hours(city: City) -> Iterator[str]:
    try:
        ZoneInfo(city.timezone)
    except (KeyError, ValueError, OSError):  # unknown, not a name at all, a folder of zones
        yield f"timezone: expected an IANA time zone such as `Asia/Shanghai`, got `{city.timezone}`"
    if city.open_hours.opens >= city.open_hours.closes:
        yield "open_hours: expected opens before closes"


def _problems_of_districts(city: City) -> Iterator[str]:
    codes: set[str] = set()
    numbers: set[int] = set()
    for index, district in enumerate(city.districts):
        key = f"districts[{index}]"
        if district.code in codes:
            yield f"{key}.code: expected a code of its own, got `{district.code}` again"
        if district.no in numbers:
            yield f"{key}.no: expected a number of its own, got {district.no} again"
        codes.add(district.code)
        numbers.add(district.no)
        where = f"{key}.windows{{}}" if district.only_window is None else f"{key}.window"
        policy = city.policy
        yield from problems_of_windows(
            where, district.windows, city.open_hours, policy.draw_seconds, policy.grace_seconds
        )


def _problems_of_phases(city: City) -> Iterator[str]:
    last_end = date.min
    for index, phase in enumerate(city.phases):
        key = f"phases[{index}]"
        if phase.ends is not None and phase.ends < phase.starts:
            yield f"{key}.ends: expected a day not before starts"
        if index and phase.starts <= last_end:
            yield f"{key}.starts: expected a day after the end of the phase before it"
        last_end = phase.ends or date.max
