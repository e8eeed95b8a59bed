"""Names of the store's keys, and the keyed hash that stands for a person in them.

Every key of an opening carries the tag `{district:date}`, every key of a
resident the tag `{resident key}`, so that each script touches one cluster slot.
"""

import base64
import hashlib
import hmac
from datetime import date

from stdnum.iso7064 import mod_11_10


def opening_tag(district: str, day: date) -> str:
    """Tag shared by all keys of one opening."""
    return f"{district}:{day.isoformat()}"


def resident_tag(resident: bytes) -> str:
    """Tag shared by all keys of one resident: 22 characters of base64url."""
    return base64.urlsafe_b64encode(resident).rstrip(b"=").decode()


def key(kind: str, tag: str) -> str:
    """The key of this kind under this tag, e.g. `places:{440106:2021-06-19}`."""
    return f"{kind}:{{{tag}}}"


class Pepper:
    """Keyed hashes of personal data; without the key nobody can test a guess.

    Args:
        secret: 32 bytes. Changing it orphans every registry record and registration.
    """

    def __init__(self, secret: bytes) -> None:
        self._resident = hmac.digest(secret, b"jiaohao resident key", "sha256")
        self._match = hmac.digest(secret, b"jiaohao identity match", "sha256")

    def resident(self, id_type: str, id_number: str) -> bytes:
        """16 bytes that stand for a person everywhere; from the normalised number.

        A residence permit has a number of the resident ID's form, and people enter it as either: one person, one key.
        """
        if id_type == "residence_permit":
            id_type = "resident_id"
        return hmac.digest(self._resident, f"{id_type}:{id_number}".encode(), "sha256")[:16]

    def match(self, resident: bytes, name: str, phone: str) -> bytes:
        """12 bytes to compare name and phone (both normalised) with the registry's.

        Bound to the person, so that relatives on one phone have different ones.
        """
        return hmac.digest(self._match, resident + f"{phone}:{name}".encode(), "sha256")[:12]


def registration_no(district_no: int, day: date, entry: int) -> str:
    """Number of a registration, 15 digits that can be read aloud in threes of five.

    Last digit of the year, MMDD, district (2), entry (7), check digit (ISO 7064
    MOD 11-10: catches a wrong digit and two swapped ones). Unique without any
    coordination, because an opening gives each entry once.
    """
    body = f"{day.year % 10}{day:%m%d}{district_no:02d}{entry:07d}"
    return body + str(mod_11_10.calc_check_digit(body))


def is_registration_no(text: str) -> bool:
    """Whether this is a well-formed registration number."""
    return len(text) == 15 and text.isascii() and text.isdigit() and bool(mod_11_10.is_valid(text))


def fingerprint(secret: bytes) -> int:
    """Key id of a secret: one byte that says which key signed."""
    return hashlib.sha256(b"jiaohao key id" + secret).digest()[0]
