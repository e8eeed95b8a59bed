"""The result file of a night: everything that is needed to allot it again, and what came out, on lines of JSON.

The first line is the head: the rules, the seed with the commitment that was public before the night, the slots that
were free, the Merkle root of the list as it was frozen and, from the second version on, when that was and the beacon's
round that the lots are bound to as well. Then one line a registration, in order. The last line is
the foot: the counts and the Merkle root of all lines before it. No name, number of papers, phone or resident key.

Every line is written in exactly one way (fields in the order of the structs below, what is empty left out, no spaces),
so that a file can be compared octet by octet.
"""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Final, Literal

import msgspec

from server.core.keys import day_tag
from server.fairness.allotment import Candidate, OfferedSlot, Rules, WhyNot
from server.fairness.allotment.reserves import Letter, Letters, bits_of
from server.fairness.lots import BeaconRound, Lots, Version

Format = Literal["jiaohao allotment 1", "jiaohao allotment 2", "jiaohao allotment 3"]
FORMATS: Final[dict[Version, Format]] = {1: "jiaohao allotment 1", 2: "jiaohao allotment 2"}
WITH_RESERVES: Final[Format] = "jiaohao allotment 3"


def format_of(rules: Rules, lots: Lots) -> Format:
    """How the file of a night is written: the third form is of the nights with reserves, whose lots are of the second
    version."""
    return WITH_RESERVES if rules.reserves else FORMATS[lots.version]


Number = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{15}\Z")]
Hash = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class Head(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The first line. `slots`: date, site, period of the day, product, how many were free.

    `frozen_ms` and `beacon`: of the second version; without a beacon the city names none.
    """

    format: Format
    rules: Rules
    commitment: Hash
    seed: Hash
    registrations: Count
    list_root: Hash
    slots: list[tuple[date, str, str, str, Count]]
    frozen_ms: Annotated[int, msgspec.Meta(ge=1, le=10**14)] | None = None
    beacon: BeaconRound | None = None

    @property
    def lots(self) -> Lots:
        """What the lots were drawn from."""
        return Lots(bytes.fromhex(self.seed), 1 if self.format == FORMATS[1] else 2, self.frozen_ms, self.beacon)

    @property
    def tag(self) -> str:
        """Of the district's night."""
        return day_tag(self.rules.district, self.rules.date)

    def offered(self) -> list[tuple[OfferedSlot, int]]:
        """As `Rules.offered` gives them."""
        return [(OfferedSlot(day, site, period, product), free) for day, site, period, product, free in self.slots]


class Entry(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A registration as it was frozen: what the seed and the slots have no part in."""

    no: Number
    cohort: Annotated[int, msgspec.Meta(ge=0, le=3)]
    first_dose: date | None = None
    product: str = ""
    wishes: Sequence[tuple[str, str]] = msgspec.field(default_factory=list)
    any_site: bool = False
    not_before: date | None = None
    together: Number | None = None
    reserves: Letters = ""


class Line(Entry, kw_only=True):
    """A registration and what it got: `slot` (date, site, period of the day, product), or the reason why not.

    `by`: the letter of the reserve that gave the slot; without one it was an open seat.
    """

    tie: Hash
    slot: tuple[date, str, str, str] | None = None
    by: Annotated[str, msgspec.Meta(pattern=r"\A[A-H]?\Z")] = ""
    moved: bool = False
    reason: WhyNot | None = None
    reached: date | None = None

    def candidate(self) -> Candidate:
        """What goes into the allotment."""
        return Candidate(
            self.no, self.first_dose, self.product, self.wishes, self.any_site, self.not_before,
            self.cohort == 0, self.together, bits_of(self.reserves),
        )  # fmt: skip


class GivenByReserve(msgspec.Struct, forbid_unknown_fields=True):
    """What a reserve gave: how many seats, and how far they came, as in `Foot`; where they went by lot, no dates."""

    given: Count
    reached: list[date | None]


class Foot(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The last line. `reached`: cohort 0 to 3 -> first-dose date of the last one in it who got a slot.

    With reserves that is of the open seats, and `by_reserve` is of the reserves' own.
    """

    counts: dict[str, Count]
    reached: list[date | None]
    root: Hash
    by_reserve: dict[Letter, GivenByReserve] = msgspec.field(default_factory=dict)


encode = msgspec.json.Encoder().encode
