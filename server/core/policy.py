"""What the announcement leaves to the city, and what a file may say of it."""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from server.core.values import MostWrong, NotNegative, Positive, Rate


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the announcement leaves to us: the draw, the calls, the polls, no-shows, the lead of the night, retention.

    ``rate_per_second``, ``max_active`` and the budgets hold per opening: of polls, which only a worker can
    answer, and of looks at the public answer, which a cache in front may carry. Who has given up ``places_per_person``
    places in an opening gets no other one there. ``turn_seconds`` is how long somebody called is taken to need
    until they have registered, as long as too few have for it to be measured: waits are told by it. The night of
    day D allots dates from D + ``lead_days`` to D + ``horizon_days``, both inclusive. After ``tell_after_nights``
    nights without a slot a resident is told so. A no-show counts only where the SMS was accepted while at least
    ``cancel_notice_hours`` of open time were left to cancel; more than ``no_show_limit`` of them bar the resident
    (announcement A9). What is over for ``retention_days`` is deleted by `jiaohao purge`. A dose that a desk reports of
    somebody who does not hold that appointment any more is kept for the operator and, where the roster had them,
    reconciled (``attendance_off_roster``); or only kept; or refused. So many wrong names or phones are compared with a
    person's registry line in ten minutes, and in a day; then only a code by SMS opens the door, and other answers are
    held back for ``wrong_papers_held_seconds``, those before that for a quarter of it. A desk looks up so many people
    by name a minute (``lookups_per_minute``), each token for itself.
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
    look_budget_per_second: Positive = 4000
    no_show_limit: NotNegative = 2
    lead_days: Positive = 2
    horizon_days: Annotated[int, msgspec.Meta(ge=0, le=34)] = 14
    tell_after_nights: Positive = 3
    cancel_notice_hours: Annotated[int, msgspec.Meta(ge=0, le=24)] = 4
    retention_days: Positive = 90
    attendance_off_roster: Literal["reconcile", "keep", "refuse"] = "reconcile"
    wrong_papers_in_ten_minutes: MostWrong = 5
    wrong_papers_in_a_day: MostWrong = 20
    wrong_papers_held_seconds: Annotated[float, msgspec.Meta(ge=0, le=10)] = 1.0
    lookups_per_minute: Positive = 20


def problems_of_policy(policy: Policy) -> Iterator[str]:
    """What a city's policy must not be, each as "policy.key: expected ..."."""
    if policy.poll_floor_seconds > policy.poll_ceiling_seconds:
        yield "policy.poll_floor_seconds: expected no more than poll_ceiling_seconds"
    if policy.horizon_days < policy.lead_days:
        yield "policy.horizon_days: expected no less than lead_days"
    if policy.wrong_papers_in_a_day < policy.wrong_papers_in_ten_minutes:
        yield "policy.wrong_papers_in_a_day: expected no less than wrong_papers_in_ten_minutes"
