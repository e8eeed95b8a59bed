"""Who may register when. All dates are worked out by hand from the announcement and the guideline."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.city import City, load_city
from server.records.first_dose import FirstDose
from server.registry.eligibility import Verdict, judge
from tests.support import SUPPORT

GUANGZHOU = load_city()
SMALL = load_city(SUPPORT / "cities" / "small.toml")
ELIGIBLE = Verdict(eligible=True, reason=None, eligible_from=None)


def day_of_2021(text: str) -> date:
    return date.fromisoformat(f"2021-{text}")


def in_guangzhou(day: str, product: str, first_dose_day: str | None, district: str | None = "440106") -> Verdict:
    dose = first_dose_day and FirstDose(day=day_of_2021(first_dose_day), product=product, district="440106")
    return judge(GUANGZHOU, day_of_2021(day), dose or None, district)


@pytest.mark.parametrize(
    ("day", "product", "first_dose_day"),
    [
        # A1: at least 36 days before the day of registering: 14 / 15 / 16 May.
        ("06-19", "inactivated", "05-14"),
        ("06-20", "inactivated", "05-15"),
        ("06-21", "inactivated", "05-16"),
        ("06-19", "inactivated", "01-04"),
        ("06-19", "cho", "05-14"),
        ("06-21", "cho", "05-16"),
        # A2: from the 22nd the interval alone counts, on the appointment's day: D + 2 at the earliest.
        ("06-22", "inactivated", "05-17"),
        ("06-22", "inactivated", "06-03"),  # + 21 = 24 June
        ("06-22", "cho", "05-27"),  # + 28 = 24 June
        ("06-28", "inactivated", "06-09"),  # not of A3's priority cohort, and welcome all the same
        ("06-30", "inactivated", "06-11"),  # + 21 = 2 July
        ("06-30", "cho", "06-04"),  # + 28 = 2 July
        # A4: second doses by their interval, first doses too.
        ("07-01", "inactivated", "06-12"),  # + 21 = 3 July
        ("07-01", "cho", "06-05"),  # + 28 = 3 July
        ("07-01", "", None),
        ("12-31", "", None),
    ],
)
def test_eligible(day: str, product: str, first_dose_day: str | None) -> None:
    assert in_guangzhou(day, product, first_dose_day) == ELIGIBLE


@pytest.mark.parametrize(
    ("day", "product", "first_dose_day", "eligible_from"),
    [
        # A1, one day too few.
        ("06-19", "inactivated", "05-15", "06-20"),
        ("06-19", "inactivated", "05-16", "06-21"),
        ("06-20", "inactivated", "05-16", "06-21"),
        ("06-19", "cho", "05-15", "06-20"),
        # Phase 1 ends before the 36th day: phase 2 is open to them from its first day.
        ("06-19", "inactivated", "05-17", "06-22"),
        ("06-21", "inactivated", "05-17", "06-22"),
        ("06-21", "inactivated", "06-03", "06-22"),
        ("06-21", "inactivated", "06-04", "06-23"),
        # A2, one day too few.
        ("06-22", "inactivated", "06-04", "06-23"),
        ("06-22", "cho", "05-28", "06-23"),
        ("06-22", "inactivated", "06-09", "06-28"),
        ("06-27", "inactivated", "06-09", "06-28"),
        ("06-30", "inactivated", "06-12", "07-01"),
        ("06-30", "cho", "06-05", "07-01"),
        # A4, one day too few.
        ("07-01", "inactivated", "06-13", "07-02"),
        ("07-01", "cho", "06-06", "07-02"),
        ("07-01", "inactivated", "07-01", "07-20"),
    ],
)
def test_too_soon_says_from_when(day: str, product: str, first_dose_day: str, eligible_from: str) -> None:
    expected = Verdict(eligible=False, reason="too-soon", eligible_from=day_of_2021(eligible_from))
    assert in_guangzhou(day, product, first_dose_day) == expected


@pytest.mark.parametrize(
    ("day", "first_dose_day", "eligible_from"),
    [
        ("06-18", "05-14", "06-19"),
        ("06-18", "05-15", "06-20"),
        ("06-18", "05-17", "06-22"),
        ("01-01", "06-04", "06-23"),
        ("06-18", None, "07-01"),
    ],
)
def test_before_the_phases_says_from_when(day: str, first_dose_day: str | None, eligible_from: str) -> None:
    expected = Verdict(eligible=False, reason="before-phases", eligible_from=day_of_2021(eligible_from))
    assert in_guangzhou(day, "inactivated", first_dose_day) == expected


@pytest.mark.parametrize("day", ["06-19", "06-21", "06-22", "06-30"])
def test_first_doses_wait_for_july(day: str) -> None:
    expected = Verdict(eligible=False, reason="no-first-dose", eligible_from=date(2021, 7, 1))
    assert in_guangzhou(day, "", None) == expected


@pytest.mark.parametrize("day", ["06-18", "06-19", "06-22", "07-01"])
@pytest.mark.parametrize("district", ["440106", "440111"])
def test_one_dose_of_adenovirus_is_complete(day: str, district: str) -> None:
    expected = Verdict(eligible=False, reason="complete", eligible_from=None)
    assert in_guangzhou(day, "adenovirus", "03-01", district) == expected


def test_the_second_dose_is_in_the_district_of_the_first() -> None:
    wrong = Verdict(eligible=False, reason="wrong-district", eligible_from=None)
    assert in_guangzhou("06-19", "inactivated", "05-14", "440111") == wrong
    assert in_guangzhou("06-19", "inactivated", "05-14", None) == ELIGIBLE


def test_the_district_is_asked_last() -> None:
    too_soon = in_guangzhou("06-19", "inactivated", "05-15", "440111")
    assert too_soon == Verdict(eligible=False, reason="too-soon", eligible_from=date(2021, 6, 20))


@pytest.mark.parametrize("district", ["440106", "440111", None])
def test_a_first_dose_is_welcome_in_any_district(district: str | None) -> None:
    assert in_guangzhou("07-01", "", None, district) == ELIGIBLE


@pytest.mark.parametrize(
    ("day", "first_dose_day", "reason", "eligible_from"),
    [
        # Phase 1: 30 days, 1 to 31 March. Phase 2: 11 to 20 April. 10 days to the appointment, D + 1.
        ("2022-03-20", "2022-03-01", "too-soon", "2022-03-31"),
        ("2022-03-20", "2022-03-02", "too-soon", "2022-04-11"),
        ("2022-04-05", "2022-03-02", "before-phases", "2022-04-11"),
        ("2022-04-05", None, "before-phases", "2022-04-11"),
        ("2022-03-20", None, "no-first-dose", "2022-04-11"),
        ("2022-04-13", "2022-04-11", "too-soon", "2022-04-20"),
        ("2022-04-13", "2022-04-12", "too-soon", None),
        ("2022-04-21", "2022-03-01", "after-phases", None),
        ("2022-04-21", None, "after-phases", None),
    ],
)
def test_another_city_s_rules(day: str, first_dose_day: str | None, reason: str, eligible_from: str | None) -> None:
    dose = FirstDose(date.fromisoformat(first_dose_day), "twice", "north") if first_dose_day else None
    verdict = judge(SMALL, date.fromisoformat(day), dose, "north")
    assert (verdict.eligible, verdict.reason) == (False, reason)
    assert verdict.eligible_from == (date.fromisoformat(eligible_from) if eligible_from else None)


@given(
    st.sampled_from([(GUANGZHOU, "inactivated", date(2021, 4, 1)), (SMALL, "twice", date(2022, 2, 1))]),
    st.integers(0, 110),
    st.none() | st.integers(0, 110),
)
def test_the_day_told_is_the_first_eligible_day(
    place: tuple[City, str, date], day_no: int, dose_no: int | None
) -> None:
    city, product, start = place
    day = start + timedelta(days=day_no)
    dose = None if dose_no is None else FirstDose(start + timedelta(days=dose_no), product, "x")
    verdict = judge(city, day, dose, None)
    days = [day + timedelta(days=n) for n in range(150)]
    first = next((d for d in days if judge(city, d, dose, None).eligible), None)
    assert first == (day if verdict.eligible else verdict.eligible_from)


def test_an_unknown_product_is_an_error_not_a_verdict() -> None:
    with pytest.raises(KeyError):
        in_guangzhou("06-19", "homeopathy", "05-14")
