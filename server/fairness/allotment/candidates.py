"""The registrations of a night, in columns: about 30 bytes each instead of a thousand as objects."""

from array import array
from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from server.core.periods import ANY, MORNING_AND_AFTERNOON, in_words

_MOST_PRODUCTS: Final = 255
_MOST_WISHES: Final = 0xFFFF

_ANY_SITE: Final = 1
_SENT_BACK: Final = 2


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
    """

    no: str
    first_dose: date | None
    product: str
    wishes: Sequence[tuple[str, str]]
    any_site: bool
    not_before: date | None = None
    sent_back: bool = False
    together: str | None = None


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
        self._flags = array("B")
        self.together: dict[int, int] = {}
        self._site_index: dict[str, int] = {}
        self._product_index: dict[str, int] = {}
        self.sites: list[str] = []
        self.products: list[str] = []
        for candidate in candidates:
            self.add(candidate)

    def __len__(self) -> int:
        return len(self.no)

    def add(self, candidate: Candidate) -> None:
        """Take one more.

        Raises:
            ValueError: a number that is not 15 digits, an unknown period, a product without a first dose or the
                other way round, more than 255 products or 65,535 wishes for a site. Nothing has been added.
        """
        no, first_dose, product, wishes, any_site, not_before, sent_back, together = candidate
        if (first_dose is None) != (product == ""):
            raise ValueError(f"{no}: expected a product with a first dose, and none without")
        number = _number(no)
        relative = None if together is None else _number(together)
        try:
            period_code, per_site = self._period_code, self.per_site
            codes = [self._site(site) * per_site + period_code[period] for site, period in wishes]
        except KeyError as error:
            raise ValueError(f"{no}: expected {in_words(self._periods)}, got {error}") from None
        kind = self._product(product)
        if relative is not None:
            self.together[len(self.no)] = relative
        self.no.append(number)
        self.first_dose.append(first_dose.toordinal() if first_dose else 0)
        self.product.append(kind)
        self.not_before.append(not_before.toordinal() if not_before else 0)
        self._flags.append(any_site * _ANY_SITE + sent_back * _SENT_BACK)
        self.wish.extend(codes)
        self.start.append(len(self.wish))

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
        )

    def any_site(self, i: int) -> bool:
        """Whether any site will do."""
        return bool(self._flags[i] & _ANY_SITE)

    def sent_back(self, i: int) -> bool:
        """Whether a closed site sent them back."""
        return bool(self._flags[i] & _SENT_BACK)

    def _site(self, site: str) -> int:
        return _index(self._site_index, self.sites, site, _MOST_WISHES // self.per_site)

    def _product(self, product: str) -> int:
        return _index(self._product_index, self.products, product, _MOST_PRODUCTS)


@lru_cache(maxsize=4096)
def day_of(ordinal: int) -> date:
    """The date of an ordinal; a night has few, and each of them often."""
    return date.fromordinal(ordinal)


def _number(no: str) -> int:
    if len(no) != 15 or not no.isascii() or not no.isdigit():
        raise ValueError(f"expected a registration number of 15 digits, got {no!r}")
    return int(no)


def _index(index: dict[str, int], names: list[str], name: str, most: int) -> int:
    found = index.get(name)
    if found is None:
        if len(names) >= most:
            raise ValueError(f"expected at most {most} different ones, {name!r} is one more")
        found = index[name] = len(names)
        names.append(name)
    return found
