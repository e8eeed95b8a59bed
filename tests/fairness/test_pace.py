"""About how many nights more: from how far the slots came in the nights before."""

from datetime import date, timedelta

import pytest

from server.fairness.pace import pace_of

NIGHT = date(2021, 6, 25)


def may(day: int) -> date:
    return date(2021, 5, day)


@pytest.mark.parametrize(
    ("mine", "reached", "earlier", "nights"),
    [
        (may(20), may(12), {4: may(4)}, 4),  # eight days in four nights, eight more to go
        (may(21), may(12), {4: may(4)}, 5),  # four and a half: rounded up
        (may(13), may(12), {4: may(4)}, 1),
        (may(20), may(12), {7: may(5), 1: may(4)}, 8),  # the earliest night counts: seven days in seven nights
        (may(20), may(12), {7: None, 2: may(10)}, 8),  # which came to nobody says nothing
    ],
)
def test_the_days_to_go_by_the_days_that_a_night_took(
    mine: date, reached: date, earlier: dict[int, date | None], nights: int
) -> None:
    before = [(NIGHT - timedelta(days=n), came_to) for n, came_to in earlier.items()]
    found = pace_of(mine, NIGHT, reached, before)
    assert found is not None and found.nights == nights
    assert (found.since, found.reached) == next((day, came_to) for day, came_to in before if came_to)


@pytest.mark.parametrize(
    ("mine", "earlier"),
    [
        (may(20), {}),
        (may(20), {3: None}),
        (may(20), {3: may(12)}),  # it stands still
        (may(20), {3: may(14)}),  # it went back
        (may(12), {3: may(4)}),  # it has come to them: the lot decided
        (may(11), {3: may(4)}),
        (date(2022, 5, 1), {3: may(11)}),  # years
    ],
)
def test_where_nobody_knows_nothing_is_said(mine: date, earlier: dict[int, date | None]) -> None:
    before = [(NIGHT - timedelta(days=n), came_to) for n, came_to in earlier.items()]
    assert pace_of(mine, NIGHT, may(12), before) is None


def test_the_first_night_says_nothing_of_itself() -> None:
    assert pace_of(may(20), NIGHT, may(12), [(NIGHT, may(4))]) is None
