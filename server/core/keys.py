"""Names of the store's keys, and the keyed hash that stands for a person in them.

Every key of an opening carries the tag `{district:date}`, that of a district's
second opening of the day `{district:date:2}`, every key of a resident the tag
`{resident key}`, so that each script touches one cluster slot.
"""

import binascii
import hashlib
import hmac
from datetime import date
from functools import cache
from typing import Final, NamedTuple

from stdnum.iso7064 import mod_11_10

from server.core.papers import same_person
from server.core.same_name import SameName, forms

_MONTHS_A_WINDOW: Final = 20
_TO_URL = bytes.maketrans(b"+/", b"-_")
_SLOTS: Final = 16384
_SLOT_DIGITS: Final = 6


MOST_WINDOWS: Final = 5
"""So many openings a district has on one day at most: a registration number says in which of them it was given."""

MOST_PLACES: Final = 10_000_000
"""So many places one opening gives at most (lua/prelude.lua): a registration number has seven digits for the entry."""


def day_tag(district: str, day: date) -> str:
    """Tag of a district's day: its slots, its night, its first opening."""
    return f"{district}:{day.isoformat()}"


def night_seed_name(district: str, day: date) -> str:
    """What the sealed seed of a district's night is bound to."""
    return f"night {day_tag(district, day)}"


def opening_tag(district: str, day: date, window: int = 1) -> str:
    """Tag shared by all keys of one opening; `window`: which one of the district's day, from 1."""
    return day_tag(district, day) if window == 1 else f"{day_tag(district, day)}:{window}"


def opening_tags(district: str, day: date) -> list[str]:
    """Tags of all openings that a district may have had on a day, whatever its windows are now."""
    return [opening_tag(district, day, window) for window in range(1, MOST_WINDOWS + 1)]


def resident_tag(resident: bytes) -> str:
    """Tag shared by all keys of one resident: 22 characters of base64url."""
    return binascii.b2a_base64(resident, newline=False)[:22].translate(_TO_URL).decode()


def beside(tag: str, day: str) -> str:
    """Tag of a day's list of who has registered, in the cluster slot of this resident's tag.

    What lies in one slot is on one node, and its replicas follow it in one order: a node that takes over has both the
    registration and its line, or neither.
    """
    return _before(day) + _slot_tags()[(binascii.crc_hqx(tag.encode(), 0) ^ _shift(day)) % _SLOTS]


def beside_all(day: str) -> list[str]:
    """The tags of a day's list in all slots."""
    return [_before(day) + each for each in _slot_tags()]


def _before(day: str) -> str:
    return f"city:{day}:"


@cache
def _slot_tags() -> list[str]:
    """For each slot, digits of which it is the slot: some dozen milliseconds, once."""
    found: dict[int, str] = {}
    n = 0
    while len(found) < _SLOTS:
        text = f"{n:0{_SLOT_DIGITS}o}"
        found.setdefault(binascii.crc_hqx(text.encode(), 0) % _SLOTS, text)
        n += 1
    return [found[slot] for slot in range(_SLOTS)]


@cache
def _shift(day: str) -> int:
    """What this day, put before digits, changes in their checksum: a CRC of so many bytes is linear in them."""
    return binascii.crc_hqx(bytes(_SLOT_DIGITS), binascii.crc_hqx(_before(day).encode(), 0))


def key(kind: str, tag: str) -> str:
    """The key of this kind under this tag, e.g. `places:{440106:2021-06-19}`."""
    return f"{kind}:{{{tag}}}"


class Hmac:
    """HMAC-SHA256 under a key derived from a secret for one purpose.

    The padded key's states are computed once, which halves the cost of `hmac.digest`.
    """

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        padded = hmac.digest(secret, purpose, "sha256").ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(b ^ 0x36 for b in padded))
        self._outer = hashlib.sha256(bytes(b ^ 0x5C for b in padded))

    def digest(self, message: bytes) -> bytes:
        """32 bytes."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


class Pepper:
    """Keyed hashes of personal data; without the key nobody can test a guess.

    Args:
        secret: 32 bytes. Changing it orphans every registry record and registration, so the store keeps its `mark`.
        same_name: which names are the same, the city file's.
    """

    def __init__(self, secret: bytes, same_name: SameName = SameName()) -> None:  # noqa: B008 - it is frozen
        self._same_name = same_name
        self._resident = Hmac(secret, b"jiaohao resident key")
        self._match = Hmac(secret, b"jiaohao identity match")
        self._phone = Hmac(secret, b"jiaohao phone")
        self._code = Hmac(secret, b"jiaohao one-time code")
        self._blind = Hmac(secret, b"jiaohao blind of an entry")
        self.mark = Hmac(secret, b"jiaohao pepper's mark").digest(b"")[:8].hex()

    def resident(self, id_type: str, id_number: str) -> bytes:
        """16 bytes that stand for a person everywhere; from the normalised number.

        The same for all kinds of papers that have the same digits, see `server.core.papers.same_person`.
        """
        return self._resident.digest(":".join(same_person(id_type, id_number)).encode())[:16]

    def earlier(self, id_type: str, id_number: str) -> bytes | None:
        """What `resident` was until passports' numbers were compared with other papers', where it was another."""
        if id_type != "passport" or same_person(id_type, id_number)[0] == "passport":
            return None
        return self._resident.digest(f"passport:{id_number}".encode())[:16]

    def match(self, resident: bytes, name: str, phone: str) -> bytes:
        """12 bytes to compare name and phone (both normalised) with the registry's.

        Bound to the person, so that relatives on one phone have different ones.
        """
        # Of millions of lines in an import: without the digests of the other rules.
        return self._match.digest(resident + f"{phone}:\0{forms(name, self._same_name)[0]}".encode())[:12]

    def matches(self, resident: bytes, name: str, phone: str) -> tuple[bytes, ...]:
        """Every `match` that a registry line of a person with this name and phone may hold, the newest rule's first.

        A line keeps the rule of the day when it was written; a new rule for names must not lock its people out. The
        last one is of the lines from before there were rules: the normalised name itself.
        """
        told = resident + phone.encode()
        # No normalised name has a NUL: none of these can be taken for a line of another rule.
        texts = [f":\0{form}" for form in forms(name, self._same_name)] + [f":{name}"]
        return tuple(self._match.digest(told + text.encode())[:12] for text in texts)

    def phone(self, phone: str) -> bytes:
        """16 bytes that stand for a phone number where messages to it are counted."""
        return self._phone.digest(phone.encode())[:16]

    def pair(self, resident: bytes, phone: str) -> bytes:
        """16 bytes that stand for a person together with a phone number: who does not know both cannot touch it."""
        return self._phone.digest(resident + phone.encode())[:16]

    def blind(self, tag: str, resident: bytes) -> bytes:
        """16 bytes that bind an entry of this opening's draw to its resident, and tell nobody else who that is."""
        return self._blind.digest(tag.encode() + resident)[:16]

    def code(self, pair: bytes, code: str) -> bytes:
        """16 bytes to compare a one-time code with; the code itself is kept nowhere."""
        return self._code.digest(pair + code.encode())[:16]


def registration_no(district_no: int, day: date, entry: int, window: int = 1) -> str:
    """Number of a registration, 15 digits that can be read aloud in threes of five.

    Last digit of the year, MMDD, district (2), entry (7), check digit (ISO 7064
    MOD 11-10: catches a wrong digit and two swapped ones). Unique without any
    coordination, because an opening gives each entry once; the month says which
    of the day's openings it was: 06 is June's first, 26 its second, 46 its third.

    Raises:
        ValueError: an entry or a window that no opening has.
    """
    if not 0 <= entry < MOST_PLACES or not 1 <= window <= MOST_WINDOWS:
        raise ValueError(f"no registration number for entry {entry} of window {window}")
    body = f"{day.year % 10}{day.month + _MONTHS_A_WINDOW * (window - 1):02d}{day:%d}{district_no:02d}{entry:07d}"
    return body + str(mod_11_10.calc_check_digit(body))


def is_registration_no(text: str) -> bool:
    """Whether this is a well-formed registration number."""
    return len(text) == 15 and text.isascii() and text.isdigit() and bool(mod_11_10.is_valid(text))


class NumberParts(NamedTuple):
    """What a registration number says: the opening's day and district, the entry, and which of the day's openings."""

    day: date
    district_no: int
    entry: int
    window: int


def parts_of(no: str, today: date) -> NumberParts | None:
    """Take a registration number apart; its year is the latest one with that last digit that is not in the future.

    None for what is no registration number, or names a day that does not exist.
    """
    if not is_registration_no(no):
        return None
    year = today.year - (today.year - int(no[0])) % 10
    try:
        day = date(year, int(no[1:3]) - _MONTHS_A_WINDOW * (window_of(no) - 1), int(no[3:5]))
    except ValueError:
        return None
    if day > today:  # ten years ago, or it has not been given yet
        return None
    return NumberParts(day, int(no[5:7]), int(no[7:14]), window_of(no))


def window_of(no: str) -> int:
    """Which of its day's openings a registration number was given in, from 1."""
    return (int(no[1:3]) - 1) // _MONTHS_A_WINDOW + 1


def fingerprint(secret: bytes) -> int:
    """Key id of a secret: one byte that says which key signed."""
    return hashlib.sha256(b"jiaohao key id" + secret).digest()[0]
