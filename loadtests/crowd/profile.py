"""What a crowd is like, read from a small TOML file: `loadtests/crowds/*.toml`.

The files say where each number comes from; most are assumptions, and the report repeats them. How many come, and for
how long, is not the crowd's: residents and minutes are flags.
"""

from __future__ import annotations

from datetime import time
from typing import Annotated, Literal

import msgspec

Code = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]{1,12}\Z")]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Moment = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Range = tuple[Seconds, Seconds]
"""From and to, in seconds; uniform between them."""


class HomeDistrict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A district, and how many of the crowd live there: by its `population`, or as a `share`; one of the two."""

    code: Code
    population: Annotated[int, msgspec.Meta(gt=0)] | None = None
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None

    @property
    def weight(self) -> float:
        """Say how many live there, against the others."""
        return self.population or self.share or 0.0


class ArrivalPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the crowd, and when it comes (`crowd/arrivals.py`); one part may leave its `share` out: the rest.

    `constant_seconds`: of `decay`, `wave` and `television`, which fall off exponentially (`decay` without one: a third
    of the run). `at_minutes`: of `wave`, one wave at each, all alike. `at`: of `television`, the city's time.
    """

    curve: Literal["door", "decay", "even", "stampede", "wave", "television"]
    share: Share | None = None
    constant_seconds: Moment | None = None
    at_minutes: tuple[Annotated[float, msgspec.Meta(ge=0, le=1440)], ...] = ()
    at: time | None = None


class Door(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of those at the door: the share who press before the opening, how early, and who check their eligibility."""

    early: Share = 0.0
    early_seconds: Moment = 8.0
    checks: Share = 0.0


class Ineligible(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of the crowd who must be refused, by reason; everybody else is eligible.

    `too_soon` is the wrong day: the first dose is too recent for today.
    """

    too_soon: Share = 0.0
    wrong_district: Share = 0.0
    no_first_dose: Share = 0.0
    complete: Share = 0.0


class Habits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of the crowd who do what a tidy resident would not (`loadtests.crowd.Behaviour`)."""

    refreshes: Share = 0.0
    second_device: Share = 0.0
    gives_up: Share = 0.0
    comes_back_late: Share = 0.0
    never_claims: Share = 0.0
    impatient: Share = 0.0
    repeats: Share = 0.0
    leaves_form: Share = 0.0
    types_sloppily: Share = 0.0
    mistypes_name: Share = 0.0


class Afterthoughts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of those registered (`loadtests.crowd.Afterthought`)."""

    changes: Share = 0.0
    cancels: Share = 0.0
    returns: Share = 0.0
    loses_receipt: Share = 0.0


class Reactions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of those to whom it happens.

    Attributes:
        rejoins: of those who missed their call, who join again at the back.
        regrets: of those who gave up, who start again at the back.
        strangers_ask: of those in no registry, who ask for a code by SMS once refused.
        looks: whose look at the city and the opening reaches the server, past the cache in front.
        sites: of those at the form, whose look at the sites reaches the server.
        more_time: of those called, who ask for more time.
        shows_qr: of those registered, whose receipt shows its QR image.
    """

    rejoins: Share = 0.0
    regrets: Share = 0.0
    strangers_ask: Share = 0.0
    looks: Share = 0.0
    sites: Share = 0.0
    more_time: Share = 0.0
    shows_qr: Share = 1.0


class Impatience(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long until those who give up do, and how often, and after what pauses, those who refresh do."""

    gives_up_after: Range
    refreshes_every: Range
    refreshes: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1


class PaceRanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long people take, in a run of ten minutes or more; shorter runs are lived faster (`resident/acts.py`)."""

    think: Range
    fill_form: Range
    forget: Range
    reconsider: Range


class Families(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Share of the crowd who come as a family with one phone; they type their papers one after the other."""

    share: Share = 0.0
    size: Annotated[int, msgspec.Meta(ge=2, le=10)] = 3
    seconds_apart: Seconds = 40.0


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device on its line, and the share of the crowd who have it (`loadtests.crowd.network`).

    Attributes:
        latency_ms: median round trip.
        latency_p95_ms: the round trip that one in twenty exceeds: the spread.
        loss: share of requests that are lost and sent again, after `retry_seconds`, then twice that, and so on.
        upload_bytes_per_second: what the line takes; None: a request takes it no time.
        reconnects: share of requests for which the connection must be made anew.
    """

    name: Text
    share: Share
    latency_ms: Annotated[float, msgspec.Meta(ge=0, le=10_000)]
    latency_p95_ms: Annotated[float, msgspec.Meta(ge=0, le=60_000)]
    loss: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.0
    retry_seconds: Moment = 1.0
    upload_bytes_per_second: Annotated[float, msgspec.Meta(ge=100)] | None = None
    reconnects: Share = 0.0


class Browsers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What browsers do with their connections, where each resident has their own (`generator/connections.py`).

    Attributes:
        keep_alive_seconds: how long an idle one is kept, where the server does not end it before.
        spare: share of connections that are opened together with another one, as for a second tab, which stays idle.
    """

    keep_alive_seconds: Moment = 115.0
    spare: Share = 0.0


class Asleep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Share of the crowd who close the page once they have a place, as their phone would, and how they come back.

    Attributes:
        asks_for_sms: share of these who have themselves called by SMS.
        looks_every: seconds between the looks of the others, in a run of ten minutes; shorter runs are lived faster.
        wakes_within: seconds from a message to the opened page.
    """

    share: Share = 0.0
    asks_for_sms: Share = 1.0
    looks_every: Range = (300, 1200)
    wakes_within: Range = (5, 60)


BotKind = Literal[
    "fast-poller", "forger", "replayer", "code-hammer", "slow-head", "slow-body", "idle-herd", "connection-flood"
]
CONNECTION_KINDS: tuple[BotKind, ...] = ("slow-head", "slow-body", "idle-herd", "connection-flood")
"""Those that abuse connections, and hear no answers (`generator/connection_bots.py`)."""


class Bots(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Programs of one kind (`resident/bots.py`), besides the residents: how many for each of them, and their beat.

    Attributes:
        connections: of each program that abuses connections.
        borne_seconds: how long a server may let one of those stand at the most; None: it promises nothing.
    """

    kind: BotKind
    per_resident: Annotated[float, msgspec.Meta(gt=0, le=1)]
    every_seconds: Moment
    connections: Annotated[int, msgspec.Meta(ge=1, le=500)] = 1
    borne_seconds: Moment | None = None


class CrowdProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A crowd file.

    Attributes:
        about: one line: what this crowd is for.
        come: districts that come, where the run does not say which.
        plain_share: of the crowd, whose client is old or without scripts: it asks a worker how its place stands, where
            the others look at the public answer. Called that in the file.
        request_bytes: of a request as a browser sends it, for the time that it takes on a slow line.
    """

    about: Text
    come: Annotated[tuple[Code, ...], msgspec.Meta(min_length=1)]
    districts: Annotated[tuple[HomeDistrict, ...], msgspec.Meta(min_length=1)]
    arrivals: Annotated[tuple[ArrivalPart, ...], msgspec.Meta(min_length=1)]
    impatience: Impatience
    pace: PaceRanges
    door: Door = Door()
    ineligible: Ineligible = Ineligible()
    habits: Habits = Habits()
    afterthoughts: Afterthoughts = Afterthoughts()
    reactions: Reactions = msgspec.field(default=Reactions(), name="whims")  # the key in crowd files
    families: Families = Families()
    networks: tuple[Network, ...] = ()
    plain_share: Share = 0.03
    request_bytes: Annotated[int, msgspec.Meta(gt=0)] = 800
    bots: tuple[Bots, ...] = ()
    browsers: Browsers = Browsers()
    asleep: Asleep = Asleep()

    @property
    def eligible(self) -> float:
        """Return the share of the crowd who may register today, in the district where they queue."""
        return 1 - sum(shares_of(self.ineligible).values())


def shares_of(table: msgspec.Struct) -> dict[str, float]:
    """Return a table of shares by name, in the order of its keys."""
    return {name: getattr(table, name) for name in table.__struct_fields__}


def per_mille(share: float) -> int:
    """Return a share in thousandths; crowds are counted in these."""
    return round(share * 1000)
