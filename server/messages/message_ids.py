"""Whether a provider's receipt is about a message: what its id looks like there need not be what the answer said.

Providers answer in hexadecimal and write decimal, or the other way round, drop leading zeros or add some, change the
case, quote (the table with its sources is in `tests/messages/test_receipts_and_stops.py`). So an id has one form to be
kept under, and a receipt's id is looked up under every form that it may stand for. Digits alone may be decimal or
hexadecimal: where more than one message fits, `choose` also asks for the phone, the time and what this provider does
otherwise, and rather finds none than a wrong one.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

Relation = Literal["same", "decimal", "hex"]
"""How a receipt spells what the answer said: the same but for zeros, case and quotes; `decimal`: the decimal number of
a hexadecimal answer; `hex`: the hexadecimal number of a decimal answer."""
RELATIONS: Final[tuple[Relation, ...]] = ("same", "decimal", "hex")

Rule = Literal["auto", "same", "decimal", "hex"]
"""Which of them a provider is known to use; `auto`: whatever fits."""

Said = Literal["delivered", "undelivered", "unknown"]
"""What a receipt says of a message, or of a part of it; `unknown`: the provider does not know, or says so in words that
we do not, so nobody may rely on it."""

# Around an id, never in it.
_AROUND = " \t\r\n\0\"'`<>()[]{},;"
_DIGITS = re.compile(r"[0-9]+")
_HEX = re.compile(r"[0-9a-f]+")
# The first group may have lost its zeros.
_UUID = re.compile(r"[0-9a-f]{1,8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Two messages of one provider cannot be the hexadecimal and the decimal reading of the same digits by chance where its
# counter has come so far: read the other way, its numbers are far from all that it has given lately.
_TELLING_NUMBER = 100_000_000
_LONGEST = 65  # SMPP 3.4, 5.2.23
_CLOCKS_APART_S = 150
_QUARTER_S = 900
_ZONES_S = 15 * 3600
_ENOUGH, _NEARLY_ALL = 20, 0.99


class _Id(NamedTuple):
    form: str
    hex: int | None
    decimal: int | None


def _read(text: str) -> _Id:
    plain = text.strip(_AROUND).lower()[:_LONGEST]
    marked = plain.startswith("0x") and _HEX.fullmatch(plain, 2) is not None
    if marked:
        plain = plain[2:]
    if _UUID.fullmatch(plain):
        plain = plain.replace("-", "")
    form = plain.lstrip("0") or plain[:1]
    is_digits = _DIGITS.fullmatch(plain) is not None
    return _Id(
        form,
        int(plain, 16) if _HEX.fullmatch(plain) else None,
        int(plain) if is_digits and not marked else None,
    )


def form_of(answered: str) -> str:
    """What a message is kept under whose id the provider has answered; empty: that was no id."""
    return _read(answered).form


def forms_of(receipted: str) -> list[str]:
    """What a receipt's message may have been kept under."""
    it = _read(receipted)
    found = [it.form]
    if it.decimal is not None:
        found.append(f"{it.decimal:x}")
    if it.hex is not None:
        found.append(str(it.hex))
    return list(dict.fromkeys(filter(None, found)))


def relation(answered: str, receipted: str) -> Relation | None:
    """How the receipt's id spells the answer's; None: it is another one's."""
    answer, said = _read(answered), _read(receipted)
    if not answer.form or not said.form:
        return None
    if answer.form == said.form:
        return "same"
    if answer.hex is not None and answer.hex == said.decimal:
        return "decimal"
    if answer.decimal is not None and answer.decimal == said.hex:
        return "hex"
    return None


class MessageWithIds(Protocol):
    """A message that a receipt may be about."""

    @property
    def answer(self) -> str:
        """The id that the provider has answered."""

    @property
    def phone(self) -> bytes:
        """A hash of the phone that it went to; empty = not known."""

    @property
    def sent_ms(self) -> int:
        """When it was taken; 0 = not known."""


_Fitting: TypeAlias = tuple[int, MessageWithIds, Relation]


class Choice(NamedTuple):
    """The one message that a receipt can only be about, and how it spells its id; else None and why not."""

    which: int | None
    relation: Relation | None
    why: Literal["", "unknown", "other-phone", "ambiguous"]


def choose(
    receipted: Sequence[str],
    candidates: Sequence[MessageWithIds],
    phones: frozenset[bytes],
    submitted: str,
    rule: Rule,
    usual: Relation | None,
) -> Choice:
    """Which message a receipt is about.

    Args:
        receipted: its id as the receipt has it; more than one where its field and its text differ, the field first.
        candidates: messages that were kept under one of their forms; each only once.
        phones: hashes of the phones it names; empty: it names none that can be read.
        submitted: its `submit date`, in a time zone that nobody says.
        rule: what is set for this provider.
        usual: what its receipts have done so far, without exception.
    """
    for said in receipted:
        fitting = [(i, it, how) for i, it in enumerate(candidates) if (how := relation(it.answer, said)) is not None]
        if rule != "auto":
            fitting = [each for each in fitting if each[2] == rule]
        if fitting:
            return _only(said, fitting, phones, submitted, usual, is_set=rule != "auto")
    return Choice(None, None, "unknown")


def _only(
    said: str,
    fitting: list[_Fitting],
    phones: frozenset[bytes],
    submitted: str,
    usual: Relation | None,
    *,
    is_set: bool,
) -> Choice:
    if phones:
        fitting = [each for each in fitting if not each[1].phone or each[1].phone in phones]
        if not fitting:
            return Choice(None, None, "other-phone")
    for narrower in _narrower(said, submitted, usual):
        if len(fitting) > 1:
            fitting = [each for each in fitting if narrower(each)] or fitting
    if len(fitting) > 1:
        return Choice(None, None, "ambiguous")
    ((index, candidate, how),) = fitting
    is_sure = how == "same" or is_set or how == usual or bool(phones and candidate.phone)
    if not is_sure and (_read(said).decimal or _read(said).hex or 0) < _TELLING_NUMBER:
        # The message that has this very number may be one that nobody keeps.
        return Choice(None, None, "ambiguous")
    return Choice(index, how, "")


def _narrower(said: str, submitted: str, usual: Relation | None) -> Iterator[Callable[[_Fitting], bool]]:
    """What tells messages apart that fit as well; the surest first."""
    if usual is not None:
        yield lambda each: each[2] == usual
    plain = said.strip(_AROUND)
    # Only among those that are the same but for their case or zeros.
    yield lambda each: each[2] != "same" or each[1].answer.strip(_AROUND) == plain
    if (at := submit_date(submitted)) is not None:
        yield lambda each: _may_be_at(at, each[1].sent_ms)


def submit_date(text: str) -> datetime | None:
    """`YYMMDDhhmm`, with seconds or with a whole year; None: no date. In whatever time zone the provider has."""
    digits = text.strip(_AROUND)
    formats = {10: "%y%m%d%H%M", 12: "%y%m%d%H%M%S", 14: "%Y%m%d%H%M%S"}
    if len(digits) not in formats or not _DIGITS.fullmatch(digits):
        return None
    try:
        return datetime.strptime(f"{digits}+0000", f"{formats[len(digits)]}%z")
    except ValueError:
        return None


def _may_be_at(at: datetime, sent_ms: int) -> bool:
    """Whether a message taken then may have this date: zones are quarters of an hour apart."""
    apart_s = at.timestamp() - sent_ms / 1000
    beside_s = (apart_s + _QUARTER_S / 2) % _QUARTER_S - _QUARTER_S / 2
    return abs(apart_s) <= _ZONES_S and abs(beside_s) <= _CLOCKS_APART_S


def usual_of(counts: Mapping[Relation, int]) -> Relation | None:
    """What a provider's receipts have always done, but for slips; None: too few, or not always the same."""
    how = max(RELATIONS, key=lambda it: counts.get(it, 0))
    often = counts.get(how, 0)
    return how if often >= _ENOUGH and often >= _NEARLY_ALL * sum(counts.values()) else None
