"""The synthetic city: residents with valid papers, each computed from (seed, index) alone.

No resident is stored: `Crowd.resident(i)` is a pure function, so that six hundred thousand of them cost
nothing until they act, and a second process makes the same ones. Papers follow `domain.md`: GB 11643-1999
with its ISO 7064 MOD 11-2 check character, travel permits, passports.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import NamedTuple

from loadtests.crowd.behaviour import Afterthought, Behaviour
from loadtests.crowd.crowd_file import load_profile
from loadtests.crowd.papers import GIVEN, made_up_name, resident_id_number, sloppy
from loadtests.crowd.profile import CrowdProfile, per_mille, shares_of

_MASK = (1 << 64) - 1
_BIRTHS_FROM = date(1931, 1, 1)
_BIRTH_DAYS = 26_000  # to 2002-03: adults
_PAPERS = _BIRTH_DAYS * 1000  # three digits of sequence a day
_PHONES = 7_000_000_000  # 13000000000 .. 19999999999


class Resident(NamedTuple):
    """One line of the registry, and how its owner behaves. `district` is where they live and queue."""

    id_type: str
    id_number: str
    name: str
    phone: str
    first_dose: date
    product: str
    district: str
    behaviour: Behaviour


class Wishes(NamedTuple):
    """What a resident asks for: (site, period) in order, whether any site will do, and a date or ""."""

    preferences: tuple[tuple[str, str], ...]
    accept_any_site: bool
    not_before: str = ""


def mix(value: int) -> int:
    """Return 64 well-stirred bits of any integer (the finaliser of SplitMix64)."""
    value &= _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


@dataclass(frozen=True)
class Crowd:
    """`residents` people of `districts`, on `day`, all from `seed`, with the shares of `profile`.

    Districts share the residents as the crowd's file says (equally where it does not know one of them).
    """

    residents: int
    districts: tuple[str, ...]
    day: date
    seed: int = 1
    profile: CrowdProfile = field(default_factory=load_profile)

    _homes: bytes = field(default=b"", init=False, repr=False)
    _behaviours: tuple[Behaviour, ...] = field(default=(), init=False, repr=False)
    _thoughts: tuple[Afterthought, ...] = field(default=(), init=False, repr=False)
    _start: int = field(default=0, init=False, repr=False)
    _births: tuple[str, ...] = field(default=(), init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.residents <= _PAPERS:
            raise ValueError(f"residents: expected 1..{_PAPERS}, got {self.residents}")
        if not self.districts:
            raise ValueError("districts: expected at least one")
        if self.profile.ineligible.wrong_district and not self._elsewhere():
            raise ValueError("districts: expected one of the crowd's to be left, for those of the wrong district")
        known = {district.code: district.weight for district in self.profile.districts}
        weights = [known[code] if known.keys() >= set(self.districts) else 1 for code in self.districts]
        # a table of a thousand slots answers "which district" and "which behaviour" in O(1)
        ends = [round(1000 * sum(weights[: k + 1]) / sum(weights)) for k in range(len(weights))]
        homes = bytes(next(k for k, end in enumerate(ends) if slot < end) for slot in range(1000))
        behaviours = tuple(map(Behaviour, _slots(self.behaviour_shares())))
        thoughts = tuple(map(Afterthought, _slots(self.afterthought_shares())))
        start = mix(self.seed * 0x9E3779B97F4A7C15 + 1)
        births = [(_BIRTHS_FROM + timedelta(days=k)).strftime("%Y%m%d") for k in range(_BIRTH_DAYS)]
        for name, value in (
            ("_homes", homes), ("_behaviours", behaviours), ("_thoughts", thoughts), ("_start", start),
            ("_births", births),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    def stir(self, i: int, salt: int = 0) -> int:
        """Return 64 bits that belong to resident `i` (and `salt`), the same in every process."""
        # `mix`, spelled out: it is what is called most
        value = (self._start + i * 0x9E3779B97F4A7C15 + salt * 0xD1B54A32D192ED03) & _MASK
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
        return value ^ (value >> 31)

    def behaviour_shares(self) -> list[tuple[Behaviour, float]]:
        """Say what share of the residents behaves how; the others are ordinary."""
        shares = shares_of(self.profile.habits) | shares_of(self.profile.ineligible)
        return [(Behaviour[name.upper()], share) for name, share in shares.items()]

    def afterthought_shares(self) -> list[tuple[Afterthought, float]]:
        """Say what share of those registered think again, and how."""
        return [(Afterthought[name.upper()], share) for name, share in shares_of(self.profile.afterthoughts).items()]

    def head(self, i: int) -> int:
        """Say whose phone resident `i` uses: their own, or that of the first of their family."""
        families = self.profile.families
        if not families.share:
            return i
        first = i - i % families.size
        return first if (self.stir(first, 12) & 0xFFFF) / 0x10000 < families.share else i

    def shares_a_phone(self, i: int) -> bool:
        """Return whether resident `i` has one phone with relatives."""
        families = self.profile.families
        if not families.share:
            return False
        first = i - i % families.size
        return self.head(first + 1) == first and first + 1 < self.residents

    def home(self, i: int) -> int:
        """Return the index in `districts` of where resident `i` lives and queues; a family lives together."""
        return self._homes[self.stir(self.head(i)) % 1000]

    def share_at(self, home: int) -> float:
        """Return the share of the residents who live in the district of this index."""
        return self._homes.count(home) / len(self._homes)

    def behaviour(self, i: int) -> Behaviour:
        """Say how resident `i` behaves, with the shares of the crowd's file."""
        return self._behaviours[(self.stir(i) >> 20) % 1000]

    def afterthought(self, i: int) -> Afterthought:
        """Say what resident `i` does after registering, with the shares of the crowd's file."""
        return self._thoughts[self.stir(i, 6) % 1000]

    def resident(self, i: int) -> Resident:
        """Resident `i`: papers are unique in the crowd, and phones but for families."""
        bits = self.stir(i)
        district = self.districts[self.home(i)]
        behaviour = self._behaviours[(bits >> 20) % 1000]
        # a multiplier coprime to the number of papers walks all of them once: unique without a table
        paper = (i * 7_368_787 + self._start) % _PAPERS
        birth, sequence = divmod(paper, 1000)
        kind = (bits >> 32) % 1000
        name = made_up_name(bits >> 42)
        if kind >= 10:
            id_type, id_number = "resident_id", resident_id_number(district, self._births[birth], sequence)
        elif kind >= 6:
            address = ("810000", "820000", "830000")[kind % 3]
            id_type, id_number = "residence_permit", resident_id_number(address, self._births[birth], sequence)
        elif kind >= 3:
            id_type, id_number = "hk_macao_permit", f"{'HM'[kind % 2]}{paper:08d}"
        elif kind >= 1:
            id_type, id_number = "taiwan_permit", f"{paper:08d}"
        else:
            id_type, id_number, name = "passport", f"E{paper:08d}", f"LEE {chr(65 + bits % 26)}. MING"
        phone = f"1{3_000_000_000 + (self.head(i) * 4_999_999_937 + self._start) % _PHONES}"
        product = "adenovirus" if behaviour is Behaviour.COMPLETE else ("inactivated", "cho")[bits % 10 == 0]
        # A1: more than 35 days; "too soon" lies between ten days and thirty-five
        days = 10 + (bits >> 8) % 26 if behaviour is Behaviour.TOO_SOON else 36 + (bits >> 8) % 60
        first_dose = self.day - timedelta(days=days)
        return Resident(id_type, id_number, name, phone, first_dose, product, district, behaviour)

    def join_body(self, i: int, attempt: int = 0) -> bytes:
        """Return the JSON that resident `i` types on the page; `attempt` 0 is the first one (mistakes are made
        once)."""
        who = self.resident(i)
        number, name = who.id_number, who.name
        if who.behaviour is Behaviour.TYPES_SLOPPILY:
            number = sloppy(number, self.stir(i, 1))
        elif who.behaviour is Behaviour.MISTYPES_NAME and attempt == 0:
            name = name + GIVEN[self.stir(i, 2) % len(GIVEN)]
        # nothing in it that JSON would escape; at a third of the cost of encoding
        body = f'{{"id_type": "{who.id_type}", "id_number": "{number}", "name": "{name}", "phone": "{who.phone}"}}'
        return body.encode()

    def wishes(self, i: int, sites: tuple[str, ...], turn: int = 0) -> Wishes:
        """Say what resident `i` wishes for: one to three of these sites, each with a period.

        Args:
            turn: 0 at first, 1 on second thoughts, 2 and 3 the same when registering again; no two turns are alike.
        """
        bits = self.stir(i, 5 + 16 * turn)
        wished: dict[str, str] = {}
        for k in range(1 + bits % 3):
            wished[sites[(bits >> (8 * k)) % len(sites)]] = ("am", "pm", "any")[(bits >> (3 * k + 40)) % 3]
        later = (self.day + timedelta(days=2 + turn + bits % 4)).isoformat() if turn & 1 else ""
        return Wishes(tuple(wished.items()), bool((self.stir(i, 5) >> 60 ^ turn >> 1) & 1), later)

    def registration_body(self, i: int, sites: tuple[str, ...], turn: int = 0, consent: str = "") -> bytes:
        """Return the JSON of what resident `i` wishes for (`wishes`), and that they agree to this version of a text."""
        wishes = self.wishes(i, sites, turn)
        listed = ", ".join([f'{{"site": {_json(site)}, "period": "{period}"}}' for site, period in wishes.preferences])
        any_site = "true" if wishes.accept_any_site else "false"
        agreed = f', "consent": "{consent}"' if consent else ""
        later = f', "not_before": "{wishes.not_before}"' if wishes.not_before else ""
        return f'{{"preferences": [{listed}], "accept_any_site": {any_site}{later}{agreed}}}'.encode()

    def code_body(self, i: int, *, guess: bool = False) -> bytes:
        """Return the JSON with which resident `i` asks for a code, or shows one that is a guess."""
        who = self.resident(i)
        body = {"id_type": who.id_type, "id_number": who.id_number, "phone": who.phone}
        if guess:
            body["code"] = f"{self.stir(i, 9) % 1_000_000:06d}"
        return json.dumps(body).encode()

    def registry_rows(self) -> Iterator[tuple[str, ...]]:
        """Return the rows of the contract's registry file, without those who never had a first dose."""
        elsewhere = self._elsewhere()
        for i in range(self.residents):
            who = self.resident(i)
            if who.behaviour is Behaviour.NO_FIRST_DOSE:
                continue
            district = who.district
            if who.behaviour is Behaviour.WRONG_DISTRICT:
                district = elsewhere
            yield (
                who.id_type, who.id_number, who.name, who.phone, who.first_dose.isoformat(), who.product, district,
            )  # fmt: skip

    def _elsewhere(self) -> str:
        """Return a district where nobody of this run queues; "" where there is none."""
        return next((d.code for d in self.profile.districts if d.code not in self.districts), "")

    def sites_rows(self, sites_per_district: int = 12) -> Iterator[tuple[str, ...]]:
        """Return the rows of the contract's sites file."""
        for code in self.districts:
            for k in range(1, sites_per_district + 1):
                yield f"{code}{k:03d}", f"{code} 接种点 {k}", f"{code} site {k}", code, f"{code} 大道 {k} 号"


@cache
def _json(text: str) -> str:
    """Return a site's code as JSON: there are few, and each is asked for often."""
    return json.dumps(text)


def _slots(shares: Iterable[tuple[int, float]]) -> bytes:
    """Return a thousand slots, of which each kind has its share and 0 the rest."""
    slots = b"".join(bytes([kind]) * per_mille(share) for kind, share in shares)
    return slots.ljust(1000, b"\0")
