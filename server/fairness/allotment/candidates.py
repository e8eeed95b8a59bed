"""The registrations of a night, in columns: about 30 bytes each instead of a thousand as objects."""

from array import array
from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from itertools import accumulate, chain, islice
from typing import Final, NamedTuple

from server.core.periods import ANY, MORNING_AND_AFTERNOON, in_words

_MOST_PRODUCTS: Final = 255
_MOST_WISHES: Final = 0xFFFF
_DIGITS: Final = 15

ANY_SITE: Final = 1
SENT_BACK: Final = 2


class Candidate(NamedTuple):
    """A registration that waits for its slot.

    Args:
        no: the registration number, 15 digits.
        first_dose: its day; None who comes for a first dose.
        product: of the first dose; "" without one.
        wishes: (site, period or `any`), best first.
        any_site: whether any site of the district will do where the wishes are full.
        not_before: no date before it.
        sent_back: a closed site took the slot back; goes first.
        together: the number of a relative, see `server.fairness.allotment.together`.
        reserves: of which they are a member, as bits, see `server.fairness.allotment.reserves`.
    """

    no: str
    first_dose: date | None
    product: str
    wishes: Sequence[tuple[str, str]]
    any_site: bool
    not_before: date | None = None
    sent_back: bool = False
    together: str | None = None
    reserves: int = 0


class Candidates:
    """Registrations of one district. The order in which they are added does not matter.

    Args:
        candidates: to begin with.
        periods: of the day, as in the night's rules.

    Attributes:
        no: registration numbers.
        first_dose: proleptic Gregorian ordinals of the days, 0 where there is none.
        product: index in `products`.
        not_before: ordinals, 0 where there is none.
        wish: the wishes of all, one after the other, each site * `per_site` + period; those of i are
            wish[start[i]:start[i + 1]].
        periods: of the day, in its order.
        per_site: so many wishes for a site there are: each period, and `any`, the last.
        together: index -> number of a relative, of those who named one.
        flags: bits, see `any_site` and `sent_back`.
        reserves: bits, of which each is a member.
        sites: the sites named, in the order of their first mention.
        products: the products named, likewise.
    """

    def __init__(self, candidates: Iterable[Candidate] = (), periods: Sequence[str] = MORNING_AND_AFTERNOON) -> None:
        self.periods = tuple(periods)
        self._periods = (*periods, ANY)
        self._period_code = {period: code for code, period in enumerate(self._periods)}
        self.per_site = len(self._periods)
        self.no = array("Q")
        self.first_dose = array("i")
        self.product = array("B")
        self.not_before = array("i")
        self.wish = array("H")
        self.start = array("I", [0])
        self.flags = array("B")
        self.reserves = array("B")
        self.together: dict[int, int] = {}
        self._site_index: dict[str, int] = {}
        self._product_index: dict[str, int] = {}
        self.sites: list[str] = []
        self.products: list[str] = []
        self._wish_code: dict[tuple[str, str], int] = {}
        self._ordinal = _Ordinals().__getitem__
        self.extend(list(candidates))

    def __len__(self) -> int:
        return len(self.no)

    def add(self, candidate: Candidate) -> None:
        """Take one more.

        Raises:
            ValueError: a number that is not 15 digits, an unknown period, a product without a first dose or the
                other way round, more than 255 products or 65,535 wishes for a site. Nothing has been added.
        """
        self._check(candidate)
        no, first_dose, product, wishes, any_site, not_before, sent_back, together, reserves = candidate
        if together is not None:
            self.together[len(self.no)] = int(together)
        self.no.append(int(no))
        self.first_dose.append(self._ordinal(first_dose))
        self.product.append(self._product_index[product])
        self.not_before.append(self._ordinal(not_before))
        self.flags.append(any_site * ANY_SITE | sent_back * SENT_BACK)
        self.reserves.append(reserves)
        self.wish.extend([self._wish_code[wish] for wish in wishes])
        self.start.append(len(self.wish))

    def extend(self, candidates: Sequence[Candidate]) -> None:
        """Take many more at once, a column at a time: half the work of one after the other.

        Raises:
            ValueError: as `add`, of the first that is wrong. None of them has been added.
        """
        if not candidates:
            return
        columns = zip(*candidates, strict=True)
        nos, first_dose, product, wishes, any_site, not_before, sent_back, together, reserves = columns
        wished = list(chain.from_iterable(wishes))
        relatives = {len(self.no) + i: no for i, no in enumerate(together) if no is not None}
        if (
            not _are_numbers(nos)
            or not _are_numbers([*relatives.values()])
            or [it is None for it in first_dose] != [it == "" for it in product]
            or not self._product_index.keys() >= set(product)
            or not self._wish_code.keys() >= set(wished)
        ):
            for candidate in candidates:  # something is new, or wrong
                self._check(candidate)
        self.together.update((i, int(no)) for i, no in relatives.items())
        self.no.extend(map(int, nos))
        self.first_dose.extend(map(self._ordinal, first_dose))
        self.product.extend(map(self._product_index.__getitem__, product))
        self.not_before.extend(map(self._ordinal, not_before))
        self.flags.extend([a * ANY_SITE | b * SENT_BACK for a, b in zip(any_site, sent_back, strict=True)])
        self.reserves.extend(reserves)
        self.start.extend(islice(accumulate(map(len, wishes), initial=len(self.wish)), 1, None))
        self.wish.extend(map(self._wish_code.__getitem__, wished))

    def _check(self, candidate: Candidate) -> None:
        """That it can be taken; its site, product and wishes have their codes then."""
        no, first_dose, product, wishes, _, _, _, together, _ = candidate
        if (first_dose is None) != (product == ""):
            raise ValueError(f"{no}: expected a product with a first dose, and none without")
        for number in (no,) if together is None else (no, together):
            if len(number) != _DIGITS or not number.isascii() or not number.isdigit():
                raise ValueError(f"expected a registration number of 15 digits, got {number!r}")
        for wish in wishes:
            if wish not in self._wish_code:
                site, period = wish
                if period not in self._period_code:
                    raise ValueError(f"{no}: expected {in_words(self._periods)}, got {period!r}")
                self._wish_code[wish] = self._site(site) * self.per_site + self._period_code[period]
        self._product(product)

    def __getitem__(self, i: int) -> Candidate:
        first_dose, not_before, together = self.first_dose[i], self.not_before[i], self.together.get(i)
        sites, periods, per_site = self.sites, self._periods, self.per_site
        return Candidate(
            f"{self.no[i]:015d}",
            day_of(first_dose) if first_dose else None,
            self.products[self.product[i]],
            [
                (sites[code // per_site], periods[code % per_site])
                for code in self.wish[self.start[i] : self.start[i + 1]]
            ],
            self.any_site(i),
            day_of(not_before) if not_before else None,
            self.sent_back(i),
            None if together is None else f"{together:015d}",
            self.reserves[i],
        )

    def renumber(self, numbers: "array[int]", together: dict[int, int]) -> None:
        """Put other numbers, and other numbers of relatives, in the place of the registrations'."""
        self.no, self.together = numbers, together

    def each_wish(self) -> list[tuple[str, str]]:
        """Code -> (site, period or `any`)."""
        return [(site, period) for site in self.sites for period in self._periods]

    def any_site(self, i: int) -> bool:
        """Whether any site will do."""
        return bool(self.flags[i] & ANY_SITE)

    def sent_back(self, i: int) -> bool:
        """Whether a closed site sent them back."""
        return bool(self.flags[i] & SENT_BACK)

    def _site(self, site: str) -> int:
        return _index(self._site_index, self.sites, site, _MOST_WISHES // self.per_site)

    def _product(self, product: str) -> int:
        return _index(self._product_index, self.products, product, _MOST_PRODUCTS)


@lru_cache(maxsize=4096)
def day_of(ordinal: int) -> date:
    """The date of an ordinal; a night has few, and each of them often."""
    return date.fromordinal(ordinal)


class _Ordinals(dict[date | None, int]):
    """Of days, each worked out once: a look-up is a third of a cached call."""

    def __missing__(self, day: date | None) -> int:
        ordinal = self[day] = day.toordinal() if day else 0
        return ordinal


def _are_numbers(nos: Sequence[str]) -> bool:
    """Whether each is a registration number by its looks: 15 digits."""
    joined = "".join(nos)
    return not nos or (set(map(len, nos)) == {_DIGITS} and joined.isascii() and joined.isdigit())


def _index(index: dict[str, int], names: list[str], name: str, most: int) -> int:
    found = index.get(name)
    if found is None:
        if len(names) >= most:
            raise ValueError(f"expected at most {most} different ones, {name!r} is one more")
        found = index[name] = len(names)
        names.append(name)
    return found
